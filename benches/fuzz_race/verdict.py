"""Who found more: medians with intervals, and tests that assume nothing about how counts are spread."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from benches.fuzz_race.counting import KINDS
from gnomon.data.worlds.shop import DEFECTS

__all__ = ["Verdict", "grouped", "median_interval", "table", "verdict", "wilcoxon"]

_RESAMPLES = 10_000


class Verdict(NamedTuple):
    """Two fuzzers on one target.

    Attributes:
        medians: of each.
        low, high: 95 % bootstrap interval of the second's median over the first's, NaN where the first's is zero.
        p: two-sided Mann-Whitney U; NaN with fewer than two runs on either side.
        a12: chance that a run of the second finds more than one of the first, ties counted half.
    """

    medians: tuple[float, float]
    low: float
    high: float
    p: float
    a12: float


def median_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a median; NaN with fewer than two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    low, high = np.percentile(_medians(values, np.random.default_rng(seed)), [2.5, 97.5])
    return float(low), float(high)


def verdict(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Verdict:
    """The second against the first, run by run counts of distinct defects."""
    pairs = [(a, b) for a in first for b in second]
    a12 = sum((b > a) + 0.5 * (b == a) for a, b in pairs) / len(pairs)
    medians = statistics.median(first), statistics.median(second)
    low = high = p = float("nan")
    if min(len(first), len(second)) > 1:
        p = float(stats.mannwhitneyu(first, second, alternative="two-sided").pvalue)
        rng = np.random.default_rng(seed)
        below, above = _medians(first, rng), _medians(second, rng)
        if (below > 0).all():
            low, high = (float(v) for v in np.percentile(above / below, [2.5, 97.5]))
    return Verdict(medians, low, high, p, a12)


def wilcoxon(medians: Sequence[tuple[float, float]]) -> float:
    """Two-sided Wilcoxon signed-rank p over the targets' medians; NaN where none differs."""
    differences = [b - a for a, b in medians]
    if not any(differences):
        return float("nan")
    return float(stats.wilcoxon(differences).pvalue)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """A line for each target, fuzzer and time: medians over its seeds."""
    head = f"{'target':14}{'fuzzer':17}{'s':>4}{'n':>3}{'requests':>10}{'distinct':>10}{'hit':>9}{'2xx':>5}"
    head += f"{'CPU ms f/s/r':>18}{'MiB':>6}  {'/'.join(KINDS):54}{'defects':>8}  95 %"
    return "\n".join([head, *(_row(*runs_of) for runs_of in grouped(results).items())])


def grouped(results: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str, int], list[Mapping[str, Any]]]:
    """Runs by target, fuzzer and seconds, in that order."""
    groups: dict[tuple[str, str, int], list[Mapping[str, Any]]] = {}
    for run in results:
        groups.setdefault((run["target"], run["fuzzer"], run["seconds"]), []).append(run)
    return dict(sorted(groups.items()))


def _row(group: tuple[str, str, int], runs: Sequence[Mapping[str, Any]]) -> str:
    target, fuzzer, seconds = group

    def middle(values: Sequence[float]) -> float:
        return statistics.median(values)

    spent = [r["cpu_ms_per_request"] for r in runs]
    cpu = "/".join(f"{middle([s[who] for s in spent]):.2f}" for who in ("fuzzer", "service", "relay"))
    kinds = "/".join(f"{middle([r['kinds'].get(name, 0) for r in runs]):g}" for name in KINDS)
    found = [r["by_stack"] for r in runs]
    low, high = median_interval(found)
    hit = f"{middle([r['hit'] for r in runs]):g}/{runs[0]['operations']}"
    planted = [len([t for t in r.get("triggered", ()) if not t["id"].startswith("graphql")]) for r in runs]
    recall = f"  triggered {middle(planted):g}/{len(DEFECTS)}" if target == "shop" else ""
    if target == "shop" and all("reported" in r for r in runs):
        told, false = middle([len(r["reported"]) for r in runs]), middle([len(r["alarms"]) for r in runs])
        recall += f", reported {told:g}, false alarms {false:g}"
    return (
        f"{target:14}{fuzzer:17}{seconds:4}{len(runs):3}{middle([r['requests'] for r in runs]):10g}"
        f"{middle([r['distinct_requests'] for r in runs]):10g}{hit:>9}{middle([r['good'] for r in runs]):5g}{cpu:>18}"
        f"{middle([r['peak_mib']['fuzzer'] for r in runs]):6g}  {kinds:54}{middle(found):8g}  {low:g}..{high:g}{recall}"
    )


def _medians(values: Sequence[float], rng: np.random.Generator) -> Any:
    return np.median(rng.choice(np.asarray(values, float), (_RESAMPLES, len(values))), axis=1)
