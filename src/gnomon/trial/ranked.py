"""Scores of the two answers of comparisons: how often the chosen one is above, where that fails, what scores are worth.

Pure: numbers in, estimates out. `train preference` reports on its held-out comparisons with it, `assay comparisons` and
`assay hhh` on any. Bai et al. 2022a (arXiv 2204.05862), secs. 2 and 3: accuracy by turns and by source, above a
threshold of both scores, calibration of sigmoid(r_chosen - r_rejected), and the baseline of length. A scalar has a free
offset, so its mean on the comparisons is reported beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit

from gnomon.models.base import Prompt
from gnomon.report.base import Estimate, Figure, Table
from gnomon.stats.calibration import NullTest, calibration_test, reliability_curve
from gnomon.stats.clusters import Matrix, Vector
from gnomon.stats.intervals import Interval, bounded, clustered_mean, wins
from gnomon.stats.paired import paired_difference
from gnomon.stats.ranking import auroc
from gnomon.stats.temperature import fit_temperature

__all__ = [
    "QUANTILES",
    "Ranked",
    "Told",
    "accuracy",
    "against_planted",
    "calibration",
    "credits",
    "differences",
    "gained_over_length",
    "human_turns",
    "length_alone",
    "mean_difference",
    "mean_value",
    "mistakes",
    "reliability_of",
    "where_right",
]

QUANTILES = (0.25, 0.5, 0.75, 0.9)
"""Of all scores: accuracy is reported where both answers are above."""

# Log-probabilities and scalars of one model agree to this much, whatever else was in the batch.
_TIE = 1e-9
_QUARTERS = 4
_MANY_TURNS = 4
_LISTED, _TAIL = 5, 240

Places = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The scores of n comparisons, read in one way.

    Attributes:
        chosen, rejected: scores [n].
        clusters: of each comparison; those of one prompt share it.
        characters: lengths of both answers [n, 2], the chosen one's first.
        kinds: what kind of prompt each has; "" where the source does not say.
        turns: how many turns of the human the prompt has; 0 where it has none.
        sources: where each comparison is from; "" where there is one source.
        planted: the rater's probability of its choice [n]; None where nobody knows it.
        way: what scores are, such as "sum"; stands in the metrics' names. "" where there is one way.
    """

    chosen: Vector
    rejected: Vector
    clusters: Sequence[str]
    characters: Matrix
    kinds: Sequence[str]
    turns: Sequence[int]
    sources: Sequence[str]
    planted: Vector | None = None
    way: str = ""

    @property
    def gap(self) -> Vector:
        """By how much the chosen answer is above [n]."""
        return self.chosen - self.rejected

    def named(self, metric: str) -> str:
        """The metric's name with the way of scoring."""
        return f"{metric} ({self.way})" if self.way else metric

    def labels(self, places: Places) -> list[str]:
        """The clusters of some comparisons."""
        return [self.clusters[place] for place in places.tolist()]


class Told(NamedTuple):
    """The texts of a comparison."""

    prompt: str
    chosen: str
    rejected: str


def human_turns(prompt: Prompt) -> int:
    """How often a human speaks in a prompt; 0 in a text without turns.

    >>> human_turns("\\n\\nHuman: Hi.\\n\\nAssistant: Hello.\\n\\nHuman: Why?\\n\\nAssistant:")
    2
    """
    if not isinstance(prompt, str):
        return sum(message.role == "user" for message in prompt)
    # Where turns are divided by blank lines, a turn that quotes "Human:" begins none.
    return prompt.count("\n\nHuman:") or prompt.count("Human:")


def credits(gap: ArrayLike) -> Vector:
    """1 where the chosen answer is above by `gap`, one half where both score the same."""
    ahead = np.asarray(gap, dtype=np.float64)
    return np.where(np.abs(ahead) <= _TIE, 0.5, (ahead > 0).astype(np.float64))


