"""Laws of the readouts: bounds hold the truth, probabilities sum to one, splitting loses nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.core.errors import DataError
from gnomon.models.readout import exact, from_counts, from_top, match, split

weights = st.lists(st.floats(1e-6, 1.0), min_size=3, max_size=12)
words = st.lists(st.text("AB1 (.)", min_size=1, max_size=5).filter(str.strip), min_size=2, max_size=5, unique=True)


@given(weights, st.integers(1, 12), st.integers(2, 10))
def test_bounds_of_a_cut_list_hold_the_truth(raw: list[float], listed: int, num_options: int) -> None:
    p = [w / sum(raw) for w in raw]
    k = min(num_options, len(p))
    tokens = [chr(65 + i) for i in range(len(p))]
    top = sorted(zip(tokens, map(math.log, p), strict=True), key=lambda e: -e[1])[:listed]
    choice = from_top(top, tokens[:k])
    assert choice is not None
    truth = [q / sum(p[:k]) for q in p[:k]]
    for low, told, true, high in zip(choice.low, choice.p, truth, choice.high, strict=True):
        assert low - 1e-9 <= told <= high + 1e-9
        assert low - 1e-9 <= true <= high + 1e-9
    assert sum(choice.p) == pytest.approx(1.0)
    if listed >= len(p):
        assert choice.p == pytest.approx(truth)
        assert choice.low == choice.high == choice.p
        assert choice.mass == pytest.approx(sum(p[:k]))


@given(words)
def test_parts_put_together_give_the_options_but_for_shared_closing(options: list[str]) -> None:
    parts = split(options)
    endings = {o[len(parts.forced + r) :] for o, r in zip(options, parts.rests, strict=True)}
    assert all(o.startswith(parts.forced + r) for o, r in zip(options, parts.rests, strict=True))
    assert len(endings) == 1
    assert len(set(parts.rests)) == len(options) and all(parts.rests)
    assert parts.forced == parts.forced.rstrip()


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), st.integers(0, 20))
def test_counts_are_smoothed_and_sum_to_one(counts: list[int], others: int) -> None:
    choice = from_counts(counts, sum(counts) + others + 1)
    assert sum(choice.p) == pytest.approx(1.0) and all(0.0 < p < 1.0 for p in choice.p)
    assert choice.n == sum(counts) and 0.0 <= choice.mass < 1.0


@given(st.lists(st.floats(-2000.0, -1.0), min_size=2, max_size=6))
def test_exact_is_the_softmax_of_the_totals(totals: list[float]) -> None:
    choice = exact(totals)
    assert sum(choice.p) == pytest.approx(1.0)
    best = max(range(len(totals)), key=lambda i: totals[i])
    for i, t in enumerate(totals):
        assert choice.p[i] == pytest.approx(choice.p[best] * math.exp(t - totals[best]))
    assert choice.mass == pytest.approx(min(1.0, sum(map(math.exp, totals))))


def test_a_token_that_begins_several_options_widens_the_bounds() -> None:
    top = [("B", math.log(0.5)), ("1", math.log(0.2)), ("10", math.log(0.3))]
    choice = from_top(top, ["1)", "10)", "B)"])
    assert choice is not None
    assert choice.low == pytest.approx((0.0, 0.3, 0.5)) and choice.high == pytest.approx((0.2, 0.5, 0.5 / 0.8))
    assert choice.p == pytest.approx((0.1, 0.4, 0.5))
    assert from_top([("1", math.log(0.9)), ("B", math.log(0.1))], ["1)", "10)", "B)"]) is None


@pytest.mark.parametrize(
    ("options", "forced", "rests"),
    [
        ([" (A)", " (B)"], " (", ("A", "B")),
        (["A", "AB"], "", ("A", "AB")),
        ([" Yes", " No"], "", (" Yes", " No")),
        ([" mill.", " bill."], "", (" mill", " bill")),
        (["It is so", "It is not so"], "It is", (" so", " not so")),
        ([" (1)", " (10)"], " (", ("1)", "10)")),
    ],
)
def test_options_are_split_between_words(options: list[str], forced: str, rests: tuple[str, ...]) -> None:
    assert split(options) == (forced, rests)


@pytest.mark.parametrize("options", [["A"], ["A", "A"], ["A", " "], []])
def test_options_that_cannot_be_told_apart_are_refused(options: list[str]) -> None:
    with pytest.raises(DataError, match="must be two or more, not empty, all different"):
        split(options)


def test_the_longest_option_is_matched_and_only_whole_words() -> None:
    assert [match(t, ["1", "10", "no"]) for t in ("10)", " 1.", "100", "nothing", "no.", "")] == [
        1,
        0,
        None,
        None,
        2,
        None,
    ]
