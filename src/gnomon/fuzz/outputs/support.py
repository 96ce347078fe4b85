"""What a file of standalone tests begins with: it knows nothing of this package."""

from __future__ import annotations

__all__ = ["SUPPORT"]

SUPPORT = '''"""Defects of @TITLE@, found by gnomon fuzz: a test fails while its defect is there.

    API_URL=@URL@ TOKEN=... python -m pytest test_defects.py

Nothing but pytest is needed. A test is skipped where the server does not take the requests that lead to the defect.
"""

import datetime
import http.client
import ipaddress
import json
import os
import re
import secrets
import uuid
from urllib.parse import quote, unquote, urlsplit

import pytest

API_URL = os.environ.get("API_URL", "@URL@")


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.ok = 200 <= status < 300
        self.type = (self.header("content-type") or "").partition(";")[0].strip().lower()

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self):
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def at(self, pointer):
        value = at(self.json(), [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]])
        if value is None:
            pytest.skip(f"nothing at {pointer} of an answer of {self.status}")
        return value

    def made(self):
        """The identifier at the end of Location."""
        location = self.header("location")
        if location is None:
            pytest.skip(f"no Location in an answer of {self.status}")
        return unquote(urlsplit(location).path.rstrip("/").rpartition("/")[2])

    def field(self, name):
        """A member of the answer, or of the one object in it."""
        value = self.json()
        inner = [each for each in value.values() if isinstance(each, dict)] if isinstance(value, dict) else []
        if isinstance(value, dict) and name not in value and len(inner) == 1:
            value = inner[0]
        return value.get(name) if name and isinstance(value, dict) else value


def send(method, target, headers=(), body=b"", other=None, needed=False):
    """One request, its bytes as they are; `other` is sent where the server says that it has such a thing already."""
    reply = _send(method, target, headers, body)
    if reply.status == 409 and other is not None:
        reply = _send(method, target, headers, other)
    if needed and not reply.ok:
        pytest.skip(f"{method} {target[:80]} was answered {reply.status}, which does not lead to the defect")
    return reply


def _send(method, target, headers, body):
    where = urlsplit(API_URL)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname, where.port, timeout=30)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode())
        if body or method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Reply(answer.status, answer.getheaders(), answer.read())
    except (http.client.HTTPException, ConnectionError) as error:
        if isinstance(error, ConnectionRefusedError):
            pytest.skip(f"no server at {API_URL}")
        return Reply(0, [], repr(error).encode())
    finally:
        connection.close()


def quoted(value):
    return quote(text(value), safe="")


def text(value):
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def fresh():
    return secrets.token_hex(3).encode()


def at(value, path):
    """What stands at a path; None where nothing does."""
    for part in path:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and str(part).isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def mentions(value, wanted):
    """Whether a scalar of a JSON value is the one wanted."""
    if isinstance(value, dict):
        return any(mentions(each, wanted) for each in value.values())
    if isinstance(value, list):
        return any(mentions(each, wanted) for each in value)
    return str(value) == str(wanted)


def places(value, path):
    """All values at a path in which * is every element."""
    if not path:
        return [value]
    if path[0] == "*":
        return [each for item in value for each in places(item, path[1:])] if isinstance(value, list) else []
    if isinstance(value, dict) and path[0] in value:
        return places(value[path[0]], path[1:])
    return []


def breaks(value, keyword, said):
    """Whether a value breaks one keyword of JSON Schema."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if keyword == "type":
        return not any(is_a(value, kind) for kind in ([said] if isinstance(said, str) else said))
    if keyword == "required":
        return isinstance(value, dict) and any(name not in value for name in said)
    if keyword in ("additionalProperties", "unevaluatedProperties"):
        return isinstance(value, dict) and any(name not in said for name in value)
    if keyword == "enum":
        return value not in said
    if keyword == "const":
        return value != said
    if keyword == "pattern":
        return isinstance(value, str) and not re.search(said, value)
    if keyword == "format":
        return isinstance(value, str) and not is_format(value, said)
    limits = {"minimum": lambda: value < said, "maximum": lambda: value > said,
              "exclusiveMinimum": lambda: value <= said, "exclusiveMaximum": lambda: value >= said,
              "multipleOf": lambda: value % said != 0}
    if keyword in limits:
        return number and limits[keyword]()
    kinds = {"Length": str, "Items": list, "Properties": dict}
    size = re.fullmatch("(min|max)(Length|Items|Properties)", keyword)
    if size and isinstance(value, kinds[size[2]]):
        return len(value) < said if size[1] == "min" else len(value) > said
    return False


def is_a(value, kind):
    if kind == "integer":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    kinds = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    return isinstance(value, kinds[kind])


def is_format(value, name):
    readers = {"date": datetime.date.fromisoformat, "uuid": uuid.UUID, "ipv4": ipaddress.IPv4Address,
               "ipv6": ipaddress.IPv6Address,
               "date-time": lambda text: datetime.datetime.fromisoformat(text.upper().replace("Z", "+00:00"))}
    try:
        readers.get(name, str)(value)
    except ValueError:
        return False
    return {"email": "@" in value, "uri": ":" in value}.get(name, True)
'''
