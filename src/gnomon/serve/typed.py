"""Typed questions as the server understands them, from a body of `/v1/decisions` or `/v1/systemone`.

OpenAI's route and that of System One ask for the same in other words: `predicate` is `noul`, `input` is `state`,
a list of named questions is a map of them. Both are read into `Typed`, every field strictly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gnomon.models.base import Message, Prompt
from gnomon.serve.fields import HARMLESS, Fields, array, object_, short, text
from gnomon.serve.refusal import Refusal

__all__ = ["Option", "Question", "Typed", "decisions", "systemone"]

Kind = Literal["predicate", "choice", "score"]

_MOST_QUESTIONS, _MOST_OPTIONS = 400, 255
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_CACHING = {"prompt_cache_options", "prompt_cache_breakpoint", "cache_salt"}
# Fields of other servers, with the values that ask for nothing that is not here.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "assets": ({},),
    "images": ([],),
    "chat_template_kwargs": ({}, {"enable_thinking": False}),
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One allowed answer, and what it means where that is said."""

    value: str | bool
    description: str = ""

    @property
    def words(self) -> str:
        """The value as a model writes it."""
        return self.value if isinstance(self.value, str) else str(self.value).lower()


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question: `options` are those of a choice, the levels of a score, or the two sides of a predicate.

    Attributes:
        name: what the client calls it; None where it gives no name.
        kind: which of the three.
        instructions: the question in words; "" where the options themselves follow the input.
        options: two or more, all different.
        where: its place in the request, for messages.
    """

    name: str | None
    kind: Kind
    instructions: str
    options: tuple[Option, ...]
    where: str


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What is asked: questions about one input, by the model that goes by `model`."""

    model: str
    input: Prompt
    questions: tuple[Question, ...]


def decisions(body: object) -> Typed:
    """A body of `/v1/decisions`.

    Raises:
        Refusal: a field is wrong, or asks for what is not here.
    """
    fields = Fields(body)
    given = fields.need("input", _input)
    listed = fields.need("questions", array(1, _MOST_QUESTIONS))
    asked = tuple(_listed_question(entry, f"questions[{i}]") for i, entry in enumerate(listed))
    return _typed(fields, given, asked)


def systemone(body: object) -> Typed:
    """A body of `/v1/systemone`; a state that is a list of objects with role and content alone is a conversation.

    Raises:
        Refusal: a field is wrong, or asks for what is not here.
    """
    fields = Fields(body)
    given = fields.need("state", _state)
    named = fields.need("questions", _named)
    asked = tuple(_named_question(name, entry) for name, entry in named.items())
    return _typed(fields, given, asked)


def _typed(fields: Fields, given: Prompt, questions: tuple[Question, ...]) -> Typed:
    model = fields.need("model", text)
    fields.refuse_the_rest(HARMLESS | _CACHING, _NEUTRAL)
    return Typed(model=model, input=given, questions=questions)


def _listed_question(entry: object, where: str) -> Question:
    fields = Fields(entry, where)
    kind = fields.need("type", _one_of("predicate", "choice", "score"))
    name = fields.take("name", text)
    instructions = fields.take("instructions", lambda value: _content(value, f"{where}.instructions")) or ""
    options: tuple[Option, ...] = (Option(value=True), Option(value=False))
    if kind != "predicate":
        called, key, read = ("choices", "value", _value) if kind == "choice" else ("levels", "label", text)
        listed = fields.need(called, array(2, _MOST_OPTIONS))
        options = tuple(_option(each, key, read, f"{where}.{called}[{i}]") for i, each in enumerate(listed))
    fields.refuse_the_rest()
    return _question(name, kind, instructions, options, where)


