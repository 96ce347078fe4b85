"""The commands, as one Cyclopts application.

`assay`, `train` and `validate` take the flags of the methods named first on the line, so the application is built
for a command line; only the command and the methods named there are imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from typing import NamedTuple

from cyclopts import App

__all__ = ["COMMANDS", "Command", "build_app"]

_HELP = """A laboratory for language models: train one, ask it, compare; every number with its interval.

Start with `gnomon demo`."""


class Command(NamedTuple):
    """Where a command is: its module here, its arguments, and whether its flags depend on the methods named."""

    module: str
    usage: str = ""
    takes_methods: bool = False


COMMANDS = {
    "demo": Command("demo"),
    "assay": Command("assay", "NAME... [--model M]", takes_methods=True),
    "train": Command("train", "NAME", takes_methods=True),
    "validate": Command("validate", "NAME", takes_methods=True),
    "compare": Command("runs", "RUN RUN"),
    "runs": Command("runs"),
    "export": Command("runs", "RUN"),
    "list": Command("catalog"),
    "models": Command("catalog"),
    "power": Command("power", "NAME --effect X"),
    "doctor": Command("doctor"),
}


def build_app(tokens: Sequence[str]) -> App:
    """The application for one command line."""
    app = App(
        name="gnomon",
        help=_HELP,
        version=metadata.version("gnomon"),
        help_format="plaintext",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    named = tokens[0] if tokens and tokens[0] in COMMANDS else ""
    for order, (name, command) in enumerate(COMMANDS.items()):
        if named and name != named:
            continue
        module = import_module(f"gnomon.cli.{command.module}")
        function: Callable[..., int] = getattr(module, f"{name}_command")
        if command.takes_methods:
            function = function(_named(tokens, name))  # type: ignore[assignment]  # it makes the command
        examples = module.EXAMPLES if isinstance(module.EXAMPLES, str) else module.EXAMPLES[name]
        usage = f"Usage: gnomon {name} {command.usage}".rstrip() + " [OPTIONS]"
        app.command(function, name=name, usage=usage, help_epilogue=examples, sort_key=order)
    return app


def _named(tokens: Sequence[str], verb: str) -> list[str]:
    """Words between the verb and its first flag."""
    if list(tokens[:1]) != [verb]:
        return []
    words: list[str] = []
    for token in tokens[1:]:
        if token.startswith("-"):
            break
        words.append(token)
    return list(dict.fromkeys(words))
