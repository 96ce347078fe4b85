"""The server: OpenAI's and Anthropic's routes on 127.0.0.1, with faults that real servers have."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from gnomon.models.base import Message, Prompt, Sampling
from gnomon.serve.refusal import Refusal
from gnomon.serve.replies import Head, chat_logprobs, event, live_event, text_logprobs, usage_event
from gnomon.serve.speaker import Piece
from tests.servers.responders import Responder

__all__ = ["Faults", "Server", "serving", "serving_in_thread"]

Json = dict[str, Any]


@dataclass(kw_only=True)
class Faults:
    """What goes wrong; every field is off by default.

    Attributes:
        statuses: answered one after the other before calls succeed; a pair adds headers.
        ignores_logprobs: leaves the field out.
        null_logprobs: sends it as null.
        zero_logprobs: fills it with zeros.
        ignores_n: draws one completion whatever n is.
        most_top: lists at most so many tokens, silently.
        refuses_top_over: answers 400 when more are asked for.
        refuses_unknown: answers 400 to vLLM's fields.
        no_chat, no_text: 404 on that route.
        no_echo: ignores echo.
        fails_on: body fields that end in `fails_with`.
        forgets_prefill: starts the answer anew.
        refuses_prefill: answers 400 to a last assistant message.
        cut_stream: ends a stream after so many events.
        cut_body: closes the connection inside the reply, so many times.
        half_json: sends half of the reply as a whole one, so many times.
        html: answers every call with a page.
        hangs: never answers.
        error_200: an error object with status 200.
        key: the only key that is accepted.
        leaks_key: repeats the key in error messages and replies.
        greedy: ignores temperature and seed.
        keeps_stop: leaves the stop string in the text.
        decides: answers the routes for typed questions, a status and a body to a route and a body; None has none.
        turns: lets others run so many times before it answers, so that calls overlap.
    """

    statuses: list[int | tuple[int, Mapping[str, str]]] = field(default_factory=list)
    ignores_logprobs: bool = False
    null_logprobs: bool = False
    zero_logprobs: bool = False
    ignores_n: bool = False
    most_top: int | None = None
    refuses_top_over: int | None = None
    refuses_unknown: bool = False
    no_chat: bool = False
    no_text: bool = False
    no_echo: bool = False
    fails_on: tuple[str, ...] = ()
    fails_with: int = 500
    forgets_prefill: bool = False
    refuses_prefill: bool = False
    cut_stream: int | None = None
    cut_body: int = 0
    half_json: int = 0
    html: bool = False
    hangs: bool = False
    error_200: str = ""
    key: str = ""
    leaks_key: bool = False
    decides: Callable[[str, Json], tuple[int, Json]] | None = None
    greedy: bool = False
    keeps_stop: bool = False
    turns: int = 0


@dataclass(kw_only=True)
class Call:
    """One call as it arrived."""

    route: str
    headers: Mapping[str, str]
    body: Json


class Server:
    """A server for one responder; `calls` is what it was asked, `url` what clients of OpenAI's routes use."""

    def __init__(self, responder: Responder, faults: Faults, model: str) -> None:
        self.responder, self.faults, self.model = responder, faults, model
        self.calls: list[Call] = []
        self.most_open = 0
        self._open = 0
        self.port = 0

    @property
    def root(self) -> str:
        """Base URL without path; Anthropic's clients use it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Base URL of OpenAI's routes."""
        return f"{self.root}/v1"

    async def start(self, port: int = 0) -> web.AppRunner:
        """Listens on `port`, or a free one."""
        app = web.Application()
        app.router.add_post("/v1/{route:.*}", self._answer)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": self.model, "object": "model"}]})

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            route = "/" + request.match_info["route"]
            body = await request.json()
            self.calls.append(Call(route=route, headers=dict(request.headers), body=body))
            for _ in range(self.faults.turns):
                await asyncio.sleep(0)
            spoilt = await self._spoilt(request, route, body)
            if spoilt is not None:
                return spoilt
            if route in ("/decisions", "/systemone"):
                status, told = self.faults.decides(route, body) if self.faults.decides else (404, {})
                return web.json_response(told, status=status)
            reply = await self._reply(route, body)
            return await (self._streamed if body.get("stream") else self._whole)(request, reply)
        finally:
            self._open -= 1

    async def _spoilt(self, request: web.Request, route: str, body: Json) -> web.Response | None:
        f = self.faults
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.headers.get("x-api-key", "")
        told = f" (key {sent})" if f.leaks_key else ""
        if f.hangs:
            await asyncio.Event().wait()
        if f.key and sent != f.key:
            return _error(401, f"wrong key{told}")
        if f.statuses:
            status, headers = s if isinstance(s := f.statuses.pop(0), tuple) else (s, {})
            return _error(status, f"planned {status}{told}", headers)
        if f.html:
            return web.Response(text="<!doctype html><title>Welcome</title>", content_type="text/html")
        if f.error_200:
            return web.json_response({"error": {"message": f.error_200}})
        if body.get("model") != self.model:
            return _error(404, f"model {body.get('model')} not found")
        if (route == "/chat/completions" and f.no_chat) or (route == "/completions" and f.no_text):
            return _error(404, "Not Found")
        return self._refused(body)

    def _refused(self, body: Json) -> web.Response | None:
        f = self.faults
        unknown = {"continue_final_message", "add_generation_prompt", "prompt_logprobs"} & body.keys()
        if f.refuses_unknown and unknown:
            return _error(400, f"unrecognised arguments: {', '.join(sorted(unknown))}")
        asked = body.get("top_logprobs", body.get("logprobs") if "prompt" in body else 0) or 0
        if f.refuses_top_over is not None and asked > f.refuses_top_over:
            return _error(400, f"logprobs at most {f.refuses_top_over}")
        if body.keys() & set(f.fails_on):
            return _error(f.fails_with, "Internal Server Error")
        if f.refuses_prefill and body.get("messages", [{}])[-1].get("role") == "assistant":
            return _error(400, "This model does not support assistant message prefill.")
        return None

    async def _reply(self, route: str, body: Json) -> Json:
        if route == "/messages":
            return await self._message(body)
        chat = route == "/chat/completions"
        num = 1 if self.faults.ignores_n else int(body.get("n") or 1)
        choices = [await self._choice(body, chat, i) for i in range(num)]
        made = sum(len(c.pop("tokens")) for c in choices)
        read = len(json.dumps(body.get("messages") or body["prompt"]).split())
        usage = {"prompt_tokens": read, "completion_tokens": made}
        reply = {"id": "r1", "model": f"{self.model}-1", "choices": choices, "usage": usage}
        if chat and "prompt_logprobs" in body:
            reply["prompt_logprobs"] = await self._prompt_logprobs(body)
        return reply

    async def _choice(self, body: Json, chat: bool, index: int) -> Json:
        prompt = self._prompt(body)
        how = self._how(body, index)
        tokens, finish = await self.responder.draw(prompt, how)
        text = "".join(tokens)
        if self.faults.keeps_stop and finish == "stop" and how.stop:
            text += how.stop[0]
        choice: Json = {"index": index, "finish_reason": finish, "tokens": tokens}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if body.get("echo") and not self.faults.no_echo:
            return choice | {"text": body["prompt"] + text, **await self._echo(body["prompt"])}
        return choice | await self._logprobs(body, prompt, tokens, chat)

    def _how(self, body: Json, index: int) -> Sampling:
        most = body.get("max_completion_tokens", body.get("max_tokens", 16))
        return Sampling(
            max_tokens=most,
            temperature=0.0 if self.faults.greedy else body.get("temperature", 1.0),
            stop=tuple(body.get("stop") or body.get("stop_sequences") or ()),
            # Anthropic's API takes no seed: each call is another draw.
            seed=body.get("seed", len(self.calls)) + 1_000_003 * index,
        )

    def _prompt(self, body: Json) -> Prompt:
        if "prompt" in body:
            return str(body["prompt"])
        messages = [Message(m["role"], m["content"]) for m in body["messages"]]
        if self.faults.forgets_prefill and messages[-1].role == "assistant":
            messages.append(Message("user", ""))
        return messages

    async def _logprobs(self, body: Json, prompt: Prompt, tokens: list[str], chat: bool) -> Json:
        f = self.faults
        num = (body.get("top_logprobs") if chat else body.get("logprobs")) or 0
        if not body.get("logprobs") or f.ignores_logprobs:
            return {}
        if f.null_logprobs:
            return {"logprobs": None}
        entries = []
        for i, token in enumerate(tokens):
            top = await self.responder.top(_after(prompt, "".join(tokens[:i])))
            best = sorted(((t, _log(p)) for t, p in top.items() if p > 0), key=lambda e: -e[1])
            listed = [(t, 0.0 if f.zero_logprobs else lp) for t, lp in best[: min(num, f.most_top or num)]]
            entries.append(Piece(token, 0.0 if f.zero_logprobs else _log(top.get(token, 0.0)), tuple(listed)))
        return {"logprobs": chat_logprobs(entries) if chat else text_logprobs(entries)}

    async def _echo(self, text: str) -> Json:
        scored = await self.responder.scored(text)
        if scored is None or self.faults.ignores_logprobs:
            return {}
        if self.faults.null_logprobs:
            return {"logprobs": None}
        zero = self.faults.zero_logprobs
        logprobs = [lp if lp is None or not zero else 0.0 for _, lp in scored]
        return {"logprobs": {"tokens": [t for t, _ in scored], "token_logprobs": logprobs}}

    async def _prompt_logprobs(self, body: Json) -> list[Json | None] | None:
        if self.faults.ignores_logprobs or self.faults.null_logprobs:
            return None
        rendered = "\n".join(f"{m['role']}: {m['content']}" for m in body["messages"])
        scored = await self.responder.scored(rendered)
        if scored is None:
            return None
        return [lp and {str(i): {"logprob": lp, "decoded_token": t}} for i, (t, lp) in enumerate(scored)]

    async def _message(self, body: Json) -> Json:
        tokens, finish = await self.responder.draw(self._prompt(body), self._how(body, 0))
        reason = {"stop": "end_turn", "length": "max_tokens"}[finish]
        usage = {"input_tokens": 7, "output_tokens": len(tokens)}
        content = [{"type": "text", "text": "".join(tokens)}]
        return {
            "type": "message",
            "model": f"{self.model}-1",
            "content": content,
            "stop_reason": reason,
            "usage": usage,
        }

    async def _whole(self, request: web.Request, reply: Json) -> web.StreamResponse:
        f = self.faults
        if f.leaks_key:
            reply["echoed_header"] = request.headers.get("Authorization", request.headers.get("x-api-key", ""))
        data = json.dumps(reply).encode()
        if f.half_json:
            f.half_json -= 1
            return web.Response(body=data[: len(data) // 2], content_type="application/json")
        if f.cut_body:
            f.cut_body -= 1
            response = web.StreamResponse(
                headers={"Content-Length": str(len(data)), "Content-Type": "application/json"}
            )
            await response.prepare(request)
            await response.write(data[: len(data) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        return web.Response(body=data, content_type="application/json")

    async def _streamed(self, request: web.Request, reply: Json) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if self.faults.leaks_key:
            reply["id"] = request.headers.get("Authorization", "")
        events = _message_events(reply) if "content" in reply else _choice_events(reply)
        for i, part in enumerate(events):
            if i == self.faults.cut_stream:
                return response
            if isinstance(part, str):
                await response.write(f"data: {part}\n\n".encode())
                continue
            name = f"event: {part['type']}\n" if "type" in part else ""
            await response.write(name.encode() + event(part))
        return response


@asynccontextmanager
async def serving(
    responder: Responder, *, faults: Faults | None = None, model: str = "planted", port: int = 0
) -> AsyncIterator[Server]:
    """A running server."""
    server = Server(responder, faults or Faults(), model)
    runner = await server.start(port)
    try:
        yield server
    finally:
        await runner.cleanup()


@contextmanager
def serving_in_thread(
    responder: Responder, *, faults: Faults | None = None, model: str = "planted", port: int = 0
) -> Iterator[Server]:
    """A running server for synchronous tests, in a thread with its own loop."""
    loop = asyncio.new_event_loop()
    server = Server(responder, faults or Faults(), model)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(server.start(port), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(Refusal(message, status=status).as_json(), status=status, headers=headers)


def _after(prompt: Prompt, text: str) -> Prompt:
    if isinstance(prompt, str):
        return prompt + text
    if prompt[-1].role == "assistant":
        return [*prompt[:-1], Message("assistant", prompt[-1].content + text)]
    return [*prompt, Message("assistant", text)] if text else prompt


def _log(p: float) -> float:
    return math.log(p) if p > 0 else -9999.0


def _pieces(text: str) -> list[str]:
    return [text[i : i + 3] for i in range(0, len(text), 3)]


def _choice_events(reply: Json) -> list[Json | str]:
    choice, used = reply["choices"][0], reply["usage"]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    head = Head(reply["id"], 0, reply["model"], "", "message" in choice)
    parts = [live_event(head, 0, piece, is_first=not i) for i, piece in enumerate(_pieces(text))]
    last = live_event(head, 0, "", finish=choice["finish_reason"])
    return [*parts, last, usage_event(head, used["prompt_tokens"], used["completion_tokens"]), "[DONE]"]


def _message_events(reply: Json) -> list[Json | str]:
    start = {**reply, "id": "m1", "role": "assistant", "content": [], "stop_reason": None}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": p}}
        for p in _pieces(reply["content"][0]["text"])
    ]
    block = {"index": 0, "content_block": {"type": "text", "text": ""}}
    begin, finish = {"type": "content_block_start", **block}, {"type": "content_block_stop", "index": 0}
    end = {"type": "message_delta", "delta": {"stop_reason": reply["stop_reason"]}, "usage": reply["usage"]}
    return [{"type": "message_start", "message": start}, begin, *deltas, finish, end, {"type": "message_stop"}]
