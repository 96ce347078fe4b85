"""What an endpoint can do, found by asking it; names and documentation prove nothing.

One fixed question, a handful of calls that bypass the call cache. The transcript goes into the run, so that a reader
can see why a readout was chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from gnomon.core.errors import ModelError
from gnomon.models import decision_wire
from gnomon.models import openai_wire as wire
from gnomon.models.anthropic import Anthropic
from gnomon.models.base import Ability, Message, Model, Prompt
from gnomon.models.endpoint import Endpoint, Offers
from gnomon.models.http import Http, Page, Refused
from gnomon.models.offers import Decides

__all__ = ["Probed", "Step", "probe"]

QUESTION = (
    "What is the capital of France?\n\nChoices:\n (A) Rome\n (B) Paris\n (C) Oslo\n\nAnswer in one full sentence."
)
# Whoever draws at temperature 1 does not write the same eight times.
RANDOM = "Write eight random letters, and nothing else."
NUM_DRAWS = 8
PREFILL = "The answer is ("
TEXT = f"Question: {QUESTION}\n\nAnswer: {PREFILL}"
# vLLM and `transformers serve` close a last assistant message unless told to continue it; others refuse the fields.
_CONTINUE: tuple[Mapping[str, Any], ...] = (
    {"continue_final_message": True, "add_generation_prompt": False},
    {},
)
_MOST_TOP = 20
# Some servers want a question in words; `gnomon serve` goes on with the text as it stands where there are none.
_INSTRUCTIONS = ("", "Choose what comes next.")


@dataclass(frozen=True, kw_only=True)
class _Wording:
    """What is asked, in the words that a model knows.

    Attributes:
        question: put to the assistant.
        random: what it answers in many ways.
        prefill: how its answer is begun; "" for the first words of the answer that it gives by itself, which a server
            that continues them goes on with.
        text: to be continued.
        options: ways to continue it.
    """

    question: str
    random: str
    prefill: str
    text: str
    options: tuple[str, str]


_ENGLISH = _Wording(question=QUESTION, random=RANDOM, prefill=PREFILL, text=TEXT, options=("A", "B"))
# A model of the embedded world knows no other words than these.
_BROOK = _Wording(
    question="where is the mill ?",
    random="the",
    prefill="",
    text="Question: where is the mill ? Answer:",
    options=(" the", " mill"),
)
_BEGUN_WORDS = 2


@dataclass(frozen=True, kw_only=True)
class Step:
    """One question to the server.

    Attributes:
        asks: the ability or behaviour in question.
        route: where it was sent.
        body: what was sent.
        reply: what came back, or the error, shortened.
        held: it was proved.
    """

    asks: str
    route: str
    body: Mapping[str, Any]
    reply: str
    held: bool


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What a probe found; JSON can hold it."""

    abilities: tuple[str, ...]
    revision: str
    transcript: tuple[Step, ...] = ()


async def probe(model: Model) -> Probed:
    """Proves what `model` can do and tells it so; only endpoints are asked, other models know.

    Raises:
        ModelError: the server cannot be reached, refuses the key, or answers neither route.
    """
    if isinstance(model, Endpoint):
        transcript = await _probe_endpoint(model)
    elif isinstance(model, Anthropic):
        transcript = await _probe_anthropic(model)
    else:
        transcript = []
    abilities = tuple(sorted(a.value for a in model.can))
    return Probed(abilities=abilities, revision=model.revision, transcript=tuple(transcript))


class _Asker:
    """Sends questions and keeps the transcript; a refusal is an answer, an unreachable server is not.

    Servers fail with status 500 on fields that they do not expect, and some on a whole route that suits no model of
    theirs, so that is a refusal too.

    Attributes:
        transcript: the questions so far.
        revision: what the server says it runs.
        failure: the first failure of a plain question; the server's state where no other question is answered.
        understands: no plain question was called a bad one.
        status: HTTP status of the last question's refusal; 0 where it was answered.
    """

    def __init__(self, http: Http) -> None:
        self._http = http
        self.transcript: list[Step] = []
        self.revision = ""
        self.failure: Refused | None = None
        self.understands = True
        self.status = 0

    async def ask(self, asks: str, route: str, body: Mapping[str, Any], plain: bool = False) -> dict[str, Any] | None:
        """The reply, or None for a refusal; only a `plain` question is repeated as often as a call may be."""
        try:
            reply = await self._http.call(route, body, fresh=True, attempts=None if plain else 2)
        except Refused as e:
            if e.status in (401, 403):
                raise
            self.status = e.status
            if plain and e.status >= 500:
                self.failure = self.failure or e
            if plain and e.status == 400:
                self.understands = False
            self._note(asks, route, body, str(e), False)
            return None
        self.status = 0
        self.revision = self.revision or str(reply.get("model") or "")
        self._note(asks, route, body, json.dumps(reply, ensure_ascii=False)[:600], False)
        return reply

    def prove(self, held: bool) -> bool:
        """Notes whether the last question proved what it asked about; returns it."""
        last = self.transcript.pop()
        self._note(last.asks, last.route, last.body, last.reply, held)
        return held

    def _note(self, asks: str, route: str, body: Mapping[str, Any], reply: str, held: bool) -> None:
        self.transcript.append(Step(asks=asks, route=route, body=body, reply=reply, held=held))


