"""Writes the pages that the program itself knows best: every command's help, and the kinds of Brook's documents.

python docs/make.py [--print]
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
WIDTH = "100"
HEAD = """# Commands

Every command's `--help`. This page is written by `make docs`; a test holds it to what the program says.
"""


KINDS_HEAD = """# Kinds of Brook's documents

Share is in percent of the tokens of a pretraining corpus; kinds with share 0 come in exact numbers or in the first
phase only. This page is written by `make docs`; a test holds it to the program.

| kind | share | by example | answers | read by `gnomon assay brook` as |
|---|---|---|---|---|
"""


def main() -> None:
    """Writes the pages, or prints them."""
    for name, text in pages().items():
        if "--print" in sys.argv:
            sys.stdout.write(text)
        else:
            (FOLDER / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The text of every page by file name."""
    os.environ.update(COLUMNS=WIDTH, NO_COLOR="1", TERM="dumb")
    commands = "\n".join([HEAD, *(_section(command) for command in _commands())])
    return {"commands.md": commands, "brook-kinds.md": _kinds()}


def _kinds() -> str:
    from gnomon.data.worlds.brook import KINDS

    return KINDS_HEAD + "".join(
        f"| {kind.name} | {kind.share:g} | `{kind.grammar}` | {kind.key_tokens} | {', '.join(kind.expect)} |\n"
        for kind in KINDS.values()
    )


def _commands() -> list[list[str]]:
    """The words of every command, followed by those of its methods."""
    from gnomon.cli.app import COMMANDS
    from gnomon.core.registry import names

    listed: list[list[str]] = [[]]
    for verb, command in COMMANDS.items():
        listed.append([verb])
        if command.takes_methods and verb != "validate":
            listed += [[verb, name] for name in sorted(names(verb))]
    return listed


def _section(words: list[str]) -> str:
    from gnomon.cli import main as gnomon

    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        gnomon([*words, "--help"])
    lines = "\n".join(line.rstrip() for line in shown.getvalue().rstrip().split("\n"))
    return f"## `{' '.join(['gnomon', *words])}`\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    main()
