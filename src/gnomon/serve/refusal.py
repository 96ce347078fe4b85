"""What a client is told when its request is not answered: OpenAI's error object with its HTTP status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Refusal"]

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class Refusal(Exception):
    """A request that is refused.

    Attributes:
        status: HTTP status.
        message: what is wrong and what to do.
        param: the field of the body it is about; None for none.
        code: OpenAI's name for it; None where it has none.
        headers: headers of the reply.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.param, self.code, self.headers = message, status, param, code, headers or {}

    def as_json(self) -> dict[str, Any]:
        """The reply's body."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}