def _named_question(name: str, entry: object) -> Question:
    where = f"questions.{name}"
    fields = Fields(entry, where)
    kinds = {"noul": "predicate", "choice": "choice", "score": "score"}
    kind = kinds[fields.need("type", _one_of(*kinds))]
    instructions = fields.take("instructions", _told) or ""
    if kind == "predicate":
        said = fields.take("criteria", object_) or {}
        unknown = sorted(set(said) - {"true", "false"})
        if unknown:
            raise Refusal(
                f"unknown parameter {f'{where}.criteria.{unknown[0]}'!r}; give true and false",
                param=f"{where}.criteria",
                code="unknown_parameter",
            )
        options = tuple(
            Option(value=side, description=_told(said.get(str(side).lower()) or "")) for side in (True, False)
        )
    elif kind == "choice":
        criteria = fields.need("criteria", _criteria)
        options = tuple(Option(value=value, description=_told(told or "")) for value, told in criteria.items())
    else:
        levels = fields.need("criteria", array(2, _MOST_OPTIONS))
        options = tuple(Option(value=_told(level)) for level in levels)
    fields.refuse_the_rest()
    return _question(name, kind, instructions, options, where)


def _question(name: str | None, kind: str, instructions: str, options: tuple[Option, ...], where: str) -> Question:
    words = [option.words for option in options]
    if not all(words):
        raise Refusal(f"{where} has an empty option", param=where)
    twice = [word for word in words if words.count(word) > 1]
    if twice:
        raise Refusal(f"{where} has the option {short(twice[0])} twice", param=where)
    return Question(name=name, kind=kind, instructions=instructions, options=options, where=where)  # type: ignore[arg-type]  # one of Kind


def _option(entry: object, key: str, read: Callable[[object], Any], where: str) -> Option:
    fields = Fields(entry, where)
    option = Option(value=fields.need(key, read), description=fields.take("description", text) or "")
    fields.refuse_the_rest()
    return option


def _one_of(*kinds: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in kinds:
            raise ValueError(f"{', '.join(kinds[:-1])} or {kinds[-1]}")
        return str(value)

    return read


def _value(value: object) -> str | bool:
    if not isinstance(value, str | bool):
        raise ValueError("a text, true or false")
    return value


def _criteria(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not 2 <= len(value) <= _MOST_OPTIONS:
        raise ValueError(f"an object of 2 to {_MOST_OPTIONS} options with what each means, or null")
    return value


def _named(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not 1 <= len(value) <= _MOST_QUESTIONS or "" in value:
        raise ValueError(f"an object of 1 to {_MOST_QUESTIONS} questions by name")
    return value


def _told(value: object) -> str:
    """A text as it is, anything else as its JSON."""
    if not isinstance(value, str | dict | list):
        raise ValueError("a text, an object or a list")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _state(value: object) -> Prompt:
    if isinstance(value, list) and value and all(_is_turn(each) for each in value):
        return [_message(each, f"state[{i}]") for i, each in enumerate(value)]
    return _told(value)


def _is_turn(value: object) -> bool:
    return isinstance(value, Mapping) and set(value) == {"role", "content"} and isinstance(value["content"], str)


def _input(value: object) -> Prompt:
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise ValueError("a text, or a list of messages")
    return [_message(entry, f"input[{i}]") for i, entry in enumerate(value)]


def _message(entry: object, where: str) -> Message:
    fields = Fields(entry, where)
    if fields.take("type", text) not in (None, "message"):
        raise Refusal(f"{where} is no message, and only messages are read", param=f"{where}.type")
    role = _ROLES[fields.need("role", _one_of(*_ROLES))]
    content = fields.need("content", lambda value: _content(value, f"{where}.content"))
    fields.refuse_the_rest({"phase"})
    return Message(role, content)  # type: ignore[arg-type]  # one of _ROLES


def _content(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, Sequence):
        raise ValueError("a text, or a list of parts")
    return "".join(_part(entry, f"{where}[{i}]") for i, entry in enumerate(value))


def _part(entry: object, where: str) -> str:
    fields = Fields(entry, where)
    kind = fields.need("type", text)
    if kind in ("input_text", "output_text"):
        found = fields.need("text", text)
    elif kind == "input_json":
        found = fields.need("data", _told)
    else:
        raise Refusal(f"{where} is of type {short(kind)}, and only text and JSON are read", param=f"{where}.type")
    fields.refuse_the_rest(_CACHING)
    return found
