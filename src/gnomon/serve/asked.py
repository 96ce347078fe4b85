"""A request as the server understands it: every field read strictly, none that would change the answer passed over."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from gnomon.models.base import Message, Prompt, Sampling
from gnomon.serve.fields import HARMLESS, Fields, flag, number, object_, short, text, whole
from gnomon.serve.refusal import Refusal

__all__ = ["MOST_TEXTS", "Asked", "Given", "chat", "completion"]

Json: TypeAlias = Mapping[str, Any]
# A prompt, or the token ids of one.
Given: TypeAlias = Prompt | tuple[int, ...]

MOST_TEXTS = 2048
_MOST_N, _MOST_TOP, _MOST_STOPS = 128, 20, 16
# What plain completions are cut at where the client does not say.
_TEXT_TOKENS = 16
# Features that are not here; these values ask for none of them.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "logit_bias": ({},),
    "best_of": (1,),
    "suffix": ("",),
    "top_k": (0, -1),
    "min_p": (0,),
    "tools": ([],),
    "tool_choice": ("none",),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
}
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked.

    Attributes:
        is_chat: the chat route; its reply is worded differently.
        model: the name the client gives.
        prompts: one, or for plain completions several.
        max_tokens: new tokens wanted; None for as many as fit.
        how: the other settings of sampling; its `max_tokens` means nothing.
        n: completions of each prompt.
        num_top: tokens to list at each place with their log-probabilities; 0 for the drawn ones alone, None for no
            log-probabilities at all.
        echo: the prompt is part of the text.
        num_prompt_top: as `num_top`, for the prompt's tokens in vLLM's `prompt_logprobs`.
        token_ids: ids of the new tokens too, vLLM's `return_token_ids`; the one that ends the text is among them.
        stream: answered in events; `with_usage` adds one that counts tokens.
    """

    is_chat: bool
    model: str
    prompts: tuple[Given, ...]
    max_tokens: int | None
    how: Sampling
    n: int = 1
    num_top: int | None = None
    echo: bool = False
    num_prompt_top: int | None = None
    token_ids: bool = False
    stream: bool = False
    with_usage: bool = False


def chat(body: object) -> Asked:
    """A body of `/v1/chat/completions`.

    Raises:
        Refusal: a field is wrong, or asks for what is not here.
    """
    fields = Fields(body)
    messages = fields.take("messages", _messages)
    if messages is None:
        raise Refusal("the body has no messages", param="messages")
    _continues(fields, messages)
    wants, top = fields.take("logprobs", flag), fields.take("top_logprobs", whole(0, _MOST_TOP))
    if top is not None and not wants:
        raise Refusal("top_logprobs needs logprobs to be true", param="top_logprobs")
    limits = [fields.take(name, whole(1)) for name in ("max_completion_tokens", "max_tokens")]
    return _asked(
        fields,
        is_chat=True,
        prompts=(messages,),
        max_tokens=next((limit for limit in limits if limit is not None), None),
        num_top=(top or 0) if wants else None,
        num_prompt_top=fields.take("prompt_logprobs", whole(0, _MOST_TOP)),
    )


def completion(body: object) -> Asked:
    """A body of `/v1/completions`.

    Raises:
        Refusal: a field is wrong, or asks for what is not here.
    """
    fields = Fields(body)
    prompts = fields.take("prompt", _prompts)
    if prompts is None:
        raise Refusal("the body has no prompt", param="prompt")
    echo = fields.take("echo", flag) or False
    token_ids = fields.take("return_token_ids", flag) or False
    limit = fields.take("max_tokens", whole(0))
    if limit == 0 and not echo:
        raise Refusal("max_tokens is 0, which makes sense only with echo", param="max_tokens")
    return _asked(
        fields,
        is_chat=False,
        prompts=prompts,
        max_tokens=_TEXT_TOKENS if limit is None else limit,
        num_top=fields.take("logprobs", whole(0, _MOST_TOP)),
        echo=echo,
        token_ids=token_ids,
    )


