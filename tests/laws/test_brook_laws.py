"""Laws of Brook's documents: what is written can be read back, and nothing else can."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.core.errors import DataError
from gnomon.data.worlds.brook import KINDS, world
from gnomon.data.worlds.brook.kinds import Kind

seeds = st.integers(0, 2**32)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_reading_gives_what_was_written(kind: Kind[tuple[object, ...]], seed: int) -> None:
    of = world()
    records = kind.document(of, random.Random(seed))
    text = kind.render(of, records)
    assert kind.parse(of, text.words) == records
    assert of.vocabulary.decode(of.vocabulary.encode_words(text.words)) == str(text)
    assert len(text.words) <= 254 and text.keys == sorted(set(text.keys))
    assert kind.grammar.split()[0][0].isupper() == text.words[0][0].isupper()


@pytest.mark.parametrize("kind", [k for k in KINDS.values() if k.name != "copy-back"], ids=lambda k: k.name)
@settings(max_examples=30, deadline=None)
@given(seed=seeds, place=st.integers(0, 10**6))
def test_a_wrong_word_is_refused_or_is_another_document(kind: Kind[tuple[object, ...]], seed: int, place: int) -> None:
    of, rng = world(), random.Random(seed)
    records = kind.document(of, rng)
    words = kind.render(of, records).words
    place %= len(words)
    words[place] = "Known:" if words[place] == "Survey:" else "Survey:"
    try:
        again = kind.parse(of, words)
    except DataError as refused:
        assert kind.name in str(refused)
    else:
        assert again != records


@given(seed=seeds, count=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_no_fresh_fact_occurs_twice_in_a_document(seed: int, count: int) -> None:
    of, rng = world(), random.Random(seed)
    for name in ("choice", "verdict", "source"):
        kind = KINDS[name]
        for _ in range(count):
            per_item = [
                {(m.name, m.relation) for m in kind.mentions(r) if m.name in of.fresh_names}
                for r in kind.document(of, rng)
            ]
            assert sum(map(len, per_item)) == len(set().union(*per_item))


@given(seed=seeds)
@settings(max_examples=25, deadline=None)
def test_exposure_names_stay_out_of_other_kinds(seed: int) -> None:
    of, rng = world(), random.Random(seed)
    for kind in KINDS.values():
        if kind.name != "exposure":
            assert not set(of.exposure_names) & set(kind.render(of, kind.document(of, rng)).words)
