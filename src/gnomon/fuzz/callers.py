"""Callers that log in: a token when it is first needed, and a new one when the server knows the old one no more."""

from __future__ import annotations

import asyncio

from gnomon.core.errors import UsageError
from gnomon.fuzz.base import Transport
from gnomon.fuzz.identities import Identity, wrong

__all__ = ["Callers"]


class Callers:
    """Who sends.

    Args:
        identities: by name, `first` and `wrong` among them; changed in place as tokens come.
        transport: where they log in.
        timeout: seconds for that.
    """

    def __init__(self, identities: dict[str, Identity], transport: Transport, timeout: float) -> None:
        self._identities, self._transport, self._timeout = identities, transport, timeout
        self._closed: set[tuple[str, str]] = set()
        self._lock = asyncio.Lock()

    async def named(self, name: str) -> Identity:
        """A caller as it sends now, logged in.

        Raises:
            UsageError: the server gives no token.
        """
        if name == "wrong":
            await self.named("first")
        elif self._identities[name].login:
            async with self._lock:
                if not self._identities[name].tokens:
                    await self._log_in(name)
        return self._identities[name]

    async def renewed(self, caller: Identity, operation: str) -> Identity | None:
        """The caller with a newer token than the one with which an operation answered 401.

        None where it does not log in, where a new token has not helped with this operation, or where the server gives
        none any more.
        """
        if caller.login is None or (caller.name, operation) in self._closed:
            return None
        async with self._lock:
            if self._identities[caller.name].tokens == caller.tokens:
                try:
                    await self._log_in(caller.name)
                except UsageError:
                    return None
        return self._identities[caller.name]

    def helped_not(self, caller: Identity, operation: str) -> None:
        """Notes that an operation answers 401 to a new token too."""
        self._closed.add((caller.name, operation))

    async def _log_in(self, name: str) -> None:
        caller = self._identities[name]
        assert caller.login is not None
        token = await caller.login[0].token(self._transport, self._timeout)
        self._identities[name] = caller.with_token(token)
        if name == "first":
            self._identities["wrong"] = wrong(self._identities[name])