def _asked(
    fields: Fields,
    *,
    is_chat: bool,
    prompts: tuple[Given, ...],
    max_tokens: int | None,
    num_top: int | None,
    echo: bool = False,
    num_prompt_top: int | None = None,
    token_ids: bool = False,
) -> Asked:
    """The request, with the fields that both routes share."""
    model = fields.take("model", text)
    if model is None:
        raise Refusal("the body names no model", param="model")
    n, stream = fields.take("n", whole(1, _MOST_N)) or 1, fields.take("stream", flag) or False
    if n * len(prompts) > MOST_TEXTS:
        raise Refusal(f"{n * len(prompts)} completions are wanted; at most {MOST_TEXTS} are given", param="n")
    if token_ids and (stream or echo):
        raise Refusal("return_token_ids goes with neither stream nor echo", param="return_token_ids")
    with_usage = _with_usage(fields, stream)
    how = _how(fields)
    fields.refuse_the_rest(HARMLESS, _NEUTRAL)
    return Asked(
        is_chat=is_chat,
        model=model,
        prompts=prompts,
        max_tokens=max_tokens,
        how=how,
        n=n,
        num_top=num_top,
        echo=echo,
        num_prompt_top=num_prompt_top,
        token_ids=token_ids,
        stream=stream,
        with_usage=with_usage,
    )


def _how(fields: Fields) -> Sampling:
    seed, stop = fields.take("seed", whole(-(1 << 63))), fields.take("stop", _stops)
    temperature, top_p = fields.take("temperature", number(0, 100)), fields.take("top_p", number(0, 1))
    if top_p == 0:
        raise Refusal("top_p is 0; give a number above 0, at most 1, or temperature 0 for greedy", param="top_p")
    return Sampling(
        temperature=1.0 if temperature is None else temperature,
        top_p=1.0 if top_p is None else top_p,
        stop=stop or (),
        # Whoever names no seed wants another draw each time.
        seed=secrets.randbits(62) if seed is None else seed,
    )


def _with_usage(fields: Fields, stream: bool) -> bool:
    options = fields.take("stream_options", object_) or {}
    if options and not stream:
        raise Refusal("stream_options needs stream to be true", param="stream_options")
    unknown = sorted(set(options) - {"include_usage", "include_obfuscation"})
    if unknown:
        raise Refusal(f"unknown stream_options: {', '.join(unknown)}", param="stream_options")
    return bool(options.get("include_usage"))


def _continues(fields: Fields, messages: tuple[Message, ...]) -> None:
    """A last assistant message is continued; what the client says of that must agree."""
    begun = messages[-1].role == "assistant"
    continues = fields.take("continue_final_message", flag)
    if continues is not None and continues != begun:
        raise Refusal(
            "continue_final_message must be true where the last message is the assistant's, and only there",
            param="continue_final_message",
        )
    adds = fields.take("add_generation_prompt", flag)
    if adds is not None and adds == begun:
        raise Refusal(
            "add_generation_prompt must be false where the last message is the assistant's, and only there",
            param="add_generation_prompt",
        )


def _messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("a list of one message or more")
    return tuple(_message(entry, f"messages[{i}]") for i, entry in enumerate(value))


def _message(entry: object, where: str) -> Message:
    if not isinstance(entry, Mapping):
        raise Refusal(f"{where} is no object", param=where)
    role = _ROLES.get(str(entry.get("role")))
    if role is None:
        raise Refusal(f"{where} has role {short(entry.get('role'))}; give {', '.join(_ROLES)}", param=f"{where}.role")
    # Clients send earlier answers back as they came, with fields that are empty.
    unknown = sorted(str(k) for k, v in entry.items() if k not in ("role", "content") and v not in (None, [], ""))
    if unknown:
        raise Refusal(f"{where}.{unknown[0]} is not supported; leave it out", param=f"{where}.{unknown[0]}")
    return Message(role, _content(entry.get("content"), f"{where}.content"))  # type: ignore[arg-type]  # one of _ROLES


def _content(value: object, where: str) -> str:
    if isinstance(value, str):
        return value
    parts = value if isinstance(value, list) else [None]
    texts = [p.get("text") if isinstance(p, Mapping) and p.get("type") == "text" else None for p in parts]
    if not all(isinstance(text, str) for text in texts):
        raise Refusal(f"{where} is neither a text nor a list of text parts", param=where)
    return "".join(map(str, texts))


def _prompts(value: object) -> tuple[Given, ...]:
    wanted = "a text, a list of texts, token ids, or a list of those"
    if isinstance(value, str) or _is_ids(value):
        return (_prompt(value, wanted),)
    if not isinstance(value, list) or not value:
        raise ValueError(wanted)
    return tuple(_prompt(entry, wanted) for entry in value)


def _prompt(value: object, wanted: str) -> Given:
    if isinstance(value, str):
        return value
    if not _is_ids(value):
        raise ValueError(wanted)
    assert isinstance(value, list)
    return tuple(value)


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(type(v) is int and v >= 0 for v in value)


def _stops(value: object) -> tuple[str, ...]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(s, str) and s for s in found) or len(found) > _MOST_STOPS:
        raise ValueError(f"a text that is not empty, or at most {_MOST_STOPS} of them")
    return tuple(found)
