"""The commands, as one Cyclopts application.

`assay`, `train`, `explain`, `study` and `validate` take the flags of the methods named first on the line, so the
application is built for a command line; only the command and the methods named there are imported.
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
    """Where a command is: its module here, its one line, its arguments, whether its flags depend on the methods named.

    `about` is the first line of the command's own docstring, said here so that the list of commands imports none.
    """

    module: str
    about: str
    usage: str = ""
    takes_methods: bool = False


COMMANDS = {
    "demo": Command(
        "demo", "Ask the models that ship what they know and prefer, and look inside; nothing is downloaded."
    ),
    "assay": Command(
        "assay",
        "Ask a model an evaluation's items; report every number with its interval.",
        "NAME... [--model M]",
        takes_methods=True,
    ),
    "train": Command(
        "train",
        "Train a model; what comes out is a checkpoint that every other command takes.",
        "NAME",
        takes_methods=True,
    ),
    "explain": Command(
        "explain",
        "Look inside a model: which of its parts do what, and what it loses without them.",
        "NAME [--model M]",
        takes_methods=True,
    ),
    "validate": Command(
        "validate",
        "Measure an instrument: does it recover what was planted, and do its intervals cover?",
        "NAME",
        takes_methods=True,
    ),
    "study": Command(
        "study",
        "Train or ask models that differ in one thing, and read the runs together.",
        "NAME [EVALUATION] [--model A,B]",
        takes_methods=True,
    ),
    "grade": Command(
        "grade",
        "Grade programs that models wrote: run their tests where they cannot cheat or do harm.",
        "SAMPLES --problems FILE",
    ),
    "trace": Command(
        "trace",
        "Turn a project's functions into problems: run its tests, and keep what they ask and are answered.",
        "PROJECT",
    ),
    "fuzz": Command(
        "fuzz",
        "Fuzz a web API: find requests that make it crash, break its contract, or lose what it promises.",
        "SCHEMA [--url URL]",
    ),
    "compare": Command("runs", "Compare two runs of one evaluation, paired by item.", "RUN RUN"),
    "runs": Command("runs", "List runs, the latest first."),
    "export": Command("runs", "Write a run's rows, or a file's comparisons, for other tools.", "RUN"),
    "serve": Command("serve", "Answer OpenAI's HTTP routes with a model on this machine.", "MODEL"),
    "chat": Command("chat", "Talk to a model.", "MODEL"),
    "list": Command("catalog", "List what can be assayed and trained, with one line on each."),
    "models": Command("catalog", "Say how models are named, and list those that earlier training runs left."),
    "power": Command("power", "Say how many items a paired comparison needs before it is run.", "NAME --effect X"),
    "doctor": Command(
        "doctor", "Check the installation: packages, the model that ships, the sandbox, folders, disk and keys."
    ),
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
    if named:
        _add(app, named, tokens)
    else:
        for order, (name, command) in enumerate(COMMANDS.items()):
            app.command(_unnamed, name=name, help=command.about, sort_key=order)
    return app


def _add(app: App, name: str, tokens: Sequence[str]) -> None:
    """Adds the one command that the line names."""
    command = COMMANDS[name]
    module = import_module(f"gnomon.cli.{command.module}")
    function: Callable[..., int] = getattr(module, f"{name}_command")
    if command.takes_methods:
        function = function(_named(tokens, name))  # type: ignore[assignment]  # it makes the command
    examples = module.EXAMPLES if isinstance(module.EXAMPLES, str) else module.EXAMPLES[name]
    usage = f"Usage: gnomon {name} {command.usage}".rstrip() + " [OPTIONS]"
    app.command(function, name=name, usage=usage, help_epilogue=examples)


def _unnamed() -> None:
    """Stands for a command in the list of commands; a line that names one gets the real one."""


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
