"""Integers and numbers: bounds, divisors and the gaps between them as strategies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema_rs.canonical import IntegerView, NumberView

__all__ = ["integer_edges", "integer_strategy", "integers_of", "missed", "number_edges", "number_strategy"]

Number = int | float
Judge = Callable[[Any], bool]
EDGES = (0, -1, 2**63, 2**31, 1, 2**53 + 1, -(2**31) - 1, -(2**63) - 1, 2**31 - 1, 2**53 - 1, 2**63 - 1)
"Integers where a type of some server ends, those first that servers stumble over most."

REALS = (-0.0, 0.5, 1.0, 0.1, -1.5, 1e308, 5e-324, 1e21)
NEAR = 100
"Distance from the plainest number within which every other one is drawn."

LARGEST = 1.7976931348623157e308


def integer_strategy(view: IntegerView, accepts: Callable[[Number], bool]) -> SearchStrategy[Number]:
    """Integers that the view admits; `accepts` judges where divisors to be missed leave gaps."""
    low, high = view.minimum, view.maximum
    step = _common(view.multiple_of)
    if step is None:
        drawn: SearchStrategy[Number] = integers_of(low, high)
    else:
        step = Fraction(step.numerator)  # integers that a/b divides are those that a divides
        drawn = _multiples(step, low, high).map(int)
    if _missed_fraction(view):
        drawn = st.integers(*map(int, _within(low, high, 2**40)))
    return drawn.filter(accepts) if view.not_multiple_of else drawn


def number_strategy(view: NumberView, accepts: Callable[[Number], bool]) -> SearchStrategy[Number]:
    """Numbers that the view admits, whole ones too where it does not bar them."""
    low, high = _ended(view.minimum), _ended(view.maximum)
    step = _common(view.multiple_of)
    if step is not None:
        return _multiples(step, low, high).map(_plain).filter(accepts)
    if _missed_fraction(view):
        low, high = _within(low, high, 2**20)
    reals = _reals(low, high)
    whole = not view.excludes_integers and not any(_divides(1, step) for step in view.not_multiple_of)
    if not whole:
        return st.one_of(_halves(low, high), reals).filter(accepts)
    least = None if low is None else math.ceil(low)
    most = None if high is None else math.floor(high)
    if least is not None and most is not None and least > most:
        return reals.filter(accepts)
    return st.one_of(integers_of(least, most), reals).filter(accepts)


def integers_of(low: int | None, high: int | None) -> SearchStrategy[Number]:
    """Integers of a range: where it is wide, as often near its plainest number as anywhere."""
    wide = st.integers(low, high)
    if low is not None and high is not None and high - low < 4 * NEAR:
        return wide
    plain = max(0, low) if low is not None else 0
    plain = min(plain, high) if high is not None else plain
    least = plain if low is None else max(low, plain - NEAR)
    most = plain + NEAR if high is None else min(high, plain + NEAR)
    return st.one_of(st.integers(least, most), wide)


def integer_edges(view: IntegerView) -> list[tuple[Number, str]]:
    """Integers at the borders of the view, each with the keyword; some lie beyond it."""
    found: list[tuple[Number, str]] = [] if _missed_fraction(view) else [(n, "type") for n in (*EDGES, 1.0)]
    if view.minimum is not None:
        found += [(view.minimum + d, "minimum") for d in (-1, 0, 1)]
    if view.maximum is not None:
        found += [(view.maximum + d, "maximum") for d in (1, 0, -1)]
    return found + _divided(view.multiple_of, view.minimum, view.maximum)


def number_edges(view: NumberView) -> list[tuple[Number, str]]:
    """Numbers at the borders of the view, each with the keyword; some lie beyond it."""
    # Servers that divide floats disagree about the multiples of a fraction, so that none is a sure border.
    common = () if view.multiple_of or _missed_fraction(view) else (*EDGES, *REALS)
    found: list[tuple[Number, str]] = [(n, "type") for n in common]
    for bound, keyword, sign in ((view.minimum, "minimum", 1), (view.maximum, "maximum", -1)):
        if bound is not None:
            end = _plain(Fraction(bound))
            found += [(end - sign, keyword), (end, keyword), (end + sign, keyword)]
            found += [(math.nextafter(float(end), sign * d * math.inf), keyword) for d in (1, -1) if abs(end) < LARGEST]
    return found + _divided(view.multiple_of, view.minimum, view.maximum)


def missed(view: IntegerView | NumberView) -> Callable[[Judge], Judge] | None:
    """Narrows a judge to numbers that no server finds a multiple: one that divides floats finds many large ones so."""
    steps = [float(step) for step in view.not_multiple_of]
    if not steps:
        return None
    return lambda accepts: lambda n: accepts(n) and not any((n / step).is_integer() for step in steps)


def _divided(steps: Sequence[int | float | Decimal], low: object, high: object) -> list[tuple[Number, str]]:
    step = _common(steps)
    if step is None:
        return []
    near = Fraction(str(low)) if low is not None else Fraction(0)
    first = math.ceil(near / step)
    near_by = [_plain(step * k) for k in (*range(first, first + 4), Fraction(2 * first + 1, 2))]
    return [(n, "multipleOf") for n in near_by if step.denominator == 1 or (n / float(step) * 2).is_integer()]


def _missed_fraction(view: IntegerView | NumberView) -> bool:
    return any(Fraction(str(step)).denominator > 1 for step in view.not_multiple_of)


def _common(steps: Sequence[int | float | Decimal]) -> Fraction | None:
    """The least number that all steps divide; None for no steps."""
    found: Fraction | None = None
    for step in steps:
        exact = Fraction(str(step))
        if found is None:
            found = exact
        else:
            found = Fraction(
                math.lcm(found.numerator * exact.denominator, exact.numerator * found.denominator),
                found.denominator * exact.denominator,
            )
    return found


def _multiples(step: Fraction, low: Number | None, high: Number | None) -> SearchStrategy[Fraction]:
    least = None if low is None else math.ceil(Fraction(low) / step)
    most = None if high is None else math.floor(Fraction(high) / step)
    if step.denominator > 1:
        # Beyond 2**53 steps a float cannot hold the product.
        least = -(10**9) if least is None else least
        most = max(least, 10**9) if most is None else most
    if least is not None and most is not None and least > most:
        return st.nothing()
    drawn = st.integers(least, most).map(lambda k: step * k)
    # Servers that divide floats disagree with exact arithmetic about many multiples; some of them agree on all.
    return drawn.filter(lambda n: (float(n) / float(step)).is_integer()) if step.denominator > 1 else drawn


def _plain(exact: Fraction) -> Number:
    return int(exact) if exact.denominator == 1 else float(exact)


def _ended(bound: int | float | Decimal | None) -> Number | None:
    return _plain(Fraction(bound)) if bound is not None else None


def _divides(whole: int, step: int | float | Decimal) -> bool:
    return (Fraction(whole) / Fraction(str(step))).denominator == 1


def _reals(low: Number | None, high: Number | None) -> SearchStrategy[Number]:
    least = None if low is None else max(-LARGEST, _float(low))
    most = None if high is None else min(LARGEST, _float(high))
    if least is not None and low is not None and least < low:
        least = math.nextafter(least, math.inf)
    if most is not None and high is not None and most > high:
        most = math.nextafter(most, -math.inf)
    if least is not None and most is not None and least > most:
        return st.nothing()
    return st.floats(least, most, allow_nan=False, allow_infinity=False)


def _within(low: Number | None, high: Number | None, far: int) -> tuple[Number, Number]:
    least = -far if low is None else low
    most = far if high is None else high
    return (least, least + far) if least > most else (least, most)


def _halves(low: Number | None, high: Number | None) -> SearchStrategy[Number]:
    least = -(2**40) if low is None else math.floor(low)
    most = 2**40 if high is None else math.ceil(high)
    least, most = min(least, most), max(least, most)
    return st.integers(least, most).map(lambda n: n + 0.5)


def _float(bound: Number) -> float:
    try:
        return float(bound)
    except OverflowError:
        return math.copysign(LARGEST, bound)
