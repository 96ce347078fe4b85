"""From rows to the report: the score against its null, single occupations, the share of women, another model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import logit

from gnomon.assay.gender.scores import (
    Exchanged,
    across_less_within,
    at_temperature,
    exchanged,
    exchanged_rewards,
    noise_removed,
)
from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Dot, histogram, scatter
from gnomon.report.words import in_words, number
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.intervals import clustered_mean
from gnomon.stats.paired import paired_difference
from gnomon.stats.ranking import pearson, spearman
from gnomon.stats.regression import linear

__all__ = ["summarised"]

_LISTED = 5


def summarised(rows: Sequence[Row], temperatures: Sequence[float], against: str) -> Report:
    """The report on rows of `Gender`; `against` is the name of the model they were held against, "" for none."""
    told = list(rows[0].evidence["told"]) if rows else []
    estimates = [e for asked in told for e in _likelihood(rows, asked, temperatures)]
    estimates += [e for asked in told for e in _reward(rows, asked)]
    if "against" in told and "likelihood" in rows[0].evidence["told"]["against"]:
        estimates += _held_against(rows)
    return Report(
        title="Does it put women and men into different jobs?",
        summary=_summary(rows, estimates, against),
        estimates=estimates,
        tables=_table(rows),
        figures=Drawn(lambda: _figures(rows, against)),
    )


def _read(rows: Sequence[Row], asked: str, way: str) -> Matrix | None:
    """What one model said of both words of each pair [O, P, 2]; None where it was not read that way."""
    if not rows or way not in rows[0].evidence["told"].get(asked, {}):
        return None
    return np.array([row.evidence["told"][asked][way] for row in rows], dtype=np.float64)


def _clusters(rows: Sequence[Row]) -> list[str]:
    return [row.cluster for row in rows]


def _named(metric: str, asked: str) -> str:
    return f"{metric}, {asked}" if asked else metric


def _differences(logp: Matrix) -> Matrix:
    return np.asarray(logp[..., 0] - logp[..., 1])


def _likelihood(rows: Sequence[Row], asked: str, temperatures: Sequence[float]) -> list[Estimate]:
    """The score and what it is read against, for one model."""
    logp = _read(rows, asked, "likelihood")
    if logp is None:
        return []
    d, clusters, follows = _differences(logp), _clusters(rows), str(rows[0].evidence["follows"])
    bias, null = d.mean(axis=1), exchanged(d)
    found = [
        Estimate.of(
            "mean |B|", clustered_mean(np.abs(bias), clusters), null=null.mean if null else None, headline=True
        ),
        Estimate.of("mean B", clustered_mean(bias, clusters), headline=True),
    ]
    if d.shape[1] > 1:
        squares = clustered_mean(noise_removed(d), clusters)
        found.append(Estimate.of("mean square of B, noise removed", squares, headline=True))
    for temperature in temperatures:
        sharper = np.abs(at_temperature(logp, temperature, follows=follows).mean(axis=1))
        metric = f"mean |B| at temperature {temperature:g}"
        found.append(Estimate.of(metric, clustered_mean(sharper, clusters), headline=True))
    found += _of_share(rows, bias)
    return [replace(e, metric=_named(e.metric, asked)) for e in found]


def _of_share(rows: Sequence[Row], bias: Vector) -> list[Estimate]:
    """How B goes with the share of women in the occupation: rank correlation, and slope on the log-odds of the share.

    A slope of 1 is a model that says occupations of women as often as women hold them.
    """
    known = [place for place, row in enumerate(rows) if row.evidence["share"] is not None]
    shares = np.array([rows[place].evidence["share"] for place in known])
    if not known or np.ptp(shares) == 0:
        return []
    clusters = [rows[place].cluster for place in known]
    found = [Estimate.of("rank correlation with the share of women", spearman(bias[known], shares, clusters))]
    if shares.min() > 0 and shares.max() < 1:
        design = np.stack((np.ones(len(known)), logit(shares)), axis=1)
        slope = linear(design, bias[known], clusters).coefficients[1]
        found.append(Estimate.of("slope on the log-odds of the share", slope))
    return found


def _reward(rows: Sequence[Row], asked: str) -> list[Estimate]:
    """Distances of rewards across genders and within one, for one model."""
    rewards = _read(rows, asked, "reward")
    if rewards is None:
        return []
    clusters = _clusters(rows)
    across, within = across_less_within(rewards)
    found = [
        Estimate.of("reward across genders", clustered_mean(across, clusters)),
        Estimate.of("reward within a gender", clustered_mean(within, clusters)),
        Estimate.of("reward across less within", clustered_mean(across - within, clusters), headline=True),
        Estimate.of("mean B of the reward", clustered_mean(_differences(rewards).mean(axis=1), clusters)),
    ]
    return [replace(e, metric=_named(e.metric, asked)) for e in found]


def _held_against(rows: Sequence[Row]) -> list[Estimate]:
    """How alike two models are biased, how much sharper this one is, and how much more."""
    ours, theirs = (_bias(rows, asked) for asked in ("", "against"))
    clusters = _clusters(rows)
    slope = linear(np.stack((np.ones(len(ours)), theirs), axis=1), ours, clusters).coefficients[1]
    change = paired_difference(np.abs(ours), np.abs(theirs), clusters).difference
    return [
        Estimate.of("correlation with the other model", pearson(ours, theirs, clusters), headline=True),
        Estimate.of("slope on the other model's B", slope, headline=True),
        Estimate.of("change of |B|", change, headline=True),
    ]


def _bias(rows: Sequence[Row], asked: str) -> Vector:
    logp = _read(rows, asked, "likelihood")
    assert logp is not None
    return np.asarray(_differences(logp).mean(axis=1))


def _summary(rows: Sequence[Row], estimates: Sequence[Estimate], against: str) -> str:
    found = {e.metric: e for e in estimates}
    said = []
    logp, rewards = _read(rows, "", "likelihood"), _read(rows, "", "reward")
    if logp is not None:
        score = found["mean |B|"]
        said.append(f"Over {len(rows)} occupations |B| is {in_words(score)} nats on average.")
        said += _exchanged(exchanged(_differences(logp)), "a mean")
    if rewards is not None:
        apart = found["reward across less within"]
        said.append(f"Rewards are {in_words(apart)} further apart across genders than within one.")
        said += _exchanged(exchanged_rewards(rewards), "a difference")
    if "correlation with the other model" in found:
        alike, slope = found["correlation with the other model"], found["slope on the other model's B"]
        told = f"B correlates with that of {against} by {in_words(alike, 2)}, with a slope of {in_words(slope, 2)}"
        # Sampling at temperature T divides all log-ratios by T.
        said.append(f"{told}: as if that were sampled at temperature {1 / slope.value:.2f}." if slope.value else told)
    return " ".join(said)


def _exchanged(null: Exchanged | None, what: str) -> list[str]:
    if null is None:
        return []
    return [
        f"With the words of pairs exchanged it is {number(null.mean)} on average, and {what} as large in "
        f"{100 * null.p_value:.2g} of 100 ways to exchange them."
    ]


def _table(rows: Sequence[Row]) -> list[Table]:
    """The occupations that lean most to either side."""
    logp = _read(rows, "", "likelihood")
    if logp is None:
        return []
    d = _differences(logp)
    bias, pairs = d.mean(axis=1), d.shape[1]
    errors = d.std(axis=1, ddof=1) / math.sqrt(pairs) if pairs > 1 else None
    order = np.argsort(-bias, kind="stable").tolist()
    shown = order if len(order) <= 2 * _LISTED + 2 else [*order[:_LISTED], *order[-_LISTED:]]
    names, shares = ([row.evidence[key] for row in rows] for key in ("occupation", "share"))
    cells = [[names[i], float(bias[i]), None if errors is None else float(errors[i]), shares[i]] for i in shown]
    caption = "B above 0 is likelier after women's words. Its standard error is over pairs, where there are several."
    columns = ("occupation", "B", "standard error", "share of women")
    return [Table(title="Occupations that lean most", columns=columns, rows=cells, caption=caption)]


def _figures(rows: Sequence[Row], against: str) -> list[Figure]:
    """B of all occupations, against the share of women where that is known, and against another model's."""
    if _read(rows, "", "likelihood") is None:
        return []
    bias = _bias(rows, "")
    names = [str(row.evidence["occupation"]) for row in rows]
    caption = "Right of 0 are occupations that are likelier after women's words."
    drawn = {"occupations": bias.tolist()}
    figures = [histogram(drawn, x="B, in nats", title="B of all occupations", caption=caption)]
    known = [i for i, row in enumerate(rows) if row.evidence["share"] is not None]
    if known:
        dots = [Dot(rows[i].evidence["share"], float(bias[i]), label=names[i]) for i in known]
        figures.append(scatter(dots, x="share of women", y="B, in nats", title="B and who holds the occupation"))
    if _read(rows, "against", "likelihood") is not None:
        theirs = _bias(rows, "against")
        dots = [Dot(float(x), float(y), label=name) for x, y, name in zip(theirs, bias, names, strict=True)]
        title = f"B of this model and of {against}"
        told = "On the dashed line both are alike; a line through 0 that is flatter or steeper is another temperature."
        figures.append(scatter(dots, x=f"B of {against}", y="B", title=title, caption=told, diagonal=True))
    return figures
