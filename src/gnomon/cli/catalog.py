"""`gnomon list` and `gnomon models`: what can be named on a command line."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from gnomon.cli.output import console
from gnomon.core.registry import names
from gnomon.report.base import Table

__all__ = ["EXAMPLES", "list_command", "models_command"]

EXAMPLES = {
    "list": """Examples:
  gnomon list

What comes out:
  stdout  every method; `gnomon VERB NAME --help` shows its settings
""",
    "models": """Examples:
  gnomon models

What comes out:
  stdout  how models are named, and which ones were trained here
""",
}

_VERBS = ("assay", "train", "explain", "study")

_KINDS = [
    ["brook", "the model that ships with Gnomon, trained on its embedded world"],
    ["brook-assistant", "what training on good answers made of it; ships too"],
    ["hf:FOLDER", "a checkpoint in Hugging Face layout on this machine"],
    ["hf:ORG/NAME@REVISION", "a checkpoint of the Hugging Face hub"],
    ["hf:FOLDER#LABEL", "a sequence classifier or reward model there; it has a reward alone"],
    ["run:ID", "the checkpoint that a training run left"],
    ["openai:NAME", "OpenAI's API; the key is read from OPENAI_API_KEY"],
    ["anthropic:NAME", "Anthropic's API; the key is read from ANTHROPIC_API_KEY"],
    ["http://HOST:PORT/v1#NAME", "any server that speaks the OpenAI protocol"],
    ["planted:NAME?PARAM=VALUE", "a model with a property known by construction"],
]


def list_command() -> int:
    """List what can be assayed and trained, with one line on each."""
    from gnomon.report.terminal import table

    rows = [[verb, name, _summary(module)] for verb in _VERBS for name, module in sorted(names(verb).items())]
    console().print(table(Table(title="", columns=["verb", "name", "what it does"], rows=rows)))
    return 0


def models_command() -> int:
    """Say how models are named, and list those that earlier training runs left."""
    from gnomon.report.terminal import table
    from gnomon.store.run import list_runs

    screen = console()
    screen.print(table(Table(title="", columns=["--model", "what it is"], rows=_KINDS)))
    trained = [
        [f"run:{m.id}", m.name, m.started[:16].replace("T", " ")]
        for m in list_runs()
        if m.verb == "train" and m.status == "done"
    ]
    if trained:
        screen.print(table(Table(title="Trained here", columns=["--model", "method", "started (UTC)"], rows=trained)))
    return 0


def _summary(module: str) -> str:
    """The first line of a module's docstring, read without importing it."""
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin:
        return ""
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]