def accuracy(r: Ranked) -> Interval:
    """The share of comparisons whose chosen answer is above; ties count one half."""
    return bounded(clustered_mean(credits(r.gap), r.clusters))


def mean_value(r: Ranked) -> Interval:
    """The mean score of all answers; of a scalar it is free, for only differences are learnt."""
    return clustered_mean((r.chosen + r.rejected) / 2, r.clusters)


def mean_difference(r: Ranked) -> Interval:
    """By how much the chosen answer is above."""
    return clustered_mean(r.gap, r.clusters)


def where_right(r: Ranked) -> list[Estimate]:
    """Accuracy by kind of prompt, size of the difference, where both scores are high, by turns, source and length.

    Groups are kinds; quarters of the absolute difference, smallest first; both answers at or above a quantile of all
    scores; numbers of turns where there are several; sources; and which answer is the longer one, in characters.
    """
    right = credits(r.gap)
    return [
        Estimate.of(r.named("accuracy"), wins(right[places], r.labels(places)), group=group)
        for group, places in _parts(r)
        if places.size
    ]


def length_alone(r: Ranked) -> list[Estimate]:
    """How far one gets by picking the longer answer, in characters."""
    doubled = [cluster for cluster in r.clusters for _ in range(2)]
    area = auroc(r.characters.reshape(-1), [1, 0] * len(r.characters), doubled)
    return [
        Estimate.of("accuracy of length alone", bounded(clustered_mean(_longer(r), r.clusters))),
        Estimate.of("AUROC of length alone", area, null=0.5),
    ]


def gained_over_length(r: Ranked) -> Estimate:
    """Accuracy less that of picking the longer answer, paired by comparison."""
    gained = paired_difference(credits(r.gap), _longer(r), r.clusters).difference
    return Estimate.of(r.named("accuracy gained over length"), gained)


def calibration(r: Ranked) -> list[Estimate]:
    """Is a difference of scalars a win rate? Brier score, ECE against its null, and the temperature that fits."""
    test = calibration_test(*_folded(r.gap))
    logp = np.stack((log_expit(r.gap), log_expit(-r.gap)), axis=1)
    return [
        Estimate.of(r.named("Brier"), clustered_mean((1 - expit(r.gap)) ** 2, r.clusters)),
        _against_null(r.named("ECE"), test.ece, len(r.gap), len(set(r.clusters))),
        Estimate.of(r.named("temperature"), fit_temperature(list(logp), [0] * len(r.gap), r.clusters)),
    ]


def against_planted(r: Ranked, planted: Vector, *, scalar: bool) -> list[Estimate]:
    """How close one is to the best predictor (Bayes) of a rater whose probabilities [n] are known.

    Args:
        scalar: whether sigmoid of a difference is meant as a probability.
    """
    best = np.maximum(planted, 1 - planted)
    clear = np.flatnonzero(planted != 0.5)
    agrees = np.where(r.gap == 0, 0.5, np.sign(r.gap) == np.sign(planted - 0.5))[clear]
    expected = np.where(r.gap == 0, 0.5, np.where(r.gap > 0, planted, 1 - planted))
    found = [
        Estimate.of("Bayes accuracy", bounded(clustered_mean(best, r.clusters))),
        # With the rater's probabilities known, its draw adds nothing but noise.
        Estimate.of(r.named("expected accuracy"), bounded(clustered_mean(expected, r.clusters))),
        Estimate.of(r.named("lost to Bayes"), clustered_mean(best - expected, r.clusters)),
        Estimate.of(r.named("sides with the rater"), bounded(clustered_mean(agrees, r.labels(clear)))),
    ]
    if scalar:
        apart = clustered_mean(np.abs(expit(r.gap) - planted), r.clusters)
        found.append(Estimate.of(r.named("mean distance from the planted probability"), apart))
    return found


