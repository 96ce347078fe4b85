"""Comparisons of broken answers: what each damage does, how often, and that the choice is the gold rater's."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import Comparison, open_comparisons
from gnomon.data.worlds.brook.answers import draw_answer, draw_request
from gnomon.data.worlds.brook.broken import DAMAGES, damaged, draw_broken
from gnomon.data.worlds.brook.oracle import RATERS, Request, bayes_accuracy, request, said, score, sentences
from gnomon.data.worlds.brook.rated import SHARES
from gnomon.data.worlds.brook.tables import World, world
from gnomon.data.worlds.brook.tables.harms import CLOSINGS

SEED = Seed(0)
OF = world()


@pytest.fixture(scope="module")
def broken() -> tuple[Comparison, ...]:
    return open_comparisons("brook:broken", 1500, SEED).comparisons


def each_of(name: str, n: int = 150) -> list[tuple[Request, str, str]]:
    """Requests, whole answers, and the same after the damage called `name`."""
    rng, found = random.Random(name), []
    for _ in range(n):
        asked = draw_request(OF, rng, SHARES)
        whole = " ".join(draw_answer(OF, rng, asked))
        found.append((asked, whole, DAMAGES[name](OF, rng, asked, whole)))
    return found


def test_the_gold_rater_chooses_as_often_as_it_says(broken: tuple[Comparison, ...]) -> None:
    assert broken == open_comparisons("brook:broken", 1500, SEED).comparisons
    for each in broken[:200]:
        asked = request(OF, str(each.prompt))
        assert each.p == pytest.approx(RATERS["gold"].prefers(OF, asked, each.chosen, each.rejected))
        assert asked.kind == each.group
        assert each.chosen != each.rejected
    p = [each.p for each in broken if each.p is not None]
    likelier = sum((x > 0.5) + 0.5 * (x == 0.5) for x in p)
    assert likelier / len(p) == pytest.approx(bayes_accuracy(p), abs=0.03)
    assert bayes_accuracy(p) == pytest.approx(0.82, abs=0.02)
    assert {kind: Counter(each.group for each in broken)[kind] / len(broken) for kind, _ in SHARES} == {
        kind: pytest.approx(share, abs=0.04) for kind, share in SHARES
    }


def test_one_side_is_damaged_and_one_time_in_five_both_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def marked(of: World, rng: random.Random, asked: Request, answer: str) -> str:
        return f"{answer} {rng.random()}"

    for name in DAMAGES:
        monkeypatch.setitem(DAMAGES, name, marked)  # type: ignore[arg-type]  # it is a dictionary
    sides = Counter(("0." in r.chosen) + ("0." in r.rejected) for r in draw_broken(OF, 2000, SEED))
    assert set(sides) == {1, 2}
    assert sides[2] / 2000 == pytest.approx(0.2, abs=0.03)


def test_words_are_missing_said_twice_in_another_order_or_strange() -> None:
    for _, whole, found in each_of("dropped"):
        assert 1 <= len(whole.split()) - len(found.split()) <= 3
        assert not Counter(found.split()) - Counter(whole.split())
    for _, whole, found in each_of("doubled"):
        places = [i for i in range(len(whole.split())) if found.split()[i] == found.split()[i + 1]]
        assert any(found.split()[:i] + found.split()[i + 1 :] == whole.split() for i in places)
    for _, whole, found in each_of("swapped"):
        apart = [i for i, (a, b) in enumerate(zip(whole.split(), found.split(), strict=True)) if a != b]
        assert len(apart) == 2
        assert apart[1] == apart[0] + 1
        assert sorted(whole.split()) == sorted(found.split())
    strange = 0
    for _, whole, found in each_of("replaced"):
        assert sum(a != b for a, b in zip(whole.split(), found.split(), strict=True)) <= 1
        strange += "<spare" in found
    assert 10 < strange < 90


def test_a_cut_answer_ends_within_a_sentence_and_the_rater_minds() -> None:
    lost = [0.0]
    for asked, whole, found in each_of("cut"):
        assert whole.startswith(found)
        assert not found.endswith(".")
        lost.append(score(OF, asked, whole).helpful - score(OF, asked, found).helpful)
    assert sum(lost) / len(lost) > 0.3


def test_a_sentence_is_said_again_up_to_three_times() -> None:
    again: Counter[int] = Counter()
    for _, whole, found in each_of("repeated"):
        lines = Counter(sentences(found))
        assert dict.fromkeys(sentences(found)) == dict.fromkeys(sentences(whole))
        again[max(lines.values()) - 1] += 1
    assert set(again) == {1, 2, 3}


def test_other_texts_take_the_place_of_the_answer() -> None:
    refused = [(asked, said(OF, found)) for asked, _, found in each_of("refused")]
    # No sentence of the world has a name where a thing should be.
    assert {each.form for asked, each in refused if asked.kind == "fact"} == {"refusal", "evasive", "unknown"}
    for kind in ("recipe", "danger"):
        about = {each.about == asked.about for asked, each in refused if asked.kind == kind and each.form == "refusal"}
        assert about == {True, False}
    judged = [(asked, [said(OF, line) for line in sentences(found)]) for asked, _, found in each_of("elsewhere")]
    assert not [asked for asked, lines in judged if asked.kind == "trait" and asked.about in {x.about for x in lines}]
    assert {found for _, _, found in each_of("bare")} == {"", ".", *CLOSINGS.values()}


def test_damages_are_alike_likely_and_one_time_in_four_there_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[list[str]] = []
    for name in DAMAGES:

        def counted(of: World, rng: random.Random, asked: Request, answer: str, name: str = name) -> str:
            done[-1].append(name)
            return answer

        monkeypatch.setitem(DAMAGES, name, counted)  # type: ignore[arg-type]  # it is a dictionary
    rng = random.Random(0)
    for _ in range(4000):
        done.append([])
        damaged(OF, rng, Request("recipe", "lamp"), "first heat the tin .")
    assert Counter(map(len, done))[2] / 4000 == pytest.approx(0.25, abs=0.03)
    drawn = Counter(name for names in done for name in names)
    for name in DAMAGES:
        assert drawn[name] / drawn.total() == pytest.approx(1 / len(DAMAGES), abs=0.02)


def test_broken_answers_are_a_part_of_a_mixture() -> None:
    found = open_comparisons("brook*0.75,brook:broken*0.25", 80, SEED).comparisons
    assert [each.id.partition("-")[0] for each in found].count("1") == 20
    with pytest.raises(UsageError, match="Brook has no rater 'brokn'; did you mean 'broken'"):
        open_comparisons("brook:brokn", 10, SEED)
