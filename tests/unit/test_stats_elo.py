"""Bradley-Terry strengths: planted ones come back with intervals that cover, and what cannot be ranked is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from gnomon.core.errors import DataError, UsageError
from gnomon.stats.elo import ELO, Game, elo

PLANTED = {"a": 0.0, "b": 0.8, "c": -0.6, "d": 1.5}


def played(rng: np.random.Generator, prompts: int, planted: dict[str, float], spread: float = 0.0) -> list[Game]:
    """Each pair once a prompt; a prompt shifts everybody's strength, so its games are alike."""
    names = list(planted)
    games = []
    for prompt in range(prompts):
        shift = dict(zip(names, spread * rng.normal(size=len(names)), strict=True))
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                ahead = planted[first] + shift[first] - planted[second] - shift[second]
                games.append(Game(first, second, float(rng.random() < 1 / (1 + np.exp(-ahead))), prompt))
    return games


def test_strengths_are_those_of_a_general_optimiser() -> None:
    games = played(np.random.default_rng(0), 40, PLANTED)
    names = list(PLANTED)

    def loss(free: np.ndarray) -> float:
        r = dict(zip(names, [0.0, *free], strict=True))
        ahead = np.array([r[g.first] - r[g.second] for g in games])
        credit = np.array([g.credit for g in games])
        return float(np.sum(np.logaddexp(0, ahead) - credit * ahead))

    oracle = minimize(loss, np.zeros(3), tol=1e-12).x
    found = elo(games, resamples=20)
    assert [p.elo.value / ELO for p in found.players] == pytest.approx([0.0, *oracle], abs=1e-4)
    other = elo(games, fixed="d", resamples=20)
    assert [p.elo.value - other.players[0].elo.value for p in other.players] == pytest.approx(
        [p.elo.value for p in found.players]
    )


def test_intervals_by_prompt_cover_planted_strengths() -> None:
    covered = 0
    for seed in range(60):
        found = elo(played(np.random.default_rng(seed), 60, PLANTED), resamples=200, seed=seed)
        covered += sum(ELO * PLANTED[p.name] in p.elo for p in found.players[1:])
    # 180 intervals at 95 %; those of one table are not independent
    assert covered >= 160


def test_equal_players_are_at_zero() -> None:
    covered, estimates = 0, []
    for seed in range(40):
        found = elo(played(np.random.default_rng(seed), 60, dict.fromkeys("abc", 0.0)), resamples=200, seed=seed)
        covered += sum(0.0 in p.elo for p in found.players[1:])
        estimates += [p.elo.value for p in found.players[1:]]
    assert covered >= 70 and abs(np.mean(estimates)) < 20


def test_two_players_have_a_closed_form_with_ties_as_halves() -> None:
    games = [Game("x", "y", c, i) for i, c in enumerate([1, 1, 0, 0.5] * 10)]
    found = elo(games)
    assert found.players[1].elo.value == pytest.approx(-ELO * np.log(25 / 15))
    assert found.pairs["x", "y"].value == found.players[0].win_rate.value == 25 / 40
    assert found.players[1].win_rate.value == 15 / 40 and found.players[0].games == 40
    assert not found.separated


def test_who_is_first_in_a_game_does_not_matter() -> None:
    games = played(np.random.default_rng(5), 20, PLANTED)
    turned = [Game(g.second, g.first, 1 - g.credit, g.cluster) for g in games]
    a, b = (elo(g, players=list(PLANTED), resamples=50) for g in (games, turned))
    assert [p.elo.value for p in a.players] == pytest.approx([p.elo.value for p in b.players])
    assert a.pairs["a", "b"].value == pytest.approx(b.pairs["a", "b"].value)


def test_a_perfect_record_is_held_finite_and_says_so() -> None:
    games = [Game("best", "other", 1.0, i) for i in range(20)] + [Game("other", "third", i % 2, i) for i in range(20)]
    found = elo(games, fixed="other")
    assert found.separated
    best = found.players[0].elo
    assert best.value == pytest.approx(ELO * np.log(20.5 / 0.5), rel=1e-6)
    assert best.reason.startswith("a record without end: half a win is given to both of every pair")


def test_groups_that_never_met_are_named() -> None:
    games = [Game("a", "b", 1.0, 0), Game("c", "d", 0.0, 1)]
    with pytest.raises(DataError, match=r"no games join these groups of players: a, b \| c, d"):
        elo(games)


@pytest.mark.parametrize(
    ("games", "kind", "told"),
    [
        ([], DataError, "no comparisons"),
        ([Game("a", "b", 1.5, 0)], DataError, r"a credit is 1.5, outside 0..1 \(game 0\)|a credit is 1.5"),
        ([Game("a", "a", 1.0, 0)], DataError, "'a' plays itself"),
    ],
)
def test_what_cannot_be_ranked_is_refused(games: list[Game], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        elo(games)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="'z' is not among the players"):
        elo([Game("a", "b", 1.0, 0)], fixed="z")
