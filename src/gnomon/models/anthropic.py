"""Models behind the Anthropic Messages API.

It shows texts and no log-probabilities, so `choose` samples. There is no seed and no plain-text completion; a last
assistant message is continued by those models that accept one, which `models.probe` finds out.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gnomon.core.errors import AbilityError, ModelError, UsageError
from gnomon.models.base import Ability, Choice, Completion, Prompt, Sampling, Score, require
from gnomon.models.http import CallCache, Http, Retry
from gnomon.models.sampled import choose_by_samples, cut_at, parse_name, trimmed

__all__ = ["Anthropic"]

URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
_FINISH = {"max_tokens": "length", "refusal": "error"}
# Shorter prompts than this (about 1,024 tokens) are not cached by the provider.
_CACHED_CHARACTERS = 4000


class Anthropic:
    """A model behind the Anthropic Messages API.

    Args:
        model: the provider's name of it.
        api_key: secret; by default from ANTHROPIC_API_KEY.
        url: base URL without "/v1".
        name: as the user wrote it; by default "anthropic:model".
        cache: answers kept from earlier.
        max_connections: most calls in flight; the number in use adapts below it.
        samples: draws behind a `choose`.
        retry: how failed calls are repeated.

    `http` holds what transport knows: the calls' cache, their usage, the model's name on the server. `unproved` says
    that no probe has been made yet; until then `revision` is "".
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | None = None,
        url: str = URL,
        name: str = "",
        cache: CallCache | None = None,
        max_connections: int = 64,
        samples: int = 20,
        retry: Retry | None = None,
    ) -> None:
        key = api_key if api_key is not None else os.environ.get("ANTHROPIC_API_KEY", "")
        if not key:
            raise UsageError("no key for the Anthropic API", todo="set the environment variable ANTHROPIC_API_KEY")
        self.http = Http(
            url=url,
            model=model,
            headers={"x-api-key": key, "anthropic-version": VERSION},
            key=key,
            key_variable="ANTHROPIC_API_KEY",
            max_connections=max_connections,
            retry=retry or Retry(),
            cache=cache,
        )
        self.name = name or f"anthropic:{model}"
        self.samples = samples
        self.revision = ""
        self.can: frozenset[Ability] = frozenset({Ability.SAMPLE})
        self.unproved = True

    @classmethod
    def named(cls, name: str, *, cache: CallCache | None = None) -> Anthropic:
        """The model called "anthropic:MODEL", with "?samples=…" behind it, at ANTHROPIC_BASE_URL where that is set.

        Raises:
            UsageError: the name is not of this form, or there is no key.
        """
        bare, given = parse_name(name, ("samples",))
        if not bare.startswith("anthropic:") or bare == "anthropic:":
            raise UsageError(f"{name!r} names no model", todo="write anthropic:MODEL")
        url = os.environ.get("ANTHROPIC_BASE_URL", "").rstrip("/") or URL
        samples = int(given.get("samples", 20))
        return cls(bare.removeprefix("anthropic:"), url=url, name=name, cache=cache, samples=samples)

    def __repr__(self) -> str:
        return f"Anthropic({self.name!r})"

    def learn(self, can: frozenset[Ability], revision: str) -> None:
        """Takes what a probe proved."""
        self.can, self.unproved = can, False
        self.revision = self.http.revision = revision

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` continuations by `n` calls; the seed only names the draw, since the API takes none.

        Raises:
            AbilityError: plain text, or a prefill that the model was not seen to continue.
        """
        if how.tools:
            require(self, Ability.TOOLS, why="calling tools")
        body, cut = self._body(prompt, how)
        draws = [self._draw(body, how, cut, i) for i in range(n)]
        if how.on_token is None:
            return list(await asyncio.gather(*draws))
        return [await draw for draw in draws]

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """The API has no scores.

        Raises:
            AbilityError: always.
        """
        require(self, Ability.SCORE, why="scoring a text")
        raise AssertionError("unreachable: the API has no SCORE")

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Probabilities of `options` from `samples` draws."""
        return await choose_by_samples(self, prompt, options, self.samples, Ability.PREFILL in self.can)

    async def reward(self, prompt: Prompt) -> float:
        """The API has no reward head.

        Raises:
            AbilityError: always.
        """
        require(self, Ability.REWARD, why="a reward")
        raise AssertionError("unreachable: the API has no REWARD")

    async def close(self) -> None:
        """Closes the connections."""
        await self.http.close()

    def _body(self, prompt: Prompt, how: Sampling) -> tuple[dict[str, Any], str]:
        if isinstance(prompt, str):
            raise AbilityError(
                "the Anthropic API continues no plain text", where=self.name, todo="use a method that sends messages"
            )
        messages, cut = trimmed(prompt)
        if messages[-1].role == "assistant":
            require(self, Ability.PREFILL, why="continuing a prefilled answer")
        body: dict[str, Any] = {
            "model": self.http.model,
            "messages": [m._asdict() for m in messages if m.role != "system"],
            "max_tokens": how.max_tokens,
            "temperature": how.temperature,
        }
        system = "\n\n".join(m.content for m in messages if m.role == "system")
        if system:
            body["system"] = _system(system)
        if how.top_p < 1.0:
            body["top_p"] = how.top_p
        # The API refuses stop sequences of white space alone; those are cut here.
        stops = [s for s in how.stop if s.strip()]
        if stops:
            body["stop_sequences"] = stops
        return body, cut

    async def _draw(self, body: Mapping[str, Any], how: Sampling, cut: str, index: int) -> Completion:
        stream = functools.partial(_Stream, how.on_token) if how.on_token is not None else None
        reply = await self.http.call("/v1/messages", body, index=(how.seed, index), stream=stream)
        blocks = reply.get("content")
        if not isinstance(blocks, list):
            raise ModelError("the reply holds no content", where=self.name, todo="check the URL")
        whole = "".join(str(b.get("text", "")) for b in blocks if b.get("type") == "text")
        text, stopped = cut_at(whole.removeprefix(cut), how.stop)
        finish = "stop" if stopped else _FINISH.get(str(reply.get("stop_reason")), "stop")
        tokens = int((reply.get("usage") or {}).get("output_tokens") or 0)
        return Completion(text=text, finish=finish, num_tokens=tokens, raw=reply)


def _system(text: str) -> str | list[dict[str, Any]]:
    """A long system text carries the mark that makes the provider keep it for the next call."""
    if len(text) < _CACHED_CHARACTERS:
        return text
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


class _Stream:
    """Collects the events of one streamed message, handing each piece of text on."""

    def __init__(self, on_token: Callable[[str], None]) -> None:
        self.started = False
        self.done = False
        self._on_token = on_token
        self._reply: dict[str, Any] = {}
        self._pieces: list[str] = []
        self._used: dict[str, Any] = {}

    def feed(self, event: dict[str, Any]) -> None:
        """Takes one event, or a whole message."""
        kind = event.get("type")
        if kind in ("message_start", "message"):
            message = event.get("message") or event
            self._reply = {k: v for k, v in message.items() if k != "content"}
            self._used |= message.get("usage") or {}
            for block in message.get("content") or ():
                self._piece(block.get("text", ""))
        elif kind == "content_block_delta":
            self._piece(event["delta"].get("text", ""))
        elif kind == "message_delta":
            self._reply |= event.get("delta") or {}
            self._used |= event.get("usage") or {}
        elif kind == "message_stop":
            self.done = True

    def reply(self) -> dict[str, Any]:
        """The message as if it had come in one piece."""
        text = [{"type": "text", "text": "".join(self._pieces)}]
        return {**self._reply, "content": text, "usage": self._used}

    def _piece(self, text: str) -> None:
        if text:
            self.started = True
            self._pieces.append(text)
            self._on_token(text)
