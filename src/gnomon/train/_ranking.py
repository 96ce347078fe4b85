"""What a preference model's values of held-out comparisons say: accuracy, calibration, and what length alone gets.

`measured_rows` writes them down; the report is pure, rows in, a report out. The chance that the chosen answer is chosen
is sigmoid(r_chosen - r_rejected). Where the rater was planted, its own probabilities are known: the accuracy of the
best predictor (Bayes), and how far the model's probabilities are from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from gnomon.core.record import Row
from gnomon.data.comparisons import Comparison, Comparisons
from gnomon.learn.texts import Pair
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.report.words import in_words
from gnomon.stats.calibration import NullTest, calibration_test, reliability_curve
from gnomon.stats.clusters import Labels
from gnomon.stats.intervals import Interval, bounded, clustered_mean
from gnomon.stats.paired import paired_difference
from gnomon.stats.ranking import auroc
from gnomon.stats.temperature import fit_temperature

__all__ = ["left_out_of", "measured_rows", "summarise"]

Vector = NDArray[np.float64]


def measured_rows(
    comparisons: Sequence[Comparison],
    pairs: Sequence[Pair],
    found: Sequence[tuple[float, float]],
    objective: str,
    left_out: Mapping[str, Any],
) -> Iterator[Row]:
    """Held-out comparisons with their values; the first carries what was left out, for rows are all a report sees.

    Args:
        comparisons, pairs: the comparisons, and their two texts as tokens.
        found: what the model makes of the chosen and of the rejected text.
        objective: "imitation" where that is a log-probability, in nats; of other values sigmoid of the difference is
            the chance that the chosen one is chosen.
        left_out: what `left_out_of` says, and more of its kind.
    """
    for place, (comparison, pair, (good, bad)) in enumerate(zip(comparisons, pairs, found, strict=True)):
        evidence: dict[str, Any] = {
            "objective": objective,
            "chosen": good,
            "rejected": bad,
            "p": comparison.p,
            "group": comparison.group,
            "characters": [len(comparison.chosen.strip()), len(comparison.rejected.strip())],
            "tokens": [len(side.tokens) - side.start for side in pair],
            **({} if place else {"left_out": left_out}),
        }
        yield Row(key=comparison.id, cluster=comparison.cluster, evidence=evidence)


def left_out_of(given: Comparisons) -> dict[str, Any]:
    """How many rows there were, and which of them could not be used."""
    return {"rows": given.num_rows, "bad": given.num_bad, "shown": given.bad, "unused": dict(given.unused)}


def summarise(rows: Sequence[Row]) -> Report:
    """The report on held-out comparisons; intervals are clustered by prompt."""
    evidence = [row.evidence for row in rows]
    clusters = [row.cluster for row in rows]
    gap = np.array([e["chosen"] - e["rejected"] for e in evidence])
    sizes = np.array([e["characters"] for e in evidence], dtype=np.float64)
    estimates = [
        Estimate.of("accuracy", _share(gap, clusters), headline=True),
        *_by_group(gap, [str(e["group"]) for e in evidence], clusters),
        *_of_length(gap, sizes, clusters),
    ]
    figures: Sequence[Figure] = ()
    if evidence[0]["objective"] == "imitation":
        tokens = np.array([e["tokens"] for e in evidence], dtype=np.float64)
        each = np.array([[e["chosen"], e["rejected"]] for e in evidence]) / tokens
        estimates.append(Estimate.of("accuracy (a token)", _share(each[:, 0] - each[:, 1], clusters)))
    else:
        estimates += _calibration(gap, clusters)
        figures = Drawn(lambda: [_reliability(gap, clusters)])
    if evidence[0]["p"] is not None:
        planted = np.array([e["p"] for e in evidence])
        estimates += _against_planted(gap, planted, clusters, scalar=evidence[0]["objective"] != "imitation")
    title = f"{len(rows)} comparisons held out"
    notes = [note for e in evidence for note in _left_out(e.get("left_out", {}))]
    return Report(title=title, estimates=estimates, figures=figures, summary=_words(estimates), notes=notes)


def _left_out(found: Mapping[str, Any]) -> list[str]:
    """What of the data was not used, in words; nothing where all was."""
    words = {
        "cut": "prompts lost their beginning to fit the context",
        "long": "comparisons do not fit the context and were left out",
    }
    told = [f"{count} left out: {why}." for why, count in found.get("unused", {}).items()]
    told += [f"{found[key]} {what}." for key, what in words.items() if found.get(key)]
    if found.get("met"):
        told.append(f"Held out, met in training: {found['met']}.")
    if found.get("bad"):
        told.append(f"{found['bad']} of {found['rows']} rows cannot be used: {'; '.join(found['shown'])}.")
    return told


def _share(gap: Vector, clusters: Labels) -> Interval:
    """The share of comparisons whose chosen answer has the higher value; ties count one half."""
    return bounded(clustered_mean(np.where(gap == 0, 0.5, gap > 0), clusters))


def _by_group(gap: Vector, groups: Sequence[str], clusters: Sequence[str]) -> list[Estimate]:
    found = []
    for group in sorted(set(groups) - {""}):
        places = [place for place, each in enumerate(groups) if each == group]
        found.append(Estimate.of("accuracy", _share(gap[places], [clusters[i] for i in places]), group=group))
    return found


def _of_length(gap: Vector, sizes: Vector, clusters: Sequence[str]) -> list[Estimate]:
    longer = sizes[:, 0] - sizes[:, 1]
    rule = np.where(longer == 0, 0.5, longer > 0)
    beaten = paired_difference(np.where(gap == 0, 0.5, gap > 0), rule, clusters).difference
    doubled = [cluster for cluster in clusters for _ in range(2)]
    area = auroc(sizes.reshape(-1), [1, 0] * len(sizes), doubled)
    return [
        Estimate.of("accuracy of length alone", bounded(clustered_mean(rule, clusters))),
        Estimate.of("AUROC of length alone", area, null=0.5),
        Estimate.of("accuracy gained over length", beaten),
    ]


def _calibration(gap: Vector, clusters: Sequence[str]) -> list[Estimate]:
    stated, right = _folded(gap)
    test = calibration_test(stated, right)
    logp = np.stack((log_expit(gap), log_expit(-gap)), axis=1)
    return [
        Estimate.of("Brier", clustered_mean((1 - expit(gap)) ** 2, clusters)),
        _against_null("ECE", test.ece, len(gap), len(set(clusters))),
        Estimate.of("temperature", fit_temperature(list(logp), [0] * len(gap), clusters)),
    ]


def _folded(gap: Vector) -> tuple[Vector, Vector]:
    """The stated probability of the answer with the higher value, at least .5, and whether it was chosen."""
    return expit(np.abs(gap)), (gap > 0).astype(np.float64)


def _against_null(metric: str, test: NullTest, n: int, clusters: int) -> Estimate:
    reason = "" if test.p_value is None else f"no interval; a calibrated model has {test.mean:.3f} on average"
    return Estimate(metric=metric, value=test.observed, n=n, clusters=clusters, null=test.mean, reason=reason)


def _against_planted(gap: Vector, planted: Vector, clusters: Sequence[str], *, scalar: bool) -> list[Estimate]:
    best = np.maximum(planted, 1 - planted)
    clear = np.flatnonzero(planted != 0.5)
    agrees = np.where(gap == 0, 0.5, np.sign(gap) == np.sign(planted - 0.5))[clear]
    expected = np.where(gap == 0, 0.5, np.where(gap > 0, planted, 1 - planted))
    found = [
        Estimate.of("Bayes accuracy", bounded(clustered_mean(best, clusters))),
        # With the rater's probabilities known, its draw adds nothing but noise.
        Estimate.of("expected accuracy", bounded(clustered_mean(expected, clusters))),
        Estimate.of("lost to Bayes", clustered_mean(best - expected, clusters)),
        Estimate.of("sides with the rater", bounded(clustered_mean(agrees, [clusters[i] for i in clear.tolist()]))),
    ]
    if scalar:
        apart = np.abs(expit(gap) - planted)
        found.append(Estimate.of("mean distance from the planted probability", clustered_mean(apart, clusters)))
    return found


def _reliability(gap: Vector, clusters: Sequence[str]) -> Figure:
    from gnomon.report.figures import ReliabilityBin, reliability

    bins = [
        ReliabilityBin(b.mean, b.frequency.value or 0.0, b.frequency.low or 0.0, b.frequency.high or 1.0, b.frequency.n)
        for b in reliability_curve(*_folded(gap), clusters)
    ]
    caption = "How often the answer with the higher value was chosen, against sigmoid of the difference."
    return reliability(bins, title="Is a difference of values a win rate?", caption=caption)


def _words(estimates: Sequence[Estimate]) -> str:
    by_name = {(e.metric, e.group): e for e in estimates}
    told = f"Right on {in_words(by_name['accuracy', ''])} of the comparisons held out; "
    told += f"picking the longer answer on {in_words(by_name['accuracy of length alone', ''])}"
    bayes = by_name.get(("Bayes accuracy", ""))
    return f"{told}; the best that can be is {in_words(bayes)}." if bayes else f"{told}."
