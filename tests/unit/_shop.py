"""A client of the shop in this process, and the least requests that trigger each planted defect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from gnomon.data.worlds.shop import TOKENS, Shop, make_app


@dataclass
class Got:
    """An answer: status, headers by lower-case name, body as bytes."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Client:
    """Calls a shop as one of its callers; `nobody` sends no credentials."""

    shop: Shop = field(default_factory=make_app)

    async def send(
        self, line: str, body: Any = None, *, who: str = "alice", headers: dict[str, Any] | None = None
    ) -> Got:
        method, target = line.split(maxsplit=1)
        path, _, query = target.partition("?")
        sent: dict[str, Any] = {"content-type": "application/json"} if body is not None else {}
        if who:
            sent["authorization"] = f"Bearer {TOKENS.get(who, who)}"
        sent |= headers or {}
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        lines = [(k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in sent.items()]
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": lines}
        got: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": raw}

        async def keep(message: Any) -> None:
            got.append(message)

        await self.shop({**scope, "query_string": query.encode()}, receive, keep)
        told = {k.decode(): v.decode() for k, v in got[0]["headers"]}
        return Got(got[0]["status"], told, got[1]["body"])

    async def made(self, line: str, body: Any, who: str = "alice") -> str:
        """The id of what a request makes."""
        got = await self.send(line, body, who=who)
        assert got.status in (201, 202), got
        return str(got.json["id"])

    async def user(self) -> str:
        number = len(self.shop.state.users)
        return await self.made("POST /users", {"name": "Ada", "email": f"a{number}@example.org"})

    async def order(self) -> str:
        lines = [{"item_id": 1, "quantity": 2}]
        return await self.made("POST /orders", {"user_id": await self.user(), "lines": lines})

    async def file(self) -> str:
        return await self.made("POST /files", {"name": "a.txt", "text": "hello"})

    async def note(self, order: str) -> Got:
        form = {"content-type": "application/x-www-form-urlencoded"}
        return await self.send(f"POST /orders/{order}/notes", urlencode({"text": "hi"}).encode(), headers=form)

    async def ask(self, query: str, **variables: Any) -> Any:
        got = await self.send("POST /graphql", {"query": query, "variables": variables}, who="")
        return got.json


Story = Callable[[Client], Awaitable[Any]]


def run(story: Story) -> Client:
    """The client after a story, on a fresh shop."""
    client = Client()

    async def told() -> None:
        await story(client)

    asyncio.run(told())
    return client


NESTED: dict[str, Any] = {}
for _ in range(60):
    NESTED = {"a": NESTED}
NEW_ITEM = {"sku": "ABC-1234", "title": "Mug", "price": 5}


def one(line: str, body: Any = None, **more: Any) -> Story:
    """A story of one request."""

    async def story(client: Client) -> Any:
        return await client.send(line, body, **more)

    return story
