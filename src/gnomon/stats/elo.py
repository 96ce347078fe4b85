"""Who beats whom, and by how much? Strengths of Bradley and Terry behind comparisons, and the Elo scale.

P(i beats j) = 1 / (1 + exp(r_j - r_i)); Bradley and Terry 1952, fitted by maximum likelihood with one player's strength
held at 0 and a tie as half a win for each. Elo points are 400 / ln 10 of a strength, as in Askell et al. 2021 (arXiv
2112.00861). Intervals resample what comparisons were made on, such as prompts.

Shapes: P players, b sets of weights.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gnomon.core.errors import DataError, UsageError
from gnomon.stats.bootstrap import cluster_bootstrap
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.intervals import Interval, wins

__all__ = ["ELO", "Elo", "Game", "Player", "elo"]

ELO = 400 / float(np.log(10))
"""Elo points of one nat of strength."""

# Wins given to each of two players who met, where somebody's record has no end: Firth's half an observation each.
_PRIOR_WINS = 0.5
_MOST_STEPS = 60
_Tensor = NDArray[np.float64]


class Game(NamedTuple):
    """One comparison.

    Attributes:
        first, second: players.
        credit: of `first`: 1 won, 0 lost, one half a tie; a probability of winning will do.
        cluster: what it was made on; games of one cluster are resampled together.
    """

    first: str
    second: str
    credit: float
    cluster: Hashable


class Player(NamedTuple):
    """One player's record.

    Attributes:
        name: as games have it.
        elo: points above the fixed player, whose own are 0.
        win_rate: credit a game.
        games: played.
    """

    name: str
    elo: Interval
    win_rate: Interval
    games: int


class Elo(NamedTuple):
    """The table of players, in the order given, and each pair that met with the credit of the first of the two.

    `separated` says that somebody won or lost all games against the rest, so that half a win was given to both of
    every pair that met: strengths are then finite, and too close together.
    """

    players: list[Player]
    pairs: dict[tuple[str, str], Interval]
    separated: bool


def elo(
    games: Sequence[Game], *, players: Sequence[str] = (), fixed: str = "", resamples: int = 1000, seed: int = 0
) -> Elo:
    """Elo points of everybody in `games`.

    Args:
        games: the comparisons.
        players: the table's order; by default as they come.
        fixed: whose points are 0; by default the first player's.
        resamples: of the bootstrap over clusters.
        seed: of the bootstrap.

    Raises:
        DataError: there are no games, a credit lies outside 0..1, or no chain of games joins all players.
        UsageError: a name is not among the players.
    """
    names = list(players) or list(dict.fromkeys(name for game in games for name in (game.first, game.second)))
    _check(games, names, fixed)
    table = _Table(games, names, names.index(fixed) if fixed else 0)
    clusters = _codes(games)
    ranked: list[Player] = []
    for place, name in enumerate(names):
        own = [i for i, game in enumerate(games) if name in (game.first, game.second)]
        credits = [games[i].credit if games[i].first == name else 1 - games[i].credit for i in own]
        points = table.interval(place, clusters, resamples=resamples, seed=seed)
        ranked.append(Player(name, points, wins(credits, clusters[own]), len(own)))
    return Elo(ranked, _pairs(games, names, clusters), table.separated)


class _Table:
    """Games as arrays, and what any weighting of them makes of the players."""

    def __init__(self, games: Sequence[Game], names: Sequence[str], fixed: int) -> None:
        places = {name: place for place, name in enumerate(names)}
        self.count, self.fixed = len(names), fixed
        first = np.array([places[game.first] for game in games])
        second = np.array([places[game.second] for game in games])
        credit = np.array([game.credit for game in games])
        self._won, self._lost = first * self.count + second, second * self.count + first
        self._credit = credit
        self._met = self._tally(np.ones((1, len(games))))[0]
        self._met = (self._met + self._met.T > 0).astype(np.float64)
        self.separated = not bool(_joined(self._tally(np.ones((1, len(games)))))[0])
        self._kept: tuple[Matrix, Matrix] | None = None

    def interval(self, place: int, clusters: NDArray[np.intp], *, resamples: int, seed: int) -> Interval:
        """Elo points of one player above the fixed one."""
        if place == self.fixed:
            return Interval(
                value=0.0,
                low=0.0,
                high=0.0,
                se=0.0,
                n=len(self._credit),
                clusters=int(clusters.max()) + 1,
                method="held at 0",
            )

        def statistic(weights: Matrix) -> Vector:
            return ELO * self._strengths(weights)[:, place]

        found = cluster_bootstrap(statistic, len(self._credit), clusters, resamples=resamples, seed=seed)
        if not self.separated:
            return found
        note = "a record without end: half a win is given to both of every pair"
        return replace(found, reason="; ".join(filter(None, (note, found.reason))))

    def _tally(self, weights: Matrix) -> _Tensor:
        """Wins [b, P, P] of the row's player over the column's."""
        cells = self.count**2
        won = np.zeros((len(weights), cells))
        rows = np.arange(len(weights))[:, None] * cells
        for cell, credit in ((self._won, self._credit), (self._lost, 1 - self._credit)):
            flat = np.bincount((rows + cell).ravel(), weights=(weights * credit).ravel(), minlength=won.size)
            won += flat.reshape(won.shape)
        return won.reshape(len(weights), self.count, self.count)

    def _strengths(self, weights: Matrix) -> Matrix:
        """Strengths [b, P]; the bootstrap asks for the same weights once a player."""
        if self._kept is None or self._kept[0] is not weights:
            won = self._tally(weights)
            open_end = ~_joined(won)
            won[open_end] += _PRIOR_WINS * self._met
            self._kept = (weights, _fit(won, self.fixed))
        return self._kept[1]


def _fit(won: _Tensor, fixed: int) -> Matrix:
    """Maximum likelihood strengths [b, P] of wins [b, P, P], by Newton's method with a bound on each step."""
    count = won.shape[1]
    free = [i for i in range(count) if i != fixed]
    games = won + won.transpose(0, 2, 1)
    strengths = np.zeros((len(won), count))
    for _ in range(_MOST_STEPS):
        p = expit(strengths[:, :, None] - strengths[:, None, :])
        pull = (won - games * p).sum(axis=2)
        curve = games * p * (1 - p)
        hessian = -curve
        hessian[:, range(count), range(count)] = curve.sum(axis=2) - curve[:, range(count), range(count)] + 1e-12
        step = np.linalg.solve(hessian[:, free][:, :, free], pull[:, free, None])[:, :, 0]
        strengths[:, free] += np.clip(step, -2, 2)
        if float(np.abs(step).max(initial=0.0)) < 1e-10:
            break
    return strengths


