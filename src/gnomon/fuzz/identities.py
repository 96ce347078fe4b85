"""Who sends: what a caller adds to requests so that the server knows it, and callers that it must not know."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from gnomon.core.errors import UsageError
from gnomon.fuzz.base import Api, Request, SecurityScheme
from gnomon.fuzz.logins import Login

__all__ = ["ANONYMOUS", "Credentials", "Identity", "identity", "wrong"]

_WRONG = "gnomon-not-a-credential"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Headers, query and cookies that say who sends.

    Attributes:
        name: first, other, anonymous or wrong.
        headers, query, cookies: what is added, by name.
        login: what answers a token, and where that goes; None where it needs none.
        tokens: those that it had, the last one being in use.
    """

    name: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    login: tuple[Login, SecurityScheme] | None = None
    tokens: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether it says anything at all."""
        return bool(self.headers or self.query or self.cookies or self.login)

    @property
    def secrets(self) -> list[str]:
        """Texts that no report shows, those first that stand for others; of `Bearer abc` it is `abc`."""
        said = [*self.headers.values(), *self.query.values(), *self.cookies.values()]
        found = [*(value.rpartition(" ")[2] for value in said), *self.tokens]
        found += sorted(self.login[0].secrets) if self.login else []
        return list(dict.fromkeys(each for each in found if len(each) > 3))

    def with_token(self, token: str) -> Identity:
        """The same caller with this token in place of an earlier one."""
        assert self.login is not None
        return replace(_placed(self, self.login[1], token), tokens=tuple(dict.fromkeys((*self.tokens, token))))

    def signs(self, request: Request) -> Request:
        """The request as this caller sends it; what it has of the same names stays."""
        if not self.known:
            return request
        if not (self.cookies or self.query) and not any(name in self.headers for name, _ in request.headers):
            return replace(request, headers=(*request.headers, *self.headers.items()))
        there = {name for name, _ in request.headers}
        headers = [*request.headers, *((n, v) for n, v in self.headers.items() if n not in there)]
        if self.cookies:
            jar = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            before = dict(headers).get("cookie")
            headers = [pair for pair in headers if pair[0] != "cookie"]
            headers.append(("cookie", f"{before}; {jar}" if before else jar))
        target = request.target
        for name, value in self.query.items():
            target += f"{'&' if '?' in target else '?'}{quote(name, safe='')}={quote(value, safe='')}"
        return replace(request, target=target, headers=tuple(headers))


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who sends, as the user gives it."""

    header: tuple[str, ...] = ()
    "Header of every request, 'Name: value'."
    auth: str = ""
    "NAME:PASSWORD for HTTP basic."
    bearer: str = ""
    "Bearer token; by default the environment's GNOMON_BEARER."
    api_key: str = ""
    "Key; the document says where it goes."
    login: str = ""
    "Request that answers a token, 'POST /login BODY', sent again at 401; ${NAME} is from the environment."
    login_token: str = ""
    "JSON pointer of the token in that answer; by default the usual names."
    other_header: tuple[str, ...] = ()
    "Header of a second user, who must not see what is the first one's."
    other_bearer: str = ""
    "Bearer token of a second user; by default the environment's GNOMON_OTHER_BEARER."
    other_login: str = ""
    "Request that answers a token of a second user."

    def callers(self, api: Api) -> dict[str, Identity]:
        """The callers by name, those that are given; UsageError for a header or a login that is none."""
        bearer = self.bearer or os.environ.get("GNOMON_BEARER", "")
        other = self.other_bearer or os.environ.get("GNOMON_OTHER_BEARER", "")
        found = {}
        if self.header or self.auth or bearer or self.api_key or self.login:
            first = identity(api, "first", headers=self.header, user=self.auth, bearer=bearer, api_key=self.api_key)
            found["first"] = self._logging_in(api, first, self.login)
        if self.other_header or other or self.other_login:
            second = identity(api, "other", headers=self.other_header, bearer=other)
            found["other"] = self._logging_in(api, second, self.other_login)
        return found

    def _logging_in(self, api: Api, caller: Identity, login: str) -> Identity:
        return replace(caller, login=(Login.of(login, self.login_token), _scheme_of(api))) if login else caller


ANONYMOUS = Identity(name="anonymous")
"A caller that says nothing."


def identity(
    api: Api, name: str, *, headers: Sequence[str] = (), user: str = "", bearer: str = "", api_key: str = ""
) -> Identity:
    """A caller by what the user gave.

    Args:
        headers: `Name: value`, as they are.
        user: `NAME:PASSWORD`, for HTTP basic.
        bearer: a token.
        api_key: a key, which goes where the document's apiKey scheme says, and to X-API-Key where it has none.

    Raises:
        UsageError: a header or a user without a colon, a header's name that can be none, control characters.
    """
    found: dict[str, str] = {}
    for flag, text in [*(("--header", each) for each in headers), ("--bearer", bearer), ("--api-key", api_key)]:
        # No header can carry it, so nothing would ever be sent, as if the server dropped the connection.
        if _CONTROL.search(text):
            raise UsageError("a control character, such as the end of a line", where=flag, todo="leave it out")
    for each in headers:
        key, colon, value = each.partition(":")
        if not colon or not _TOKEN.fullmatch(key.strip()):
            raise UsageError(f"{each!r} is no header", where="--header", todo="write 'Name: value'")
        found[key.strip().lower()] = value.strip()
    if user and ":" not in user:
        raise UsageError("no name and password", where="--auth", todo="write NAME:PASSWORD")
    if user:
        found["authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    if bearer:
        found["authorization"] = f"Bearer {bearer}"
    caller = Identity(name=name, headers=found)
    if not api_key:
        return caller
    scheme = next((each for each in api.security.values() if each.kind == "apiKey"), None)
    return _placed(caller, scheme or SecurityScheme(kind="apiKey", name="X-API-Key", location="header"), api_key)


def wrong(of: Identity) -> Identity:
    """The same places with credentials that nobody has."""

    def spoiled(values: Mapping[str, str]) -> dict[str, str]:
        return {
            name: f"{value.partition(' ')[0]} {_WRONG}" if " " in value else _WRONG for name, value in values.items()
        }

    return Identity(name="wrong", headers=spoiled(of.headers), query=spoiled(of.query), cookies=spoiled(of.cookies))


def _scheme_of(api: Api) -> SecurityScheme:
    """Where a token goes that a login answers: as a bearer's, unless keys are all that the document knows."""
    kinds = list(api.security.values())
    keys = [each for each in kinds if each.kind == "apiKey"]
    return keys[0] if keys and len(keys) == len(kinds) else SecurityScheme(kind="http", scheme="bearer")


def _placed(caller: Identity, scheme: SecurityScheme, secret: str) -> Identity:
    if scheme.kind != "apiKey":
        return replace(caller, headers={**caller.headers, "authorization": f"Bearer {secret}"})
    if scheme.location == "query":
        return replace(caller, query={**caller.query, scheme.name: secret})
    if scheme.location == "cookie":
        return replace(caller, cookies={**caller.cookies, scheme.name: secret})
    return replace(caller, headers={**caller.headers, scheme.name.lower(): secret})