class _Server:
    """The questions to an OpenAI-compatible server."""

    def __init__(self, model: Endpoint) -> None:
        self.where = model.name
        self.asker = _Asker(model.http)
        self.base = {"model": model.http.model, "temperature": 0.0}
        self.limit = model.limit
        self.words = _ENGLISH

    async def chat(self, asks: str, more: Mapping[str, Any], prefill: str = "", num: int = 1) -> dict[str, Any] | None:
        messages = [Message("user", self.words.question), *([Message("assistant", prefill)] if prefill else [])]
        body = {**self.base, "messages": [m._asdict() for m in messages], self.limit: num, **more}
        return await self.asker.ask(asks, "/chat/completions", body, plain=not more and not prefill)

    async def text(self, asks: str, more: Mapping[str, Any]) -> dict[str, Any] | None:
        body = {**self.base, "prompt": self.words.text, "max_tokens": 1, **more}
        return await self.asker.ask(asks, "/completions", body, plain=not more)

    async def answers_in_some_words(self) -> tuple[str | None, bool]:
        """As `answers`; a server that understands no English is asked in Brook's words from here on."""
        found = await self.answers()
        if found == (None, False) and not self.asker.understands:
            self.words = _BROOK
            found = await self.answers()
        return found

    async def answers(self) -> tuple[str | None, bool]:
        """The answer to the plain question, None where there is none, and whether plain text is continued."""
        plain = self.reply_text(await self.chat("chat", {}, num=8))
        self.asker.prove(plain is not None)
        return plain, self.asker.prove(self.reply_text(await self.text("completions", {})) is not None)

    def reply_text(self, reply: dict[str, Any] | None) -> str | None:
        """The text in `reply`; None where there is none."""
        if reply is None:
            return None
        try:
            return wire.completions(reply, (), self.where)[0].text
        except ModelError:
            return None

    async def continues(self, plain: str) -> Mapping[str, Any] | None:
        """Body fields with which a prefill is continued; None when it is not. `plain` is the answer without one."""
        goes_on = _continues if self.words.prefill else partial(_goes_on, self._begun(plain))
        for fields in _CONTINUE:
            text = self.reply_text(await self.chat("prefill", fields, prefill=self._begun(plain), num=4))
            if self.asker.prove(text is not None and goes_on(text, plain)):
                return fields
        return None

    def _begun(self, plain: str) -> str:
        return self.words.prefill or " ".join(plain.split()[:_BEGUN_WORDS])

    async def num_top(self, chat: bool) -> int:
        """How many of the most probable next tokens a route lists: 20, 5 or 0."""
        for k in (5, _MOST_TOP):
            if chat:
                reply = await self.chat(f"top {k}", {"logprobs": True, "top_logprobs": k})
            else:
                reply = await self.text(f"top {k}", {"logprobs": k})
            if not self.asker.prove(reply is not None and _lists(reply)):
                return 0 if k == 5 else 5
        return _MOST_TOP

    async def scores_text(self) -> bool:
        reply = await self.text("score", {"echo": True, "logprobs": 1})
        return self.asker.prove(reply is not None and _reads(wire.echoed, reply, self.words.text))

    async def scores_chat(self, fields: Mapping[str, Any], plain: str) -> bool:
        begun = self._begun(plain)
        reply = await self.chat("score", {**fields, "prompt_logprobs": 0}, prefill=begun)
        return self.asker.prove(reply is not None and _reads(wire.prompt_tail, reply, begun))

    async def decides(self, spoken: bool) -> tuple[Decides | None, set[Ability], set[Ability]]:
        """A route for typed questions, and what may stand before them: DECIDE for messages, and for plain text.

        Args:
            spoken: another question was answered, so the words that the server knows are known.
        """
        for words in (self.words,) if spoken else (_ENGLISH, _BROOK):
            for route in (decision_wire.DECISIONS, decision_wire.SYSTEMONE):
                for instructions in _INSTRUCTIONS:
                    by = Decides(route, instructions)
                    if await self._decides(by, words.text, words.options):
                        chat = await self._decides(by, [Message("user", words.question)], words.options)
                        return by, {Ability.DECIDE} if chat else set(), {Ability.DECIDE}
                    if self.asker.status not in (400, 422):
                        break
        return None, set(), set()

    async def _decides(self, by: Decides, prompt: Prompt, options: tuple[str, str]) -> bool:
        body = {"model": self.base["model"], **decision_wire.question(by, prompt, options)}
        try:
            reply = await self.asker.ask("decide", by.route, body)
        except Page:
            # Some servers answer what they do not know with a page.
            return False
        return self.asker.prove(reply is not None and _decided(by, reply, options))

    async def draws(self, chat: bool) -> tuple[bool, bool]:
        """Whether one call draws several completions, and whether draws differ."""
        texts = await self._drawn("n", chat, seed=0, n=NUM_DRAWS)
        honours_n = self.asker.prove(len(texts) == NUM_DRAWS)
        for seed in range(1, NUM_DRAWS + 1 - len(texts)):
            texts += await self._drawn("draws differ", chat, seed=seed)
        if not honours_n:
            self.asker.prove(len(set(texts)) > 1)
        return honours_n, len(set(texts)) > 1

    async def _drawn(self, asks: str, chat: bool, **more: int) -> list[str]:
        body = {**self.base, "temperature": 1.0, "top_p": 1.0, **more}
        if chat:
            body |= {"messages": [{"role": "user", "content": self.words.random}], self.limit: 8}
        else:
            body |= {"prompt": f"{self.words.random}\n", "max_tokens": 8}
        reply = await self.asker.ask(asks, "/chat/completions" if chat else "/completions", body)
        return [] if reply is None else [c.text for c in wire.completions(reply, (), self.where)]


