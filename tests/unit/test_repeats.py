"""Schedules of repeated data: what comes how often, and what stands apart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.repeats import WINDOW, Divided, Schedule, check_apart, divide


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    slots = draw(st.integers(500, 2000))
    share = draw(st.sampled_from([0.1, 0.5, 0.9]))
    size = draw(st.integers(1, 40))
    epochs = round(share * slots) / size
    return Schedule.of(slots=slots, share=share, epochs=max(1.0, epochs), seed=Seed(draw(st.integers(0, 50))))


@given(schedules())
def test_every_row_of_the_set_comes_as_often_as_asked_and_unique_rows_once(made: Schedule) -> None:
    filled = made.rows(0, made.slots)
    assert len(filled) == made.slots
    assert filled[filled >= 0].tolist() == list(range(made.unique))
    counts = Counter((-1 - filled[filled < 0]).tolist())
    assert set(counts) == set(range(made.size))
    assert {int(made.epochs), int(np.ceil(made.epochs))} >= set(counts.values())


@given(schedules())
def test_a_part_of_the_slots_is_the_same_read_alone_and_epochs_are_whole(made: Schedule) -> None:
    assert made.rows(100, 200).tolist() == made.rows(0, made.slots)[100:200].tolist()
    again = -1 - made.rows(0, made.slots)
    again = again[again >= 0]
    for begin in range(0, len(again) - made.size + 1, made.size):
        assert sorted(again[begin : begin + made.size].tolist()) == list(range(made.size))


def test_slots_are_shared_across_epochs_and_nested_across_shares() -> None:
    few, many = (Schedule.of(slots=1000, share=0.5, epochs=e, seed=Seed(1)) for e in (5, 100))
    assert ((few.rows(0, 1000) < 0) == (many.rows(0, 1000) < 0)).all()
    less = Schedule.of(slots=1000, share=0.1, epochs=5, seed=Seed(1))
    assert not ((less.rows(0, 1000) < 0) & (few.rows(0, 1000) >= 0)).any()


@given(schedules(), st.floats(0, 1))
def test_repeats_may_all_come_early_and_are_the_same(made: Schedule, place: float) -> None:
    until = made.share + place * (1 - made.share)
    early = replace(made, until=until)
    filled = early.rows(0, made.slots)
    assert (filled[max(made.repeated, round(until * made.slots)) :] >= 0).all()
    before = made.rows(0, made.slots)
    assert filled[filled < 0].tolist() == before[before < 0].tolist()
    assert filled[filled >= 0].tolist() == before[before >= 0].tolist()


def test_batches_hold_the_share_in_expectation_and_epochs_differ_in_order() -> None:
    made = Schedule.of(slots=6400, share=0.5, epochs=32, seed=Seed(0))
    by_batch = (made.rows(0, 6400) < 0).reshape(-1, 32).mean(1)
    assert by_batch.mean() == 0.5
    assert by_batch.std() == pytest.approx(np.sqrt(0.25 / 32), rel=0.2)
    again = (-1 - made.rows(0, 6400))[made.rows(0, 6400) < 0]
    assert again[:100].tolist() != again[100:200].tolist()


def test_nothing_is_repeated_at_a_share_of_zero() -> None:
    made = Schedule.of(slots=10, share=0.0, epochs=1, seed=Seed(0))
    assert made.rows(0, 10).tolist() == list(range(10))
    assert (made.size, made.epochs, made.share) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("slots", "share", "epochs", "words"),
    [
        (100, 0.5, 30, "epochs is 25"),
        (10, 0.33, 3, "share is 0.3"),
        (0, 0.5, 3, "0 rows"),
        (100, 1.0, 3, "a share of 1"),
        (100, 0.5, 0.5, "0.5 epochs"),
    ],
)
def test_what_whole_rows_cannot_give_is_refused(slots: int, share: float, epochs: float, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Schedule.of(slots=slots, share=share, epochs=epochs, seed=Seed(0))


def test_repeats_that_a_part_does_not_hold_are_refused() -> None:
    with pytest.raises(UsageError, match=r"a share of 0\.5 does not lie in 0\.4"):
        Schedule.of(slots=100, share=0.5, epochs=5, seed=Seed(0), until=0.4)


def _documents(count: int, *, length: int = 200) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 1000, length).astype(np.int32) for _ in range(count)]


def _sets(of: Divided) -> dict[str, np.ndarray]:
    return {"unique": of.unique, "repeated": of.repeated, "held_out": of.held_out}


def test_documents_are_dealt_out_whole_and_alike_beside_any_set() -> None:
    texts = _documents(30)
    made = divide(texts, width=60, unique=50, repeated=10, held_out=12, seed=Seed(3))
    assert [len(rows) for rows in made[:3]] == [50, 10, 12]
    of = {tuple(text[i : i + 60].tolist()): n for n, text in enumerate(texts) for i in (0, 60, 120)}
    roles = [{of[tuple(row.tolist())] for row in rows} for rows in made[:3]]
    assert not (roles[0] & roles[1] or roles[0] & roles[2] or roles[1] & roles[2])
    check_apart(_sets(made))
    assert made.dropped == 0
    fewer = divide(texts, width=60, unique=40, repeated=4, held_out=12, seed=Seed(3))
    for name, other in _sets(fewer).items():
        assert (_sets(made)[name][: len(other)] == other).all()


def test_duplicates_are_dropped_and_counted() -> None:
    texts = _documents(30)
    texts[7][60:120] = texts[3][:60]
    texts[9][5:58] = texts[20][123:176]
    made = divide(texts, width=60, unique=50, repeated=10, held_out=12, seed=Seed(3))
    assert made.dropped == 2
    check_apart(_sets(made))


def test_too_little_text_is_refused_with_what_is_needed() -> None:
    with pytest.raises(DataError, match=r"needs 6,000 unique tokens in rows of 60, and 4,500 are left"):
        divide(_documents(30), width=60, unique=100, repeated=3, held_out=10, seed=Seed(0))


def test_leaks_are_found_by_row_and_by_window() -> None:
    made = divide(_documents(30), width=60, unique=50, repeated=10, held_out=12, seed=Seed(3))
    whole = made.held_out.copy()
    whole[4] = made.unique[7]
    with pytest.raises(DataError, match=r"held_out: 1 of 12 rows share 50 tokens with unique: row 4"):
        check_apart({**_sets(made), "held_out": whole})
    part = made.repeated.copy()
    part[[1, 2, 3, 4], 10:] = made.unique[[7, 8, 9, 9], :50]
    with pytest.raises(DataError, match=r"repeated: 4 of 10 rows.*row 1.*row 2.*row 3: "):
        check_apart({"unique": made.unique, "repeated": part})
    part[:, : WINDOW - 1] = made.unique[:10, : WINDOW - 1]
    part[:, WINDOW - 1 :] = 2000
    part[:, -1] = np.arange(10)
    check_apart({"unique": made.unique, "repeated": part})
    with pytest.raises(DataError, match="1 of 10 rows stand there twice"):
        check_apart({"repeated": np.concatenate([made.repeated[:9], made.repeated[:1]])})
