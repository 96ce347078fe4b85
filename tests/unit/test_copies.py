"""The language whose copies are known: the law it says it has, masks that are true, documents that never change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnomon.core.errors import UsageError
from gnomon.data.worlds.copies import Copies
from gnomon.data.worlds.language import BOS, syllables

INDICES = st.lists(st.integers(0, 1 << 41), min_size=1, max_size=6)


@given(indices=INDICES, length=st.integers(2, 80))
def test_a_document_depends_on_its_number_alone(indices: list[int], length: int) -> None:
    language = Copies()
    together = language.documents(indices, length)
    alone = [language.documents([index], length) for index in indices]
    assert (together.tokens == np.concatenate([each.tokens for each in alone])).all()
    assert (together.is_copy == np.concatenate([each.is_copy for each in alone])).all()


def test_a_longer_document_begins_with_other_draws_but_the_same_law() -> None:
    made = Copies(copy_rate=0).documents(range(400), 64)
    assert made.tokens[:, 0].max() == 0 and made.tokens[:, 1:].min() > 0
    assert not made.is_copy.any() and made.is_fresh[:, 1:].all() and not made.is_fresh[:, 0].any()
    # Of a mixture of two laws with disjoint or shared successors, the floor is the mean of -log p.
    assert np.isnan(made.floor[:, 0]).all() and np.isfinite(made.floor[:, 1:]).all()
    shares = 1 / np.arange(1, 17)
    shares /= shares.sum()
    entropy = -(shares * np.log(shares)).sum()
    assert entropy < np.nanmean(made.floor) < entropy + np.log(2)


def test_the_floor_is_the_entropy_of_the_law_where_one_token_decides() -> None:
    made = Copies(copy_rate=0, second_order=0, exponent=0.7).documents(range(2000), 32)
    shares = np.arange(1, 17) ** -0.7
    shares /= shares.sum()
    error = np.nanstd(made.floor) / np.sqrt(made.is_fresh.sum())
    assert np.nanmean(made.floor) == pytest.approx(-(shares * np.log(shares)).sum(), abs=4 * error)


@given(
    seed=st.integers(0, 3),
    shortest=st.integers(2, 20),
    more=st.integers(0, 10),
    noise=st.sampled_from([0.0, 0.2]),
)
def test_what_is_called_a_copy_stood_above(seed: int, shortest: int, more: int, noise: float) -> None:
    language = Copies(shortest=shortest, longest=shortest + more, noise=noise, copy_rate=0.3, seed=seed)
    made = language.documents(range(8), 96)
    assert not made.is_copy[:, : max(16, shortest + 1)].any()
    for tokens, copied in zip(made.tokens.tolist(), made.is_copy.tolist(), strict=True):
        begins = [place for place in range(1, 96) if copied[place] and not copied[place - 1]]
        for place in begins:
            # A span that follows a fresh token says again some stretch that lies `shortest` or more tokens back.
            length = next((n for n in range(96 - place) if not copied[place + n]), 96 - place)
            least = min(length, shortest) if noise == 0 else 1
            stretch = tokens[place : place + least]
            assert any(tokens[source : source + least] == stretch for source in range(1, place - shortest + 1))


def test_shares_are_as_asked() -> None:
    made = Copies(copy_rate=1.0, shortest=8, longest=8, noise=0.25).documents(range(300), 128)
    # From the 17th place on there is always a copy, a quarter of whose tokens is fresh.
    share = made.is_copy[:, 16:].mean()
    assert share == pytest.approx(0.75, abs=0.02)


def test_fresh_tokens_follow_the_two_laws() -> None:
    language = Copies(copy_rate=0, second_order=0.25, vocabulary=50, successors=2)
    made = language.documents(range(600), 64).tokens
    first, second = language._laws
    by_first = first[made[:, 2:-1], made[:, 3:]] > 0
    by_second = second[made[:, 1:-2], made[:, 3:]] > 0
    assert (by_first | by_second).all()
    # Chance agreement aside, a quarter follow the token before last.
    assert (by_second & ~by_first).mean() == pytest.approx(0.25 * (1 - 2 / 50), abs=0.02)


def test_words_differ_and_the_first_is_the_beginning() -> None:
    words = Copies(vocabulary=300).words
    assert len(set(words)) == 301 and words[0] == BOS
    assert len(set(syllables(5000))) == 5000


@pytest.mark.parametrize(
    "wrong",
    [{"copy_rate": 1.2}, {"noise": -0.1}, {"successors": 70}, {"shortest": 0}, {"shortest": 9, "longest": 8}],
)
def test_a_language_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Copies(**wrong)  # type: ignore[arg-type]
