"""The routes over one model: `/v1/models` and `/health`, texts by `/v1/chat/completions` and `/v1/completions`, typed
questions by `/v1/decisions` and `/v1/systemone`; where a service allows it, adapters by `/v1/load_lora_adapter`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from gnomon.core.errors import GnomonError
from gnomon.models.base import Sampling
from gnomon.serve import asked as reading
from gnomon.serve import deciding, replies, typed
from gnomon.serve.adapters import Adapters
from gnomon.serve.asked import MOST_TEXTS, Asked, Given
from gnomon.serve.fields import parsed
from gnomon.serve.gate import Gate
from gnomon.serve.refusal import Refusal
from gnomon.serve.replies import Answer, Head
from gnomon.serve.speaker import Piece, Said, Speaker

__all__ = ["Limits", "Service", "is_loopback"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_LOG = logging.getLogger("gnomon.serve")
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one server takes.

    Attributes:
        body_bytes: longest body.
        parallel: requests answered at once.
        queue: further ones that wait; beyond them the answer is status 429.
    """

    body_bytes: int = 16 << 20
    parallel: int = 256
    queue: int = 1024


class Service:
    """One model under one name.

    Attributes:
        name: what clients call it.
        gate: bounds what is in flight.
    """

    def __init__(
        self,
        speaker: Speaker,
        name: str,
        *,
        limits: Limits | None = None,
        token: str = "",
        guarded: bool = True,
        adapters: Adapters | None = None,
    ) -> None:
        """A service that is not listening yet; see `gnomon.serve.running`.

        Args:
            speaker: answers.
            name: what clients call the model.
            limits: how much is taken.
            token: what clients must send as a bearer token; "" for none.
            guarded: without a token, answer only those who call the server by a loopback name, so that a page in
                a browser cannot reach it under another name.
            adapters: what clients may put over the model; None where they may not.
        """
        self.name, self._speaker, self._token, self._guarded = name, speaker, token.encode(), guarded
        self.limits, self._adapters = limits or Limits(), adapters
        self.gate = Gate(self.limits.parallel, self.limits.queue)
        self._created = int(time.time())

    def application(self) -> web.Application:
        """The routes as an aiohttp application."""
        app = web.Application(client_max_size=self.limits.body_bytes, middlewares=[self._told])
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{name:.+}", self._model)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._completions)
        app.router.add_post("/v1/decisions", self._decisions)
        app.router.add_post("/v1/systemone", self._systemone)
        if self._adapters is not None:
            app.router.add_post("/v1/load_lora_adapter", self._adapting(self._adapters.load))
            app.router.add_post("/v1/unload_lora_adapter", self._adapting(self._adapters.unload))
        return app

    @web.middleware
    async def _told(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Words every refusal as OpenAI does; nothing of a request is logged but that it failed."""
        try:
            self._admit(request)
            return await handler(request)
        except Refusal as refusal:
            return _error(refusal)
        except GnomonError as error:
            # Not `where`: it names folders of this machine.
            return _error(Refusal("; ".join(filter(None, (error.what, error.todo)))))
        except web.HTTPRequestEntityTooLarge:
            most = self.limits.body_bytes
            return _error(Refusal(f"the body is larger than {most} bytes; send less at once", status=413))
        except web.HTTPException as error:
            kept = {name: value for name, value in error.headers.items() if name == "Allow"}
            told = f"{request.method} {request.path}: {error.reason}"
            return _error(Refusal(told, status=error.status, headers=kept))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            _LOG.exception("%s %s failed", request.method, request.path)
            return _error(Refusal(f"the server failed: {type(error).__name__}", status=500))

    def _admit(self, request: web.Request) -> None:
        """Raises `Refusal` unless the request may be answered."""
        if not self._token:
            if self._guarded and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
                raise Refusal(f"this server does not go by the name {request.host!r}", status=403)
        elif request.path != "/health":
            kind, _, sent = request.headers.get("Authorization", "").partition(" ")
            given = sent.strip().encode("utf-8", "surrogateescape") if kind.lower() == "bearer" else b""
            if not hmac.compare_digest(given, self._token):
                raise Refusal("no token, or a wrong one; send it as a bearer token", status=401, code="invalid_api_key")

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"}, status=503 if self.gate.closing else 200)

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [self._described(name) for name in self._names]})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self._speaker_of(name)
        return web.json_response(self._described(name if name in self._names else self.name))

    def _described(self, name: str) -> dict[str, Any]:
        told = {"id": name, "object": "model", "created": self._created, "owned_by": "gnomon"}
        parent = {} if name == self.name else {"parent": self.name}
        return told | parent | {"max_model_len": self._speaker.limit}

    @property
    def _names(self) -> list[str]:
        return [self.name, *(self._adapters.names if self._adapters else ())]

    def _speaker_of(self, name: str) -> Speaker:
        """What answers under `name`; raises `Refusal` where nothing does."""
        if name in (self.name, self._answering(self.name, self._speaker)):
            return self._speaker
        found = self._adapters.speaker(name) if self._adapters else None
        if found is None:
            message = f"there is no model {name!r} here; this server has {', '.join(map(repr, self._names))}"
            raise Refusal(message, status=404, param="model", code="model_not_found")
        return found

    def _answering(self, name: str, speaker: Speaker) -> str:
        """The name with the revision of the weights, as replies give it."""
        if speaker is self._speaker:
            name = self.name
        return f"{name}@{speaker.revision}" if speaker.revision else name

    def _adapting(self, change: Callable[[object], Awaitable[str]]) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            async with self.gate.through():
                return web.Response(text=await change(parsed(await request.read())))

        return handler

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, reading.chat)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, reading.completion)

    async def _answer(self, request: web.Request, read: Callable[[object], Asked]) -> web.StreamResponse:
        async with self.gate.through():
            asked = read(parsed(await request.read()))
            speaker = self._speaker_of(asked.model)
            hows = self._fitted(asked)
            name = f"{'chatcmpl' if asked.is_chat else 'cmpl'}-{uuid.uuid4().hex}"
            answering = self._answering(asked.model, speaker)
            head = Head(name, int(time.time()), answering, speaker.revision, asked.is_chat)
            if asked.stream:
                return await _Streaming(request, head, asked.with_usage).run(self, asked, hows)
            answers, told = await asyncio.gather(self.answers(asked, hows), self._prompt_logprobs(asked))
            return web.json_response(replies.reply(head, answers, self.prompt_tokens(asked), told))

    async def _decisions(self, request: web.Request) -> web.Response:
        async with self.gate.through():
            asked = typed.decisions(parsed(await request.read()))
            decided, count, answering = await self._decided(asked, "input")
            return web.json_response(deciding.decisions_reply(answering, decided, count))

    async def _systemone(self, request: web.Request) -> web.Response:
        async with self.gate.through():
            asked = typed.systemone(parsed(await request.read()))
            decided, count, answering = await self._decided(asked, "state")
            head = (f"decision-{uuid.uuid4().hex}", int(time.time()), answering)
            return web.json_response(deciding.systemone_reply(*head, decided, count))

    async def _decided(self, asked: typed.Typed, param: str) -> tuple[list[deciding.Decided], int, str]:
        """Every question's answer, how many tokens were read, and what answers."""
        speaker = self._speaker_of(asked.model)
        wanted = sum(len(question.options) for question in asked.questions)
        if wanted > MOST_TEXTS:
            raise Refusal(f"the questions have {wanted} options; at most {MOST_TEXTS} are scored", param="questions")
        puts = [await deciding.put(question, asked.input, speaker) for question in asked.questions]
        held = [speaker.count(each.prompt) for each in puts]
        for count in held:
            self._fits(count, 1, param)
        pairs = zip(asked.questions, puts, strict=True)
        found = await asyncio.gather(*(deciding.decide(q, each, speaker) for q, each in pairs))
        return found, sum(held), self._answering(asked.model, speaker)

    def prompt_tokens(self, asked: Asked) -> int:
        """Tokens of all prompts."""
        return sum(self._speaker.count(prompt) for prompt in asked.prompts)

    async def answers(self, asked: Asked, hows: list[Sampling]) -> list[Answer]:
        """Every completion of every prompt, in order."""
        found = await asyncio.gather(
            *(self._completed(asked, prompt, how) for prompt, how in zip(asked.prompts, hows, strict=True))
        )
        return [answer for answers in found for answer in answers]

    async def draw_one(self, asked: Asked, how: Sampling) -> Said:
        """The only completion of the only prompt."""
        return (await self._speaker_of(asked.model).draw(asked.prompts[0], how, 1, None))[0]

    async def _completed(self, asked: Asked, prompt: Given, how: Sampling) -> list[Answer]:
        text, pieces, speaker = "", list[Piece](), self._speaker_of(asked.model)
        if asked.echo:
            text = await speaker.text(prompt)
            pieces = [] if asked.num_top is None else await speaker.read(prompt, asked.num_top)
        if not how.max_tokens:
            nothing = Said("", "length", 0, None if asked.num_top is None else ())
            return [Answer(nothing, text, pieces)] * asked.n
        said = await speaker.draw(prompt, how, asked.n, asked.num_top, whole=asked.token_ids)
        return [Answer(s, text, pieces) for s in said]

    async def _prompt_logprobs(self, asked: Asked) -> list[dict[str, Any] | None] | None:
        """vLLM's list: for every token of the prompt but the first, its log-probability by its place in the list."""
        if asked.num_prompt_top is None:
            return None
        pieces = await self._speaker_of(asked.model).read(asked.prompts[0], asked.num_prompt_top)
        return [None if p.logprob is None else _entry(p) for p in pieces]

    def _fitted(self, asked: Asked) -> list[Sampling]:
        """How each prompt is sampled, its room known; raises `Refusal` where the context is too short."""
        limit = self._speaker.limit
        if limit is None:
            return [replace(asked.how, max_tokens=asked.max_tokens or 1)] * len(asked.prompts)
        hows = []
        for prompt in asked.prompts:
            held = self._speaker.count(prompt)
            wanted = 1 if asked.max_tokens is None else asked.max_tokens
            self._fits(held, wanted, "messages" if asked.is_chat else "prompt")
            hows.append(replace(asked.how, max_tokens=limit - held if asked.max_tokens is None else wanted))
        return hows

    def _fits(self, held: int, wanted: int, param: str) -> None:
        """Raises `Refusal` where a prompt and its answer are longer than the context."""
        limit = self._speaker.limit
        if limit is not None and held + wanted > limit:
            raise Refusal(
                f"{held + wanted} tokens are wanted ({held} of the prompt, {wanted} of the answer) and {limit} "
                "allowed, the model's context; shorten the prompt or lower max_tokens",
                param=param,
                code="context_length_exceeded",
            )


class _Streaming:
    """One answer in events. One completion of one prompt comes as it is drawn; other answers when they are complete."""

    def __init__(self, request: web.Request, head: Head, with_usage: bool) -> None:
        self._request, self._head, self._with_usage = request, head, with_usage
        self._response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})

    async def run(self, service: Service, asked: Asked, hows: list[Sampling]) -> web.StreamResponse:
        """Answers; what goes wrong before the first event is an ordinary refusal, and afterwards an event."""
        if asked.num_prompt_top is not None:
            raise Refusal("prompt_logprobs cannot be streamed", param="prompt_logprobs")
        live = len(hows) == asked.n == 1 and asked.num_top is None and not asked.echo
        try:
            made = await (self._live(service, asked, hows[0]) if live else self._whole(service, asked, hows))
        except ConnectionError:
            raise
        except Exception as error:
            if not self._response.prepared:
                raise
            _LOG.exception("a stream broke off")
            await self._write(
                replies.event(Refusal(f"the server failed: {type(error).__name__}", status=500).as_json())
            )
            return self._response
        if self._with_usage:
            await self._write(replies.event(replies.usage_event(self._head, service.prompt_tokens(asked), made)))
        await self._write(replies.DONE)
        await self._response.write_eof()
        return self._response

    async def _whole(self, service: Service, asked: Asked, hows: list[Sampling]) -> int:
        answers = await service.answers(asked, hows)
        for each in replies.streamed(self._head, answers):
            await self._write(replies.event(each))
        return sum(answer.said.num_tokens for answer in answers)

    async def _live(self, service: Service, asked: Asked, how: Sampling) -> int:
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        drawing = asyncio.ensure_future(service.draw_one(asked, replace(how, on_token=pieces.put_nowait)))
        drawing.add_done_callback(lambda _: pieces.put_nowait(None))
        shown = 0
        try:
            while (piece := await pieces.get()) is not None:
                await self._say(piece, shown)
                shown += len(piece)
        finally:
            # A client that went away leaves nothing to draw for.
            drawing.cancel()
        said = await drawing
        if said.text[shown:] or not shown:
            await self._say(said.text[shown:], shown)
        await self._write(replies.event(replies.live_event(self._head, 0, "", finish=said.finish)))
        return said.num_tokens

    async def _say(self, piece: str, shown: int) -> None:
        await self._write(replies.event(replies.live_event(self._head, 0, piece, is_first=not shown)))

    async def _write(self, data: bytes) -> None:
        if not self._response.prepared:
            await self._response.prepare(self._request)
        await self._response.write(data)


def is_loopback(host: str) -> bool:
    """Whether `host` names this machine to itself only.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    return host in _LOOPBACK


def _entry(piece: Piece) -> dict[str, Any]:
    told = [(piece.text, piece.logprob or 0.0), *piece.top]
    return {str(i): {"logprob": lp, "rank": None, "decoded_token": text} for i, (text, lp) in enumerate(told)}


def _error(refusal: Refusal) -> web.Response:
    return web.json_response(refusal.as_json(), status=refusal.status, headers=dict(refusal.headers))
