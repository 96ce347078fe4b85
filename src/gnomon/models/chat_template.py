"""Conversations as text: the model's own Jinja template, or a plain wording where it has none."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from gnomon.core.errors import ModelError
from gnomon.models.base import Message

__all__ = ["render", "render_plainly"]

# Marks where the prefill ends; what a template writes after it (an end-of-turn token) is cut off.
_MARK = "\ue000prefill ends\ue000"


def render(template: str, messages: Sequence[Message], *, special: dict[str, str], where: str = "") -> str:
    """`messages` in the words of a Hugging Face `chat_template`, ready to be continued by the assistant.

    Args:
        template: the Jinja source.
        messages: the conversation; a last assistant message is a prefill, and the text ends right behind it.
        special: `bos_token`, `eos_token` and the like, which templates write.
        where: the model's name, for errors.

    Raises:
        ModelError: the template does not parse, refuses the conversation (many refuse a system message or two turns of
            one role), or leaves the prefill out.
    """
    turns = [{"role": message.role, "content": message.content} for message in messages]
    prefilled = bool(turns) and turns[-1]["role"] == "assistant"
    if prefilled:
        turns[-1]["content"] += _MARK
    try:
        compiled = _environment().from_string(template)
        text = compiled.render(
            messages=turns, add_generation_prompt=not prefilled, tools=None, documents=None, **special
        )
    except TemplateError as error:
        raise ModelError(f"the chat template refused the conversation ({error})", where=where) from None
    if not prefilled:
        return text
    before, mark, _ = text.rpartition(_MARK)
    if not mark:
        raise ModelError("the chat template leaves out a last assistant message", where=where)
    return before


def render_plainly(messages: Sequence[Message]) -> str:
    """The wording for models without a template: "Human: …", a blank line, "Assistant:".

    A system message stands first, as it is; a space is put before an assistant's words unless they begin with one.

    >>> render_plainly([Message("user", "Hi.")])
    'Human: Hi.\\n\\nAssistant:'
    >>> render_plainly([Message("user", "Hi."), Message("assistant", "Hel")])
    'Human: Hi.\\n\\nAssistant: Hel'
    """
    turns = [_turn(message) for message in messages]
    if not messages or messages[-1].role != "assistant":
        turns.append("Assistant:")
    return "\n\n".join(turns)


def _turn(message: Message) -> str:
    if message.role == "system":
        return message.content
    name = "Human:" if message.role == "user" else "Assistant:"
    gap = "" if not message.content or message.content[0].isspace() else " "
    return f"{name}{gap}{message.content}"


class _Generation(Extension):
    """Templates may mark the assistant's words with `{% generation %}`; they are rendered as they stand."""

    tags = {"generation"}  # noqa: RUF012  # jinja2 declares it so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    """The environment that `transformers` renders in; a template is a stranger's code, so it is sandboxed."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(form)
    return environment


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **how: Any) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **how)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
