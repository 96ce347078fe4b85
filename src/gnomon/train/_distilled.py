"""What the divergences of held-out texts say: how far from the prompted model before and after, on each half.

Pure: rows in, a report out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnomon.core.record import Row
from gnomon.report.base import Estimate, Report
from gnomon.stats.bootstrap import cluster_bootstrap
from gnomon.stats.intervals import Interval, clustered_mean, proportion, undefined

__all__ = ["summarise"]

_BEFORE, _AFTER, _FELL = "KL to the prompted model, before", "KL to the prompted model", "KL fell to this part"


def summarise(rows: Sequence[Row]) -> Report:
    """KL(prompted teacher || student) in nats a token, before and after, on each half; intervals clustered by text."""
    groups = {"": list(rows)} | {
        name: [row for row in rows if row.evidence["group"] == name]
        for name in dict.fromkeys(row.evidence["group"] for row in rows)
    }
    if len(groups) == 2:
        groups.pop("")
    estimates = [estimate for name, found in groups.items() for estimate in _of(found, name)]
    facts: Mapping[str, Any] = next((row.evidence["facts"] for row in rows if "facts" in row.evidence), {})
    return Report(
        title=f"{len(rows)} texts held out",
        estimates=[*estimates, *_ran_on(facts)],
        summary=" ".join(_said(estimates, name) for name in groups),
        notes=list(_notes(facts)),
    )


def _of(rows: Sequence[Row], group: str) -> list[Estimate]:
    clusters = [row.cluster for row in rows]
    before, after = (np.array([row.evidence[name] for row in rows], np.float64) for name in ("before", "after"))
    found = {_BEFORE: clustered_mean(before, clusters), _AFTER: clustered_mean(after, clusters)}
    return [
        *(Estimate.of(metric, each, group=group, headline=True) for metric, each in found.items()),
        Estimate.of(_FELL, _part(before, after, clusters), group=group),
    ]


def _part(before: NDArray[np.float64], after: NDArray[np.float64], clusters: Sequence[str]) -> Interval:
    """The mean after as a part of the mean before."""
    if not before.sum() > 0:
        return undefined("there was no divergence before", n=len(before), clusters=len(set(clusters)))

    def ratio(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        part: NDArray[np.float64] = (weights @ after) / (weights @ before)
        return part

    return cluster_bootstrap(ratio, len(before), clusters, resamples=1000)


def _ran_on(facts: Mapping[str, Any]) -> list[Estimate]:
    if "samples" not in facts:
        return []
    ran = [1] * facts["ran_on"] + [0] * (facts["samples"] - facts["ran_on"])
    return [Estimate.of("samples that ran on into another turn", proportion(ran))]


def _said(estimates: Sequence[Estimate], group: str) -> str:
    before, after, part = (next(e for e in estimates if (e.metric, e.group) == (m, group)) for m in _ORDER)
    where = {"": "all texts", "text": "running text"}.get(group, group)
    if before.value is None or after.value is None or part.value is None:
        return f"On {where}, KL to the prompted model was {before.value}."
    fell = f", {1 / part.value:.1f} times less" if part.value > 0 else ""
    return f"On {where}, KL to the prompted model went from {before.value:.3f} to {after.value:.3f} nats a token{fell}."


_ORDER = (_BEFORE, _AFTER, _FELL)


def _notes(facts: Mapping[str, Any]) -> Sequence[str]:
    found = [f"the prompt is {facts['prompt_tokens']} tokens of this tokenizer"] if facts else []
    if "bytes_per_token" in facts:
        found.append(f"stored targets ({facts['targets']}) take {facts['bytes_per_token']:.0f} bytes a token")
    if facts.get("cut"):
        found.append(f"{facts['cut']} texts were cut on the right")
    if facts.get("bad"):
        found.append(f"{facts['bad']} of {facts['rows']} rows could not be used; the first: {facts['shown'][0]}")
    return found
