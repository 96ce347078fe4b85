"""JUnit's XML: a case for each operation, and one for each defect, which fails."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from gnomon.fuzz.base import Defect
from gnomon.fuzz.outputs.found import Found
from gnomon.fuzz.outputs.text import printable

__all__ = ["junit"]


def junit(found: Found) -> str:
    """The document; advice is no failure, and stands in the output of its operation."""
    suite = quoteattr(printable(f"{found.api.title} {found.api.version}".strip() or "API"))
    cases = [_passed(found, operation.key, suite) for operation in found.api.operations]
    failed = [_failed(found, each, suite) for each in found.certain]
    counts = f'tests="{len(cases) + len(failed)}" failures="{len(failed)}" errors="0" time="{found.seconds:.3f}"'
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<testsuites {counts}>", f"<testsuite name={suite} {counts}>"]
    return "\n".join([*lines, *cases, *failed, "</testsuite>", "</testsuites>", ""])


def _passed(found: Found, operation: str, suite: str) -> str:
    advice = [each.violation for each in found.defects if not each.violation.certain and _of(each) == operation]
    said = "\n".join(f"advice: {each.title} ({each.check})" for each in advice)
    case = f"<testcase classname={suite} name={quoteattr(printable(operation))}"
    return f"{case}><system-out>{escape(said)}</system-out></testcase>" if said else f"{case}/>"


def _failed(found: Found, defect: Defect, suite: str) -> str:
    violation, (times, of) = defect.violation, defect.reproduced
    text = "\n".join(
        [violation.title, f"came back {times} of {of} times", violation.detail[:4000], "", found.curl(defect)]
    )
    return (
        f"<testcase classname={suite} name={quoteattr(f'{violation.check}: {violation.title}')}>"
        f"<failure type={quoteattr(violation.check)} message={quoteattr(violation.title)}>{escape(text)}</failure>"
        "</testcase>"
    )


def _of(defect: Defect) -> str:
    return defect.violation.steps[-1].case.operation.key
