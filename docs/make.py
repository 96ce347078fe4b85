"""Writes docs/commands.md: every command's own help, so that the page cannot say what the program does not.

python docs/make.py [--print]
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("commands.md")
WIDTH = "100"
HEAD = """# Commands

Every command's `--help`. This page is written by `make docs`; a test holds it to what the program says.
"""


def main() -> None:
    """Writes the page, or prints it."""
    os.environ.update(COLUMNS=WIDTH, NO_COLOR="1", TERM="dumb")
    sections = [HEAD, *(_section(command) for command in _commands())]
    text = "\n".join(sections)
    if "--print" in sys.argv:
        sys.stdout.write(text)
    else:
        PAGE.write_text(text, encoding="utf-8")


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