async def _probe_endpoint(model: Endpoint) -> list[Step]:
    server = _Server(model)
    asker = server.asker
    plain, continued = await server.answers_in_some_words()
    decides, chat, text = await server.decides(plain is not None or continued)
    if plain is None and not continued and decides is None:
        raise asker.failure or ModelError(
            f"answers neither /chat/completions ({asker.transcript[0].reply}) nor /completions",
            where=model.name,
            todo="check URL and model name; the URL often ends in /v1",
        )
    continues = None
    if plain is not None:
        continues, found = await _chats(server, plain)
        chat |= found
    if continued:
        text |= {Ability.SAMPLE, Ability.PREFILL}
    num_top_chat = await server.num_top(chat=True) if plain is not None else 0
    num_top_text = await server.num_top(chat=False) if continued else 0
    chat |= {Ability.TOPK} if num_top_chat else set()
    text |= {Ability.TOPK} if num_top_text else set()
    if continued and await server.scores_text():
        text.add(Ability.SCORE)
    draws = await server.draws(chat=plain is not None) if plain is not None or continued else (False, False)
    offers = Offers(
        chat=frozenset(chat),
        text=frozenset(text),
        num_top_chat=num_top_chat,
        num_top_text=num_top_text,
        honours_n=draws[0],
        draws_differ=draws[1],
        continues=continues,
        decides=decides,
    )
    model.learn(offers, asker.revision)
    return asker.transcript


async def _chats(server: _Server, plain: str) -> tuple[Mapping[str, Any] | None, set[Ability]]:
    """Body fields that make a prefill be continued, and what the chat route can; `plain` is an answer of it."""
    continues = await server.continues(plain)
    if continues is None:
        return None, {Ability.SAMPLE}
    scores = bool(continues) and await server.scores_chat(continues, plain)
    return continues, {Ability.SAMPLE, Ability.PREFILL} | ({Ability.SCORE} if scores else set())


async def _probe_anthropic(model: Anthropic) -> list[Step]:
    asker = _Asker(model.http)
    question = {"role": "user", "content": QUESTION}
    body = {"model": model.http.model, "max_tokens": 4, "temperature": 0.0}
    # Not being able to answer a plain question is no missing ability but a wrong model or key.
    plain = await model.http.call("/v1/messages", {**body, "messages": [question]}, fresh=True)
    prefilled = [question, {"role": "assistant", "content": PREFILL}]
    reply = await asker.ask("prefill", "/v1/messages", {**body, "messages": prefilled})
    held = asker.prove(reply is not None and _continues(_said(reply), _said(plain)))
    can = {Ability.SAMPLE, Ability.PREFILL} if held else {Ability.SAMPLE}
    model.learn(frozenset(can), asker.revision or model.http.model)
    return asker.transcript


def _continues(text: str, plain: str) -> bool:
    """`text` goes on after "The answer is (": one letter, no restatement, and not what is said without a prefill."""
    return re.match(r"\s*[A-Za-z](?![A-Za-z])", text) is not None and not plain.startswith(text)


def _goes_on(begun: str, text: str, plain: str) -> bool:
    """`text` goes on behind `begun` as `plain` does, and is not its beginning."""
    left, told = plain.strip().removeprefix(begun).split(), text.split()
    return bool(told) and left[: len(told)] == told and plain.split()[: len(told)] != told


def _said(message: Mapping[str, Any]) -> str:
    """The text of a reply of the Anthropic API."""
    return "".join(str(b.get("text", "")) for b in message.get("content") or ())


def _lists(reply: Mapping[str, Any]) -> bool:
    """`reply` holds a top-k list that can be one."""
    try:
        return bool(wire.steps(reply, ""))
    except ModelError:
        return False


def _decided(by: Decides, reply: Mapping[str, Any], options: tuple[str, str]) -> bool:
    """`reply` holds probabilities of both options that sum to 1."""
    try:
        return bool(decision_wire.choice(by, reply, options, ""))
    except ModelError:
        return False


def _reads(reader: Callable[[Mapping[str, Any], str, str], object], reply: Mapping[str, Any], text: str) -> bool:
    """`reader` finds scores of `text` in `reply`."""
    try:
        return reader(reply, text, "") is not None
    except ModelError:
        return False
