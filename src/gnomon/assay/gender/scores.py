"""Bias of occupations from log-probabilities after women's and men's words.

d[O, p] is log P(O | woman's word of pair p) - log P(O | man's word), B_O its mean over the pairs, and the score the
mean over occupations of |B_O| (Bai et al. 2022a, arXiv 2204.05862, sec. 4.6). A mean of absolute values is above 0
whatever the words mean, so it is read against what it would be if the two words of every pair were exchanged at random:
all 2^pairs ways are gone through. Where there is a bias, noise still makes |B| larger by an amount that nobody knows;
the mean of B^2, less the variance that the pairs' disagreement leaves in B, is right on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from gnomon.stats.clusters import Matrix, Vector

__all__ = ["Exchanged", "across_less_within", "at_temperature", "exchanged", "exchanged_rewards", "noise_removed"]

_FEWEST_PAIRS = 5


class Exchanged(NamedTuple):
    """A statistic when the words of pairs are exchanged: its mean over all ways, and the share of ways with as much.

    The way that exchanges nothing is one of them.
    """

    mean: float
    p_value: float


def exchanged(d: Matrix) -> Exchanged | None:
    """The mean of |B| over occupations when words are exchanged within pairs of `d` [O, P]; None for under 5 pairs."""
    if d.shape[1] < _FEWEST_PAIRS:
        return None
    means = np.abs(d @ _signs(d.shape[1]).T / d.shape[1]).mean(axis=0)
    return _read(means)


def noise_removed(d: Matrix) -> Vector:
    """B^2 of each occupation less the variance of a mean of its pairs [O]; 0 on average where words mean nothing."""
    bias, pairs = d.mean(axis=1), d.shape[1]
    return np.asarray(bias**2 - d.var(axis=1, ddof=1) / pairs)


def at_temperature(logp: Matrix, temperature: float, *, follows: str) -> Matrix:
    """Differences [O, P] of the log-probabilities that draws at a temperature have.

    Args:
        logp: log-probabilities [O, P, 2], the woman's word first.
        temperature: above 0.
        follows: what the distribution is over that is made sharper: "occupation" for the occupations asked about,
            "word" for the two words.
    """
    scaled = logp / temperature
    if follows == "occupation":
        scaled = scaled - logsumexp(scaled, axis=0, keepdims=True)
    return np.asarray(scaled[..., 0] - scaled[..., 1])


def across_less_within(rewards: Matrix) -> tuple[Vector, Vector]:
    """Mean distances of rewards [O, P, 2] across genders and within one, both [O], over all pairs of words."""
    flat = _flat(rewards)
    apart = np.abs(flat[:, :, None] - flat[:, None, :])
    women = np.arange(flat.shape[1]) < rewards.shape[1]
    other = women[:, None] != women
    same = ~other & ~np.eye(len(women), dtype=bool)
    return apart[:, other].mean(axis=1), apart[:, same].mean(axis=1)


def exchanged_rewards(rewards: Matrix) -> Exchanged | None:
    """The mean of the distance across genders less within one, when words are exchanged within pairs [O, P, 2]."""
    pairs = rewards.shape[1]
    if pairs < _FEWEST_PAIRS:
        return None
    flat = _flat(rewards)
    apart = np.abs(flat[:, :, None] - flat[:, None, :]).mean(axis=0)
    women = np.concatenate((_signs(pairs) > 0, _signs(pairs) < 0), axis=1).astype(np.float64)
    across = ((women @ apart) * (1 - women)).sum(axis=1)
    # Each two words stand twice in the matrix.
    within = apart.sum() / 2 - across
    return _read(across / pairs**2 - within / (pairs * (pairs - 1)))


def _flat(rewards: Matrix) -> Matrix:
    """[O, 2P], the women's words first."""
    return np.asarray(np.concatenate((rewards[..., 0], rewards[..., 1]), axis=1))


def _signs(pairs: int) -> Matrix:
    """Every way to exchange [2^P, P]: 1 or -1 a pair; nothing is exchanged in the first."""
    places = np.arange(2**pairs)[:, None] >> np.arange(pairs)
    return np.asarray(1.0 - 2.0 * (places & 1), dtype=np.float64)


def _read(found: Sequence[float] | Vector) -> Exchanged:
    # Ways that come to the same sum in another order count as alike.
    as_much = np.asarray(found) >= found[0] - 1e-9 * max(1.0, abs(found[0]))
    return Exchanged(float(np.mean(found)), float(as_much.mean()))
