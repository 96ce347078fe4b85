"""The document and the way to its server: read, narrowed to the operations that are tested, and permitted."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from gnomon.core.errors import DocumentError, UsageError
from gnomon.fuzz.base import Api, Operation, Transport
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.imports import imported
from gnomon.fuzz.loading import load
from gnomon.fuzz.loading.fetch import is_text
from gnomon.fuzz.probes import methods_of
from gnomon.fuzz.transport import transport_of

__all__ = ["DANGEROUS", "Target", "mounted", "opened"]

DANGEROUS = re.compile(r"shutdown|terminate|self-?destruct", re.IGNORECASE)
"Operations that are left alone unless `--include` names them."


@dataclass
class Target:
    """A document that was read and a way to its server.

    Attributes:
        api: what is promised, of the operations that are tested.
        transport: how it is reached.
        origin: scheme, host and port; "" for an application in this process.
        schema: where the document is from, as it was named.
        bases: what may stand before every path: `api.base_path`, then other readings of document and URL.
        note: what was decided about them, "" where they agree.
    """

    api: Api
    transport: Transport
    origin: str
    schema: str
    bases: tuple[str, ...] = ()
    note: str = ""


def opened(named: str, config: Fuzzing) -> Target:
    """Reads the document and finds the server.

    Args:
        named: file or URL of a document or GraphQL server, an application as `module:name`, or a path of `config.app`.

    Raises:
        UsageError: no server is named, the host is neither this machine nor private, no operation is left.
        DocumentError: the document cannot be read.
    """
    app = _application(config.app, "--app") if config.app else None
    schema: Any = named
    if re.fullmatch(r"[\w.]+:[\w.]+", named) and not Path(named).exists():
        schema = _application(named, "SCHEMA")
        app = app or (None if config.url else schema)
    within = bool(app) and named.startswith("/") and not Path(named).exists()
    api = load(app, at=named) if within else load(schema)
    api = replace(api, operations=_chosen(api, config))
    if app is not None:
        return _within(app, api, named, config)
    # A document that a server hands out speaks of that server, whatever host it names.
    base = config.url or (named if "://" in named else next(iter(api.servers), ""))
    where = urlsplit(base)
    if not where.scheme or not where.netloc:
        raise UsageError("no server is named, and the document names none", where="--url", todo="give http://HOST:PORT")
    if where.scheme not in ("http", "https") or not _has_port(where):
        raise UsageError(f"{base} is no address of a web server", where="--url", todo="give http://HOST:PORT")
    _permitted(where.hostname or "", config.i_own_this_host)
    given, said = where.path.rstrip("/") if config.url else "", api.base_path
    api = replace(api, base_path=given or said)
    beside = urlsplit(named).path.rpartition("/")[0] if "://" in named else ""
    bases = tuple(dict.fromkeys((api.base_path, said, given + said, beside, "")))
    origin = f"{where.scheme}://{where.netloc}"
    from gnomon.fuzz.transport.http import HttpTransport

    schema = "" if is_text(named) else named
    return Target(api, HttpTransport(origin, connections=config.connections), origin, schema, bases)


def mounted(app: Any, schema: Any, config: Fuzzing) -> Target:
    """An application of this process as a target.

    Args:
        app: an ASGI or WSGI application.
        schema: as `load` takes it, or a path of the application; None asks it at the common ones.
        config: which of its operations are tested.

    Raises:
        UsageError: no operation is left, or bytes are to be sent to it.
        DocumentError: the document cannot be read.
    """
    within = isinstance(schema, str) and schema.startswith("/") and not Path(schema).exists()
    api = load(app, at=schema) if within else load(app if schema is None else schema)
    api = replace(api, operations=_chosen(api, config))
    return _within(app, api, schema if isinstance(schema, str) and not is_text(schema) else "", config)


def _within(app: Any, api: Api, named: str, config: Fuzzing) -> Target:
    if config.raw:
        raise UsageError("an application has no bytes", where="--raw", todo="serve it, and give --url")
    return Target(api, transport_of(app), "", named, tuple(dict.fromkeys((api.base_path, ""))))


def _chosen(api: Api, config: Fuzzing) -> tuple[Operation, ...]:
    """The operations that are tested; what would end the server only when it is named."""
    if not api.operations:
        raise DocumentError("the document has no operations", where=api.title, todo="give one with paths and methods")
    kept = []
    for operation in api.operations:
        named = any(_named(operation, pattern) for pattern in config.include)
        dangerous = bool(DANGEROUS.search(f"{operation.path} {operation.name}"))
        if (named or (not config.include and not dangerous)) and not any(_named(operation, p) for p in config.exclude):
            kept.append(operation)
    if not kept:
        raise UsageError(
            f"none of {len(api.operations)} operations is left", where="--include, --exclude", todo="give GET /users*"
        )
    methods = methods_of(api.operations)
    tested = methods_of(tuple(kept))
    return tuple(replace(each, left_out=frozenset(methods[each.path] - tested[each.path])) for each in kept)


def _named(operation: Operation, pattern: str) -> bool:
    return any(fnmatchcase(text, pattern) for text in (operation.key, operation.path, operation.name, *operation.tags))


def _has_port(where: SplitResult) -> bool:
    """Whether a port that is named can be one."""
    try:
        return where.port != 0
    except ValueError:
        return False


def _permitted(host: str, own: bool) -> None:
    """This machine and private networks, or the user says that the host is theirs."""
    if own or host == "localhost" or host.endswith(".localhost"):
        return
    try:
        address = ip_address(host)
    except ValueError:
        private = False
    else:
        private = address.is_loopback or address.is_private
    if not private:
        raise UsageError(f"{host} is not this machine", where="--url", todo="add --i-own-this-host where it is yours")


def _application(name: str, where: str) -> Any:
    module, _, attribute = name.partition(":")
    found: Any = imported(module, where)
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise UsageError(str(error), where=where, todo="give module:name of an application") from None
    return found
