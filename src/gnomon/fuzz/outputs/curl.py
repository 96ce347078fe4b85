"""A defect as lines for bash: one curl a step, with what a step answers put into the next by jq or sed.

Credentials are `$TOKEN` and `$OTHER_TOKEN`, which the shell has to know.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from urllib.parse import urlsplit

from gnomon.fuzz.base import Defect, Request
from gnomon.fuzz.outputs.steps import Step, steps_of
from gnomon.fuzz.pointers import tokens
from gnomon.fuzz.state.expressions import LOCATION
from gnomon.fuzz.transport.malformed import malformed

__all__ = ["curl", "sent_as_bytes"]

_MARK = re.compile(r"(\$\{(?:ID\d+|(?:OTHER_)?TOKEN\d*)\})")
_RUN = re.compile(r"([ -~]{1,8}?)\1{199,}")
_LONGEST_ARGUMENT = 100_000
_BODY = "sed '1,/^\\r*$/d' | "


def curl(defect: Defect, origin: str, *, secrets: Mapping[str, str] | None = None) -> str:
    """Lines that show the defect at `origin`.

    Args:
        origin: scheme, host and port.
        secrets: names of variables by secret, as `steps_of` takes them.
    """
    steps = steps_of(defect, secrets or {})
    raw = {name for step in steps for name in _names(step.request.body.decode("latin-1"))}
    return "\n".join(line for step in steps for line in _lines(step, origin, raw))


def _lines(step: Step, origin: str, raw: set[str]) -> list[str]:
    """A step's line; `raw` are the variables that a body holds, which nothing is to encode."""
    line = _line(step.request, origin)
    if not step.keeps:
        return [line]
    if len(step.keeps) == 1:
        ((name, expression),) = step.keeps.items()
        if expression != LOCATION:
            line = line.replace(" -i ", " ", 1)
        return [f"{name}=$({line} | {_reading(expression, name in raw)})"]
    bodies = {name: "" if expression == LOCATION else _BODY for name, expression in step.keeps.items()}
    kept = [f'{name}=$(printf %s "$R" | {bodies[name]}{_reading(e, name in raw)})' for name, e in step.keeps.items()]
    return [f"R=$({line})", *kept]


def _line(request: Request, origin: str) -> str:
    if request.malformed:
        return sent_as_bytes(request, origin)
    words = ["curl", "-sS", "-i", "-X", request.method, "--path-as-is"]
    if request.method == "HEAD":
        words = ["curl", "-sS", "-I", "--path-as-is"]
    if set("[]{}") & set(_MARK.sub("", request.target)):
        words.append("--globoff")
    for name, value in request.headers:
        words += ["-H", f"{name}: {value}"]
    if request.body and not any(name == "content-type" for name, _ in request.headers):
        words += ["-H", "content-type:"]
    text = " ".join(map(_quoted, [*words, origin + request.target]))
    if not request.body:
        return text
    plain = request.body.decode("latin-1")
    if plain.isascii() and plain.isprintable() and len(plain) < _LONGEST_ARGUMENT:
        return f"{text} --data-raw {_quoted(plain)}"
    return f"{_printing(plain)} | {text} --data-binary @-"


def sent_as_bytes(request: Request, origin: str) -> str:
    """printf and nc for what no HTTP client sends."""
    where = urlsplit(origin)
    port = where.port or (443 if where.scheme == "https" else 80)
    client = f"openssl s_client -quiet -connect {where.hostname}:{port}" if where.scheme == "https" else ""
    data = malformed(request, where.netloc).decode("latin-1")
    return f"{_printing(data)} | {client or f'nc -w 5 {where.hostname} {port}'}"


def _quoted(word: str) -> str:
    """Quoted for bash; variables of marks stay, and what a terminal would obey is written in escapes."""
    return (
        "".join(f'"{part}"' if i % 2 else _shortened(part) for i, part in enumerate(_MARK.split(word)) if part) or "''"
    )


def _shortened(part: str) -> str:
    """Quoted, with a long repetition as a printf that says how often."""
    written, end = [], 0
    for run in _RUN.finditer(part):
        unit, times = run[1], len(run[0]) // len(run[1])
        again = unit.replace("\\", "\\\\").replace("%", "%%") + "%.0s"
        written += [_literal(part[end : run.start()]), f'"$(printf -- {shlex.quote(again)} {{1..{times}}})"']
        end = run.end()
    return "".join([*written, _literal(part[end:])])


def _literal(part: str) -> str:
    if not part:
        return ""
    if part.isprintable():
        return shlex.quote(part)
    escaped = "".join(
        c if c.isprintable() and c not in "'\\" else "".join(f"\\{byte:03o}" for byte in c.encode()) for c in part
    )
    return f"$'{escaped}'"


def _printing(body: str) -> str:
    """printf of bytes, one character of latin-1 each."""
    parts = _MARK.split(body)
    arguments = [f'"{part}"' for part in parts[1::2]]
    shown = ["%s" if i % 2 else "".join(map(_octal, part)) for i, part in enumerate(parts)]
    return " ".join(["printf", "--", shlex.quote("".join(shown)), *arguments])


def _octal(c: str) -> str:
    if c == "%":
        return "%%"
    return c if " " <= c <= "~" and c not in "\\'" else f"\\{ord(c):03o}"


def _reading(expression: str, raw: bool) -> str:
    """What reads an expression out of an answer, a header's out of its headers; fit for a URL unless `raw`."""
    if expression == LOCATION:
        return "sed -n 's/^[Ll]ocation: *//p' | tr -d '\\r' | sed 's|[?#].*||; s|/*$||; s|.*/||'"
    parts = tokens(expression.partition("#")[2])
    path = "".join(f"[{part}]" if part.isdigit() else '["' + part.replace('"', '\\"') + '"]' for part in parts)
    return f"jq -r {shlex.quote(f'.{path}' if raw else f'.{path} | @uri')}"


def _names(text: str) -> set[str]:
    return {found[2:-1] for found in _MARK.findall(text) if found.startswith("${ID")}
