"""A file of tests that needs nothing but pytest: one test a defect, which fails while the defect is there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gnomon.fuzz.base import Defect
from gnomon.fuzz.outputs.assertions import assertions
from gnomon.fuzz.outputs.found import Found
from gnomon.fuzz.outputs.fresh import renewable
from gnomon.fuzz.outputs.steps import Step
from gnomon.fuzz.outputs.support import SUPPORT
from gnomon.fuzz.outputs.text import mark
from gnomon.fuzz.state.expressions import LOCATION

__all__ = ["pytest_file"]

_MARK = re.compile(r"(\$\{[A-Z_0-9]+\})")
_LONGEST = 100


def pytest_file(found: Found) -> str:
    """The file. Credentials come from the environment; what a step answers goes into the next."""
    names: set[str] = set()
    tests = [_test(found, each, names) for each in found.certain]
    tokens = sorted(
        {name for name in found.secrets.values() if any(mark(name) in _all_text(found, each) for each in found.certain)}
    )
    head = SUPPORT.replace("@TITLE@", _comment(f"{found.api.title} {found.api.version}".strip() or "the API"))
    head = head.replace("@URL@", found.origin)
    lines = [f'{name} = os.environ.get("{name}", "")' for name in tokens]
    return "\n\n\n".join([head.rstrip() + ("\n" + "\n".join(lines) if lines else ""), *tests]) + "\n"


def _test(found: Found, defect: Defect, names: set[str]) -> str:
    violation, (times, of) = defect.violation, defect.reproduced
    steps = found.steps(defect)
    lines = [f"def {_name(violation.title, names)}():"]
    lines += [f'    """{_comment(violation.title)} ({violation.check}; came back {times} of {of} times)"""']
    for i, step in enumerate(steps):
        lines.append(f"    r{i} = {_sending(found, step, last=i == len(steps) - 1)}")
        lines += [f"    {name.lower()} = {_taking(f'r{i}', expression)}" for name, expression in step.keeps.items()]
    said = assertions(violation, found.api)
    return "\n".join([*lines, *(f"    {each}" for each in said)])


def _sending(found: Found, step: Step, *, last: bool) -> str:
    request = step.request
    headers = ", ".join(f"({name!a}, {_joined(value, found.secrets)})" for name, value in request.headers)
    words = [ascii(request.method), _joined(request.target, found.secrets, quoted=True)]
    if headers:
        words.append(f"[{headers}]")
    if request.body:
        words.append(f"body={_joined_bytes(request.body, found.secrets)}")
    other = renewable(step, found.api) if step.exchange.reply.status != 409 else None
    if other:
        words.append(f"other={_joined_bytes(other, found.secrets)}")
    if not last and step.keeps:
        words.append("needed=True")
    return f"send({', '.join(words)})"


def _taking(reply: str, expression: str) -> str:
    if expression == LOCATION:
        return f"{reply}.made()"
    return f"{reply}.at({expression.partition('#')[2]!a})"


def _joined(text: str, secrets: Mapping[str, str], *, quoted: bool = False) -> str:
    """An expression of Python for a text with marks; what goes into a URL is encoded."""
    parts = [_variable(part, quoted) if i % 2 else ascii(part) for i, part in _parts(text, secrets)]
    return " + ".join(parts) or "''"


def _joined_bytes(body: bytes, secrets: Mapping[str, str]) -> str:
    parts = [
        _encoded(part) if i % 2 else repr(part.encode("latin-1")) for i, part in _parts(body.decode("latin-1"), secrets)
    ]
    return " + ".join(parts) or "b''"


def _parts(text: str, secrets: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Literal parts at even places, names of marks at odd ones; what only looks like a mark is literal."""
    known = {*secrets.values(), "FRESH"}
    literal = ""
    for i, part in enumerate(_MARK.split(text)):
        name = part[2:-1]
        if i % 2 and (name in known or re.fullmatch(r"ID\d+", name)):
            if literal:
                yield 0, literal
            yield 1, name
            literal = ""
        else:
            literal += part
    if literal:
        yield 0, literal


def _variable(name: str, quoted: bool) -> str:
    word = name.lower() if name.startswith("ID") else name
    return f"quoted({word})" if quoted else f"str({word})" if name.startswith("ID") else word


def _encoded(name: str) -> str:
    if name == "FRESH":
        return "fresh()"
    return f"text({name.lower()})" if name.startswith("ID") else f"{name}.encode()"


def _name(title: str, taken: set[str]) -> str:
    words = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[:_LONGEST].rstrip("_") or "defect"
    name, number = f"test_{words}", 2
    while name in taken:
        name, number = f"test_{words}_{number}", number + 1
    taken.add(name)
    return name


def _comment(text: str) -> str:
    """Text that cannot end a docstring; the title was made printable before."""
    return text.replace("\\", "\\\\").replace('"', "'").replace("\n", " ").encode("ascii", "backslashreplace").decode()


def _all_text(found: Found, defect: Defect) -> str:
    requests = [step.request for step in found.steps(defect)]
    return "".join(f"{each.target}{each.headers}{each.body.decode('latin-1')}" for each in requests)