def reliability_of(r: Ranked) -> Figure:
    """How often the answer with the higher scalar was chosen, against sigmoid of the difference."""
    from gnomon.report.figures import ReliabilityBin, reliability

    bins = [
        ReliabilityBin(b.mean, b.frequency.value or 0.0, b.frequency.low or 0.0, b.frequency.high or 1.0, b.frequency.n)
        for b in reliability_curve(*_folded(r.gap), r.clusters)
    ]
    caption = "How often the answer with the higher value was chosen, against sigmoid of the difference."
    return reliability(bins, title="Is a difference of values a win rate?", caption=caption)


def _longer(r: Ranked) -> Vector:
    """1 where the chosen answer is the longer one, one half where both are as long."""
    return credits(r.characters[:, 0] - r.characters[:, 1])


def differences(r: Ranked, said: str) -> Figure:
    """The histogram of differences; `said` is what scores are, in words."""
    from gnomon.report.figures import histogram

    wrong = float(np.mean(1 - credits(r.gap)))
    caption = f"Left of 0 the chosen answer is below: {wrong:.0%} of the comparisons. The far left is what to look at."
    title = f"By how much the chosen answer is above, in {said}"
    return histogram({"comparisons": r.gap.tolist()}, x="chosen less rejected", title=title, caption=caption)


def mistakes(r: Ranked, told: Sequence[Told], said: str) -> Table | None:
    """The comparisons where the rejected answer is furthest above; None where it never is."""
    worst = [place for place in np.argsort(r.gap, kind="stable")[:_LISTED].tolist() if r.gap[place] < -_TIE]
    rows = [[_tail(told[i].prompt), told[i].chosen.strip(), told[i].rejected.strip(), float(r.gap[i])] for i in worst]
    if not rows:
        return None
    columns = ("prompt", "chosen", "rejected", "difference")
    caption = "What it is surest of and wrong about; of long prompts the end is shown."
    return Table(title=f"Confident errors, by {said}", columns=columns, rows=rows, caption=caption)


def _tail(text: str) -> str:
    words = text.strip()
    return words if len(words) <= _TAIL else f"… {words[-_TAIL:]}"


def _parts(r: Ranked) -> Iterator[tuple[str, Places]]:
    """The groups of `where_right`, each with its comparisons."""
    for kind in sorted(set(r.kinds) - {""}):
        yield kind, np.flatnonzero(np.array(r.kinds) == kind)
    by_size = np.argsort(np.abs(r.gap), kind="stable")
    for quarter, places in enumerate(np.array_split(by_size, _QUARTERS), 1):
        yield f"difference, quarter {quarter}", np.sort(places)
    lower = np.minimum(r.chosen, r.rejected)
    for share, level in zip(QUANTILES, np.quantile((r.chosen, r.rejected), QUANTILES), strict=True):
        yield f"both above quantile {share:g}", np.flatnonzero(lower >= level)
    turns = np.minimum(np.array(r.turns), _MANY_TURNS)
    for count in np.unique(turns).tolist() if len(set(turns.tolist())) > 1 else ():
        told = f"{count} or more" if count == _MANY_TURNS else str(count)
        yield f"turns: {told}", np.flatnonzero(turns == count)
    for source in sorted(set(r.sources) - {""}):
        yield f"source: {source}", np.flatnonzero(np.array(r.sources) == source)
    longer = np.sign(r.characters[:, 0] - r.characters[:, 1])
    for sign, told in ((1, "the chosen is longer"), (0, "both as long"), (-1, "the chosen is shorter")):
        yield told, np.flatnonzero(longer == sign)


def _folded(gap: Vector) -> tuple[Vector, Vector]:
    """The stated probability of the answer with the higher value, at least .5, and whether it was chosen."""
    return expit(np.abs(gap)), (gap > 0).astype(np.float64)


def _against_null(metric: str, test: NullTest, n: int, clusters: int) -> Estimate:
    reason = "" if test.p_value is None else f"no interval; a calibrated model has {test.mean:.3f} on average"
    return Estimate(metric=metric, value=test.observed, n=n, clusters=clusters, null=test.mean, reason=reason)
