"""Odd candidates, odd answers, and what the judge makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gnomon.sandbox import Check, Judges, Limits, SandboxError, called, protect
from gnomon.sandbox.asked import call_frame, compiled, load_frame, read_call, read_load
from gnomon.sandbox.codec import Unreadable, decode, encode
from gnomon.sandbox.foresee import foreseen

SQUARES = Check(names=("f",), test="assert f(2) == 4\nassert f(3) == 9")

# The compiler repeats what a `finally` holds for each way out: half a million times here.
_MULTIPLIED = "".join(f"{' ' * n}try: f()\n{' ' * n}finally:\n" for n in range(19)) + " " * 19 + "f()\n"


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    with Judges(1, Limits(cpu_seconds=1.0, memory_bytes=768 << 20)) as pool:
        yield pool


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def f(x):\r\n\treturn x * x\r\n", "passed"),
        ("def f(x):\n\tif x:\n\t    return x * x\n", "passed"),
        ("def f(x):\n    if x:\n\treturn x\n", "syntax"),
        ("def f(x): return f(x)", "exception"),
        (_MULTIPLIED, "syntax"),
        ("def f(x):\n    try: return x * x\n    finally: pass", "passed"),
        ("def f(x):\n    try: return x * x\n    finally: (", "syntax"),
        ("def f(x): return 0\ndef check(g): pass\n", "wrong answer"),
        ("print('x' * 10 ** 7)\ndef f(x): return x * x", "passed"),
        ("def f(x): return float('nan')", "wrong answer"),
        ("def f(x): return 10 ** 5000", "wrong answer"),
        ("def f(x): return [0] * 10 ** 7", "unreadable answer"),
        ("def f(x):\n    a = []\n    a.append(a)\n    return a", "unreadable answer"),
        ("def f(x):\n    a = []\n    for _ in range(10 ** 5): a = [a]\n    return a", "unreadable answer"),
        ("from fractions import Fraction\ndef f(x): return Fraction(x * x)", "passed"),
        ("from decimal import Decimal\ndef f(x): return Decimal(x * x)", "passed"),
        ("from decimal import Decimal\ndef f(x): return Decimal('sNaN')", "wrong answer"),
        ("from fractions import Fraction\ndef f(x): return Fraction(1, 10 ** 6000)", "unreadable answer"),
        ("from decimal import Decimal\ndef f(x): return Decimal('1' * 6000)", "unreadable answer"),
        (
            "class Fraction:\n    __module__ = 'fractions'\n    numerator, denominator = 4, 0\n"
            "def f(x): return Fraction()",
            "unreadable answer",
        ),
        (
            "class Decimal:\n    __module__ = 'decimal'\n    __eq__ = lambda s, o: True\n    __str__ = lambda s: '1'\n"
            "def f(x): return Decimal()",
            "wrong answer",
        ),
        (
            "import enum\nclass A(enum.StrEnum):\n    B = 'b'\n    def __eq__(s, o): return True\ndef f(x): return A.B",
            "wrong answer",
        ),
        ("(" * 10**5, "syntax"),
        ("-" * 10**5 + "1", "syntax"),
        ("f = 1" + " + 1" * 10**5, "syntax"),
        ("x" + ".a" * 10**5, "syntax"),
        ("def f(x): return x * x\n" + "# " + "y" * 10**6, "passed"),
        ("import warnings\nwarnings.simplefilter('error')\ndef f(x): return x * x if '\\d' else 0", "passed"),
    ],
)
def test_what_becomes_of_it(judges: Judges, source: str, cause: str) -> None:
    assert judges.verdict(SQUARES, source).cause == cause
    assert judges.verdict(SQUARES, "def f(x): return x * x").passed


def test_a_test_that_draws_draws_the_same_for_every_candidate(judges: Judges) -> None:
    check = Check(names=("f",), test="import random\nx = random.random()\nassert f(x) == x, x")
    first, second = (judges.verdict(check, f"def f(x): return {n}").detail for n in (2, 3))
    assert first == second != ""


def test_the_order_of_a_set_is_the_same_for_every_judge() -> None:
    source = "def f(x):\n    return [w for w in {'b', 'a', 'd', 'c', 'e'}]"
    check = Check(names=("f",), test="assert f(0) == [], f(0)")
    found = set()
    for _ in range(3):
        with Judges(1) as pool:
            found.add(pool.verdict(check, source).detail)
    assert len(found) == 1


def test_frames_hold_what_was_asked() -> None:
    asked = load_frame(compiled("x = 1"), ["f"])
    assert read_load(asked[4:])[1] == ["f"]
    frame = call_frame("f", (1, [2.5, {3: {4}}], "a"), {"k": b"b"}, back=True)
    assert read_call(frame[4:], lambda n: n) == ("f", True, [1, [2.5, {3: {4}}], "a"], {"k": b"b"})
    assert frame == call_frame("f", (1, [2.5, {3: {4}}], "".join(["a"])), {"k": b"b"}, back=True)
    functions: list[object] = []

    def numbered(function: object) -> int:
        functions.append(function)
        return 7

    sent = call_frame("f", (len, range(3)), {}, back=False, numbered=numbered)
    assert read_call(sent[4:], lambda n: n)[2] == [7, range(3)] and functions == [len]
    with pytest.raises(Unreadable):
        call_frame("f", (object(),), {}, back=False)


def test_calls_behind_answers_that_are_gone_through_are_foreseen() -> None:
    test = "assert tuple(f(1)) == tuple(f(2))\nfor x in f(3):\n    f(x)\nassert f(4) == [3]"
    frames = foreseen(Check(names=("f",), test=test), lambda source, name: compile(source, name, "exec"))
    assert [read_call(frame[4:], id)[2] for frame in frames] == [[1], [2], [3], [4]]


def test_a_call_that_an_answer_leads_to_is_made_all_the_same(judges: Judges) -> None:
    check = Check(names=("f",), test="for x in f(2):\n    assert f(x) == [0]\nassert f(3) == [1, 0, 0]")
    right = "def f(x): return [0] if x < 2 else [1] + [0] * (x - 1)"
    for _ in range(2):
        assert judges.verdict(check, right).passed
        assert judges.verdict(check, right.replace("x < 2", "x < 1")).cause == "wrong answer"


def test_a_source_that_breaks_the_judge_is_counted(judges: Judges) -> None:
    check = Check(names=("f",), setup="import ctypes", test="f(1)\nctypes.string_at(0)")
    assert judges.verdict(check, "def f(x): return x").cause == "crash"
    assert judges.verdict(SQUARES, "def f(x): return x * x").passed


def test_one_call_of_a_function_that_is_not_trusted() -> None:
    held, limits = protect(), Limits(cpu_seconds=0.2)
    assert called("def f(x): return [x, 1]", "f", ["a"], held, limits) == ["a", 1]
    for body in ("return open('/etc/passwd').read()", "\n    while True: pass", "return f"):
        with pytest.raises(SandboxError):
            called(f"def f(x): {body}", "f", [0], held, limits)


@pytest.mark.parametrize("text", [b"", b"[", b"1 2", b"[1]]", b" 1", b"nul", b"\xff", b"1" * 5000, b"[" * 10**5])
def test_a_text_that_is_no_one_value_is_unreadable(text: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(text)


@pytest.mark.parametrize("value", [None, True, 1 << 61, 0.1, 'a\u00e9\n"', [], [1, None, 2.5, "x", False]])
def test_plain_values_are_written_as_json_writes_them(value: object) -> None:
    assert encode(value) == json.dumps(value).encode()
    assert decode(encode(value)) == value
