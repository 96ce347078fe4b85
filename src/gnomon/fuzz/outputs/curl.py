"""A defect as lines for a shell: one curl a step, with what a step answers put into the next by jq or sed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from gnomon.fuzz.base import Defect, Exchange, Request
from gnomon.fuzz.state.expressions import LOCATION
from gnomon.fuzz.writing import written

__all__ = ["curl", "variable"]


def curl(defect: Defect, origin: str, base_path: str = "", *, secrets: frozenset[str] = frozenset()) -> str:
    """Lines that show the defect at `origin`.

    Args:
        origin: scheme, host and port.
        base_path: as of the API.
        secrets: texts that are written as `$TOKEN`.
    """
    steps = defect.violation.steps
    taken = sorted({(take.step, take.expression) for step in steps for take in step.takes})
    lines = []
    for i, step in enumerate(steps):
        line = _line(_templated(step, base_path), origin, secrets)
        wanted = [expression for at, expression in taken if at == i]
        lines += [_keeping(line, i, expression) for expression in wanted[:1]] or [line]
    return "\n".join(lines)


def variable(step: int) -> str:
    """Name of the shell's variable for what a step answers."""
    return f"ID{step}"


def _templated(step: Exchange, base_path: str) -> Request:
    """The step's request with `${ID0}` where an earlier step's answer goes."""
    if not step.takes:
        return step.request
    marks = {(take.location, take.place): f"gnomonID{take.step}gnomon" for take in step.takes}
    case = replace(step.case, parameters={**step.case.parameters, **marks})
    target = written(case, base_path).target
    for take in step.takes:
        target = target.replace(f"gnomonID{take.step}gnomon", f"${{{variable(take.step)}}}")
    return replace(step.request, target=target)


def _line(request: Request, origin: str, secrets: frozenset[str]) -> str:
    words = ["curl", "-sS", "-i", "-X", request.method, "--path-as-is"]
    if request.method == "HEAD":
        words = ["curl", "-sS", "-I", "--path-as-is"]
    for name, value in request.headers:
        words += ["-H", f"{name}: {_masked(name, value, secrets)}"]
    url = origin + request.target
    text = " ".join(map(_quoted, [*words, url]))
    if not request.body:
        return text
    try:
        return f"{text} --data-binary {shlex.quote(request.body.decode('ascii'))}"
    except UnicodeDecodeError:
        octal = "".join(f"\\{byte:03o}" for byte in request.body)
        return f"printf {shlex.quote(octal)} | {text} --data-binary @-"


def _quoted(word: str) -> str:
    """Quoted for a shell; variables stay."""
    if "${ID" in word or "$TOKEN" in word:
        return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`") + '"'
    return shlex.quote(word)


def _keeping(line: str, step: int, expression: str) -> str:
    """A line that keeps what it answers in a variable."""
    if expression == LOCATION:
        read = "sed -n 's/^[Ll]ocation: *//p' | tr -d '\\r' | sed 's|/*$||; s|.*/||'"
        return f"{variable(step)}=$({line} | {read})"
    path = "".join(f"[{part!r}]" for part in expression.partition("#")[2].split("/")[1:]).replace("'", '"')
    return f"{variable(step)}=$({line.replace(' -i ', ' ', 1)} | jq -r '.{path}')"


def _masked(name: str, value: str, secrets: Sequence[str] | frozenset[str]) -> str:
    for secret in sorted(secrets, key=len, reverse=True):
        if secret in value:
            value = value.replace(secret, "$TOKEN")
    return value