def _joined(won: _Tensor) -> NDArray[np.bool_]:
    """Whether every player has a chain of wins to every other, [b]: then strengths are finite (Ford 1957)."""
    reached = (won > 0) | np.eye(won.shape[1], dtype=bool)
    for _ in range(int(np.ceil(np.log2(max(2, won.shape[1]))))):
        reached = np.matmul(reached.astype(np.float32), reached.astype(np.float32)) > 0
    return np.asarray(reached.all(axis=(1, 2)))


def _check(games: Sequence[Game], names: Sequence[str], fixed: str) -> None:
    if not games:
        raise DataError("there are no comparisons to rank by")
    unknown = [name for game in games for name in (game.first, game.second) if name not in names]
    if fixed and fixed not in names:
        unknown.append(fixed)
    if unknown:
        raise UsageError(f"{unknown[0]!r} is not among the players", todo=f"the players are {', '.join(names)}")
    for place, game in enumerate(games):
        if not 0 <= game.credit <= 1:
            raise DataError(f"a credit is {game.credit:g}, outside 0..1", where=f"game {place}")
        if game.first == game.second:
            raise DataError(f"{game.first!r} plays itself", where=f"game {place}")
    parts = _parts(games, names)
    if len(parts) > 1:
        told = " | ".join(", ".join(part) for part in parts)
        raise DataError(
            f"no games join these groups of players: {told}", todo="compare at least one of each group with another"
        )


def _parts(games: Sequence[Game], names: Sequence[str]) -> list[list[str]]:
    """Groups of players that games join."""
    leader = {name: name for name in names}

    def find(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for game in games:
        leader[find(game.first)] = find(game.second)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(find(name), []).append(name)
    return list(groups.values())


def _codes(games: Sequence[Game]) -> NDArray[np.intp]:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(game.cluster, len(numbers)) for game in games], dtype=np.intp)


def _pairs(games: Sequence[Game], names: Sequence[str], clusters: NDArray[np.intp]) -> dict[tuple[str, str], Interval]:
    order = {name: place for place, name in enumerate(names)}
    met: dict[tuple[str, str], tuple[list[float], list[int]]] = {}
    for game, cluster in zip(games, clusters, strict=True):
        straight = order[game.first] < order[game.second]
        pair = (game.first, game.second) if straight else (game.second, game.first)
        credits, groups = met.setdefault(pair, ([], []))
        credits.append(game.credit if straight else 1 - game.credit)
        groups.append(int(cluster))
    return {pair: wins(credits, groups) for pair, (credits, groups) in met.items()}
