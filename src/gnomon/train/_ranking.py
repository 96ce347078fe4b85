"""What a preference model's values of held-out comparisons say: accuracy, calibration, and what length alone gets.

`measured_rows` writes them down; the report is pure, rows in, a report out. The chance that the chosen answer is chosen
is sigmoid(r_chosen - r_rejected). Where the rater was planted, its own probabilities are known: the accuracy of the
best predictor (Bayes), and how far the model's probabilities are from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gnomon.core.record import Row
from gnomon.data.comparisons import Comparison, Comparisons
from gnomon.learn.texts import Pair
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.report.words import in_words
from gnomon.trial.ranked import (
    Ranked,
    accuracy,
    against_planted,
    calibration,
    differences,
    gained_over_length,
    human_turns,
    length_alone,
    mean_difference,
    mean_value,
    reliability_of,
    where_right,
)

__all__ = ["left_out_of", "measured_rows", "summarise"]


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
            "source": comparison.source,
            "turns": human_turns(comparison.prompt),
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
    scalar = evidence[0]["objective"] != "imitation"
    r = _ranked(rows)
    estimates = [Estimate.of("accuracy", accuracy(r), headline=True), *where_right(r), *length_alone(r)]
    estimates += [gained_over_length(r), Estimate.of("mean difference", mean_difference(r))]
    figures: Sequence[Figure] = ()
    if scalar:
        estimates += [Estimate.of("mean value", mean_value(r)), *calibration(r)]
        figures = Drawn(lambda: [reliability_of(r), differences(r, "value")])
    else:
        tokens = np.array([e["tokens"] for e in evidence], dtype=np.float64)
        each = replace(r, chosen=r.chosen / tokens[:, 0], rejected=r.rejected / tokens[:, 1])
        estimates.append(Estimate.of("accuracy (a token)", accuracy(each)))
    if r.planted is not None:
        estimates += against_planted(r, r.planted, scalar=scalar)
    title = f"{len(rows)} comparisons held out"
    notes = [note for e in evidence for note in _left_out(e.get("left_out", {}))]
    return Report(title=title, estimates=estimates, figures=figures, summary=_words(estimates), notes=notes)


def _ranked(rows: Sequence[Row]) -> Ranked:
    """The values of all rows; those of earlier versions know neither turns nor sources."""
    evidence = [row.evidence for row in rows]
    planted = [e["p"] for e in evidence]
    return Ranked(
        chosen=np.array([e["chosen"] for e in evidence], dtype=np.float64),
        rejected=np.array([e["rejected"] for e in evidence], dtype=np.float64),
        clusters=[row.cluster for row in rows],
        characters=np.array([e["characters"] for e in evidence], dtype=np.float64),
        kinds=[e["group"] for e in evidence],
        turns=[e.get("turns", 0) for e in evidence],
        sources=[e.get("source", "") for e in evidence],
        planted=None if None in planted else np.array(planted),
    )


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


def _words(estimates: Sequence[Estimate]) -> str:
    by_name = {(e.metric, e.group): e for e in estimates}
    told = f"Right on {in_words(by_name['accuracy', ''])} of the comparisons held out; "
    told += f"picking the longer answer on {in_words(by_name['accuracy of length alone', ''])}"
    bayes = by_name.get(("Bayes accuracy", ""))
    return f"{told}; the best that can be is {in_words(bayes)}." if bayes else f"{told}."
