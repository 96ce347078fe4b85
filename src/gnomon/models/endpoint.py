"""Models behind OpenAI-compatible servers: OpenAI, vLLM, llama.cpp, TGI, `transformers serve`, `gnomon serve`.

Messages go to `/chat/completions`, plain text to `/completions`. What a server can do is proved by `models.probe`;
before that an endpoint can only sample. Servers may add sampling rules of their own (vLLM reads the checkpoint's
`generation_config.json` unless started with `--generation-config vllm`): temperature and top_p are always sent.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from gnomon.core.errors import AbilityError, ModelError, UsageError, closest
from gnomon.core.seeds import Seed
from gnomon.models import decision_wire
from gnomon.models import openai_wire as wire
from gnomon.models.base import Ability, Choice, Completion, Message, Prompt, Sampling, Score, require
from gnomon.models.http import CallCache, Http, Refused, Retry
from gnomon.models.offers import Offers, best_readout
from gnomon.models.readout import Options, exact, from_top, split
from gnomon.models.sampled import choose_by_samples, extended, parse_name, trimmed

__all__ = ["Endpoint", "Offers"]

OPENAI_URL = "https://api.openai.com/v1"
_READOUTS = ["exact", "topk", "decision", "sampled"]


class Endpoint:
    """A model on an OpenAI-compatible server.

    Args:
        url: base URL, such as "http://127.0.0.1:8000/v1".
        model: the model's name on the server.
        api_key: secret; by default from OPENAI_API_KEY for api.openai.com, else from GNOMON_API_KEY (may be unset).
        name: as the user wrote it; by default "url#model".
        cache: answers kept from earlier.
        max_connections: most calls in flight; the number in use adapts below it.
        samples: draws behind a `choose` that must sample.
        readout: "exact", "topk", "decision" or "sampled" to hold `choose` to it; None for the best one proved.
        retry: how failed calls are repeated.

    SCORE and TOPK may hold for plain text only or for chat only; a call that does not fit raises `AbilityError`.
    `http` holds what transport knows: the calls' cache, their usage, the model's name on the server. `unproved` says
    that no probe has been made yet; until then `revision` is "".
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str | None = None,
        name: str = "",
        cache: CallCache | None = None,
        max_connections: int = 64,
        samples: int = 20,
        readout: str | None = None,
        retry: Retry | None = None,
    ) -> None:
        self._official = urlsplit(url).hostname == urlsplit(OPENAI_URL).hostname
        variable = "OPENAI_API_KEY" if self._official else "GNOMON_API_KEY"
        key = api_key if api_key is not None else os.environ.get(variable, "")
        if self._official and not key:
            raise UsageError("no key for api.openai.com", todo=f"set the environment variable {variable}")
        if readout is not None and readout not in _READOUTS:
            raise UsageError(f"no readout {readout!r}", todo=closest(readout, _READOUTS))
        self.http = Http(
            url=url,
            model=model,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            key=key,
            key_variable=variable,
            max_connections=max_connections,
            retry=retry or Retry(),
            cache=cache,
            stream_fields={"stream": True, "stream_options": {"include_usage": True}},
        )
        self.name = name or f"{self.http.url}#{model}"
        self.samples, self.readout = samples, readout
        self.offers = Offers()
        self.revision = ""
        self.can: frozenset[Ability] = frozenset({Ability.SAMPLE})
        self.unproved = True

    @classmethod
    def named(cls, name: str, *, cache: CallCache | None = None) -> Endpoint:
        """The endpoint called "openai:MODEL" or "http(s)://host/v1#MODEL", with "?samples=…&readout=…" behind it.

        Raises:
            UsageError: the name is not of this form.
        """
        bare, given = parse_name(name, ("samples", "readout"))
        if bare.startswith("openai:"):
            url, model = OPENAI_URL, bare.removeprefix("openai:")
        else:
            url, _, model = bare.partition("#")
        if not model:
            raise UsageError(f"{name!r} names no model", todo="write http://host:port/v1#MODEL or openai:MODEL")
        samples = int(given.get("samples", 20))
        return cls(url, model, name=name, cache=cache, samples=samples, readout=given.get("readout"))

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    @property
    def limit(self) -> str:
        """What chat calls the bound on new tokens; api.openai.com has renamed it."""
        return "max_completion_tokens" if self._official else "max_tokens"

    def learn(self, offers: Offers, revision: str) -> None:
        """Takes what a probe proved."""
        self.offers, self.can, self.unproved = offers, offers.can, False
        self.revision = self.http.revision = revision

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` independent continuations; as many calls as it takes where the server ignores `n`.

        Raises:
            AbilityError: the server was not seen to answer this kind of prompt, or its draws do not differ.
            ModelError: it cannot be reached, or refuses the call.
        """
        self._need_texts(prompt)
        if how.tools:
            require(self, Ability.TOOLS, why="calling tools")
        # Whoever reads a stream sees that the texts are alike; who counts them would not.
        if n > 1 and how.temperature > 0 and how.on_token is None and not self.offers.draws_differ:
            raise self._greedy()
        body, cut = self._body(prompt, how)
        route = _route(prompt)
        if how.on_token is not None:
            # One after the other, so that pieces of two texts never mix.
            return [(await self._draw(route, body, how, cut, 1, i))[0] for i in range(n)]
        first = n if self.offers.honours_n else 1
        found = (await self._draw(route, body, how, cut, first, 0))[:n]
        more = [self._draw(route, body, how, cut, 1, i) for i in range(len(found), n)]
        return found + [c[0] for c in await asyncio.gather(*more)]

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Log-probabilities of `continuation`; plain text by `echo`, messages by vLLM's `prompt_logprobs`.

        A token that spans the end of the prompt belongs to the continuation, and so does what it swallowed.

        Raises:
            AbilityError: the server was not seen to score this kind of prompt.
            ModelError: it no longer does.
        """
        self._need(prompt, Ability.SCORE)
        if isinstance(prompt, str):
            echoed = await self._echo(prompt + continuation)
            found = [e for e in echoed if e.start + len(e.token) > len(prompt)]
        else:
            found = await self._tail(prompt, continuation)
        return Score(logprobs=tuple(e.logprob for e in found if e.logprob is not None))

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Probabilities of `options` by the best readout proved: full scores, top-k lists, typed questions, samples.

        Where a top-k list cannot tell the options apart, or the route for typed questions refuses them (many servers
        want an option to be one token), the next readout is used; `readout` of the choice says which it was.

        Raises:
            AbilityError: the readout asked for was not proved, or there are neither log-probabilities nor samples.
            ModelError: the server no longer gives what it gave when probed.
        """
        parts = split(options)
        offered = self._offered(prompt)
        readout = self.readout or best_readout(offered)
        if readout == "exact":
            self._need(prompt, Ability.SCORE)
            return await self._choose_exact(prompt, parts)
        if readout == "topk":
            self._need(prompt, Ability.TOPK)
            choice = await self._choose_top(prompt, parts)
            if choice is not None:
                return choice
        if readout == "decision" or (self.readout is None and Ability.DECIDE in offered):
            self._need(prompt, Ability.DECIDE)
            choice = await self._decide(prompt, options)
            if choice is not None:
                return choice
        self._need_texts(prompt)
        if not self.offers.draws_differ:
            raise self._greedy()
        forceable = isinstance(prompt, str) or Ability.PREFILL in offered
        return await choose_by_samples(self, prompt, options, self.samples, forceable)

    async def reward(self, prompt: Prompt) -> float:
        """Endpoints have no reward head.

        Raises:
            AbilityError: always.
        """
        require(self, Ability.REWARD, why="a reward")
        raise AssertionError("unreachable: no endpoint has REWARD")

    async def close(self) -> None:
        """Closes the connections."""
        await self.http.close()

    def _offered(self, prompt: Prompt) -> frozenset[Ability]:
        return self.offers.text if isinstance(prompt, str) else self.offers.chat

    def _need(self, prompt: Prompt, ability: Ability) -> None:
        if ability not in self._offered(prompt):
            kind = "plain text" if isinstance(prompt, str) else "messages"
            raise AbilityError(
                f"the server was not seen to offer {ability.value.upper()} for {kind}",
                where=self.name,
                todo="add ?readout=sampled to the model's name, or use a server that gives log-probabilities",
            )

    def _need_texts(self, prompt: Prompt) -> None:
        if Ability.SAMPLE in self._offered(prompt):
            return
        plain = isinstance(prompt, str)
        raise AbilityError(
            f"the server does not answer {_route(prompt)}, which {'plain text' if plain else 'messages'} would go to",
            where=self.name,
            todo="ask through the chat template with --chat" if plain else "ask without --chat",
        )

    def _greedy(self) -> AbilityError:
        return AbilityError(
            "the server gave one text to all seeds at temperature 1, so nothing can be read from samples",
            where=self.name,
            todo='make it sample (for `transformers serve`: "do_sample": true in generation_config.json)',
        )

    def _body(self, prompt: Prompt, how: Sampling) -> tuple[dict[str, Any], str]:
        """The call's body, and white space at the prompt's end that the server is not shown."""
        body, cut = self._prompt(prompt)
        limit = "max_tokens" if isinstance(prompt, str) else self.limit
        body |= {limit: how.max_tokens, "temperature": how.temperature}
        if not (self._official and how.top_p == 1.0):
            body["top_p"] = how.top_p
        if how.stop:
            # api.openai.com takes four; the others are cut here
            body["stop"] = list(how.stop[:4] if self._official else how.stop)
        text = isinstance(prompt, str)
        if how.logprobs and (self.offers.num_top_text if text else self.offers.num_top_chat):
            body["logprobs"] = 1 if text else True
        return body, cut

    def _prompt(self, prompt: Prompt) -> tuple[dict[str, Any], str]:
        if isinstance(prompt, str):
            return {"model": self.http.model, "prompt": prompt}, ""
        messages, cut = trimmed(prompt)
        body: dict[str, Any] = {"model": self.http.model, "messages": [m._asdict() for m in messages]}
        if messages[-1].role == "assistant":
            require(self, Ability.PREFILL, why="continuing a prefilled answer")
            body |= self.offers.continues or {}
        return body, cut

    async def _draw(
        self, route: str, body: Mapping[str, Any], how: Sampling, cut: str, n: int, index: int
    ) -> list[Completion]:
        seed = how.seed if index == 0 else Seed(how.seed).child("draw", index).value
        # Some servers read seeds as 32-bit integers.
        asked = {**body, "seed": seed & 0x7FFFFFFF}
        if n > 1:
            asked["n"] = n
        stream = functools.partial(wire.Stream, how.on_token) if how.on_token is not None else None
        reply = await self.http.call(route, asked, index=index, stream=stream)
        return wire.completions(reply, how.stop, self.name, cut)

    async def _echo(self, text: str) -> list[wire.Echoed]:
        # One new token, which nobody reads: some servers fail when asked for none.
        asked = {"prompt": text, "echo": True, "logprobs": 1, "max_tokens": 1, "temperature": 0.0}
        reply = await self.http.call("/completions", {"model": self.http.model, **asked})
        found = wire.echoed(reply, text, self.name)
        if found is None:
            raise self._lacks("the prompt's log-probabilities (echo)")
        return found

    async def _tail(self, prompt: Sequence[Message], continuation: str) -> list[wire.Echoed]:
        messages = extended(prompt, continuation)
        body, cut = self._prompt(messages)
        reply = await self.http.call("/chat/completions", body | {"prompt_logprobs": 0, self.limit: 1})
        tail = continuation.removesuffix(cut)
        found = wire.prompt_tail(reply, tail.lstrip() if len(messages) > len(prompt) else tail, self.name)
        if found is None:
            raise self._lacks("prompt_logprobs")
        return found

    async def _choose_exact(self, prompt: Prompt, parts: Options) -> Choice:
        whole = [parts.forced + rest for rest in parts.rests]
        if isinstance(prompt, str):
            ahead = len(prompt) + len(parts.forced)
            texts = await asyncio.gather(*(self._echo(prompt + w) for w in whole))
        else:
            begun = prompt[-1].role == "assistant"
            ahead = len(parts.forced if begun else parts.forced.lstrip())
            texts = await asyncio.gather(*(self._tail(prompt, w) for w in whole))
        # Counted from the last place that is a token border in every text, so that options merging with what stands
        # before ("(A" as one token) are compared over the same characters; `mass` is then a lower bound.
        borders = set.intersection(*({e.start for e in t} for t in texts))
        start = max((b for b in borders if b <= ahead), default=-len(whole[0]))
        return exact([sum(e.logprob or 0.0 for e in t if e.start >= start) for t in texts])

    async def _choose_top(self, prompt: Prompt, parts: Options) -> Choice | None:
        if isinstance(prompt, str):
            forced = prompt + parts.forced
            body = {"model": self.http.model, "prompt": forced, "logprobs": self.offers.num_top_text}
            found = await self._steps("/completions", body | {"max_tokens": 1})
            return from_top(found[0].top, parts.rests)
        listed = {"logprobs": True, "top_logprobs": self.offers.num_top_chat}
        if Ability.PREFILL in self.offers.chat:
            body, _ = self._prompt(extended(prompt, parts.forced))
            found = await self._steps("/chat/completions", body | listed | {self.limit: 1})
            return from_top(found[0].top, parts.rests)
        body, _ = self._prompt(prompt)
        found = await self._steps("/chat/completions", body | listed | {self.limit: 8})
        return _where_reached(found, parts)

    async def _decide(self, prompt: Prompt, options: Sequence[str]) -> Choice | None:
        """The choice by typed questions; None where the server refuses these options and samples can be drawn."""
        by = self.offers.decides
        assert by is not None, "DECIDE is proved with a route"
        body = {"model": self.http.model, **decision_wire.question(by, prompt, options)}
        try:
            reply = await self.http.call(by.route, body)
        except Refused as refused:
            if refused.status not in (400, 422):
                raise
            if self.readout is None and Ability.SAMPLE in self._offered(prompt) and self.offers.draws_differ:
                return None
            raise ModelError(
                f"{by.route} refuses the options {', '.join(map(repr, options))} ({refused.what})",
                where=self.name,
                todo="use options of one token each, or add ?readout=sampled to the model's name",
            ) from None
        return decision_wire.choice(by, reply, options, self.name)

    async def _steps(self, route: str, body: dict[str, Any]) -> list[wire.Step]:
        reply = await self.http.call(route, body | {"temperature": 0.0})
        found = wire.steps(reply, self.name)
        if found is None:
            raise self._lacks("log-probabilities")
        return found

    def _lacks(self, what: str) -> ModelError:
        # Of this call, not of the server: one reply without them is no reason to give up the others.
        return ModelError(
            f"the server returned no {what}, which it gave when probed",
            where=self.name,
            todo="add ?readout=sampled to the model's name, or use a server that supports logprobs",
        )


def _route(prompt: Prompt) -> str:
    return "/completions" if isinstance(prompt, str) else "/chat/completions"


def _where_reached(found: Sequence[wire.Step], parts: Options) -> Choice | None:
    """The choice at the first place where the model has written what the options begin with, or at the start."""
    wanted = parts.forced.strip()
    text, logprob = "", 0.0
    for step in found:
        if text.strip() == wanted:
            choice = from_top(step.top, parts.rests, math.exp(logprob))
            if choice is not None and choice.mass > 0.0:
                return choice
        text, logprob = text + step.token, logprob + step.logprob
    return from_top(found[0].top, parts.rests)
