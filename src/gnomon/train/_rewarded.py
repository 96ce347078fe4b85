"""What a policy gained: rewards, gold utilities, KL, lengths of held-out answers before and after; the way there.

Pure: rows in, a report out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gnomon.core.record import Row
from gnomon.learn.policy import Episodes, kl_terms
from gnomon.report.base import Drawn as Later
from gnomon.report.base import Estimate, Report, Table
from gnomon.report.words import in_words
from gnomon.stats.intervals import bounded, clustered_mean
from gnomon.train._curve import GOLD, REWARD, Reading, figure, fits, of_answers, onset, parted, read, since_best
from gnomon.train._rollout import Drawn, distinct

__all__ = ["as_csv", "rows", "summarise"]

_LEAST_KL = -0.05
_SOURCE = "from "


def rows(before: Drawn, after: Drawn, e: Episodes) -> list[Row]:
    """Held-out questions, each with its answer before and after.

    Args:
        before, after: answers of both models to the same questions.
        e: what is known of those after.
    """
    k1_B, k3_B = (of_answers(each_N, e.text_N) for each_N in kl_terms(e.policy_N, e.reference_N))
    found = []
    for i, question in enumerate(after.questions):
        evidence: dict[str, Any] = {
            "group": question.group,
            "source": question.source,
            "before": _answer(before, i),
            "after": {**_answer(after, i), "k1": k1_B[i], "k3": k3_B[i]},
        }
        found.append(Row(key=f"held-out-{i}", cluster=question.cluster, evidence=evidence))
    return found


def summarise(found: Sequence[Row]) -> Report:
    """The report on held-out answers and on the way there; intervals are clustered by prompt."""
    readings = read(found)
    ends = [row for row in found if "before" in row.evidence]
    clusters = [row.cluster for row in ends]
    groups = [_groups(row) for row in ends]
    sides = {when: [row.evidence[when] for row in ends] for when in ("before", "after")}
    estimates = [each for name in _values(sides["after"]) for each in _gains(name, sides, clusters, groups)]
    after = sides["after"]
    estimates.append(Estimate.of("KL", clustered_mean([each["k1"] for each in after], clusters)))
    estimates.append(Estimate.of("KL (k3)", clustered_mean([each["k3"] for each in after], clusters)))
    for when, said in sides.items():
        name = "" if when == "after" else " before"
        length = clustered_mean([float(len(each["tokens"])) for each in said], clusters)
        cut = clustered_mean([float(each["cut"]) for each in said], clusters)
        estimates += [Estimate.of(f"tokens an answer{name}", length), Estimate.of(f"cut short{name}", bounded(cut))]
        estimates += [_distinct(said, n, name) for n in (1, 2)]
    way = _way(readings)
    return Report(
        title=f"{len(ends)} questions held out",
        estimates=[*estimates, *way],
        summary=" ".join([_words(estimates), *_on_the_way(readings)]),
        figures=Later(lambda: figure(readings)),
        tables=[_gallery(ends)],
    )


def as_csv(metrics: Iterable[tuple[int, str, float]], together: int) -> str:
    """What was logged, one line a round; what was read on held-out questions stands beside it where it was read."""
    by_round: dict[int, dict[str, float]] = {}
    for step, name, value in metrics:
        by_round.setdefault(step // together, {})[name] = value
    names = list(dict.fromkeys(name for values in by_round.values() for name in sorted(values)))
    text = io.StringIO()
    writer = csv.DictWriter(text, ["round", *names], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"round": round_, **by_round[round_]} for round_ in sorted(by_round))
    return text.getvalue()


def _values(said: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of what values the answers: the reward, the further values, and the gold utility where it is known."""
    return [REWARD, *said[0]["watched"], *([GOLD] if all(each["gold"] is not None for each in said) else [])]


def _value(answer: Mapping[str, Any], name: str) -> float:
    found: float = {REWARD: answer["reward"], GOLD: answer["gold"], **answer["watched"]}[name]
    return found


def _way(readings: Sequence[Reading]) -> list[Estimate]:
    """Where the reward and each further value part, what each has lost since its best, and the law in sqrt(KL)."""
    if len(readings) < 2:
        return []
    tests = [name for name in readings[0].values if name != REWARD]
    found = [parted(readings, name) for name in tests]
    for name in tests:
        best, change = since_best(readings, name)
        found.append(Estimate.of(f"{name}: change since its best reading", change, group=f"round {best.round}"))
    # What was meant, where it is known, is not the paper's test: it has a second preference model.
    onsets = [onset(readings, name) for name in tests if name != GOLD]
    first = min((at for at in onsets if at), key=lambda at: at.round, default=None)
    return [*found, *fits(readings, before=first)]


def _gains(
    name: str,
    sides: Mapping[str, Sequence[Mapping[str, Any]]],
    clusters: Sequence[str],
    groups: Sequence[Sequence[str]],
) -> list[Estimate]:
    """Means before and after, and what was gained, in all and in each group; a question may be in several."""
    before, after = (np.array([_value(each, name) for each in sides[when]]) for when in ("before", "after"))
    headline = name in (REWARD, GOLD)
    found = [
        Estimate.of(f"{name} before", clustered_mean(before, clusters)),
        Estimate.of(f"{name} after", clustered_mean(after, clusters)),
        Estimate.of(f"{name} gained", clustered_mean(after - before, clusters), headline=headline),
    ]
    for group in sorted({group for each in groups for group in each}):
        of = [i for i, each in enumerate(groups) if group in each]
        own = [clusters[i] for i in of]
        found.append(Estimate.of(f"{name} gained", clustered_mean((after - before)[of], own), group=group))
        if group.startswith(_SOURCE):
            found.append(Estimate.of(f"{name} after", clustered_mean(after[of], own), group=group))
    return found


def _groups(row: Row) -> list[str]:
    """What kind of question it is, and of several sources the one it is from."""
    group, source = row.evidence["group"], row.evidence["source"]
    return [*([group] if group else []), *([f"{_SOURCE}{source}"] if source else [])]


def _distinct(said: Sequence[Mapping[str, Any]], n: int, name: str) -> Estimate:
    value = distinct([each["tokens"] for each in said], n)
    reason = "falls with the number of answers; compare with the other side"
    return Estimate(metric=f"distinct-{n}{name}", value=value, n=len(said), reason=reason)


def _answer(drawn: Drawn, i: int) -> dict[str, Any]:
    said = drawn.said[i]
    return {
        "text": said.text,
        "tokens": list(said.tokens),
        "cut": said.finish == "length",
        "reward": drawn.reward[i],
        "gold": drawn.gold[i],
        "watched": {name: values[i] for name, values in drawn.watched.items()},
    }


def _words(estimates: Sequence[Estimate]) -> str:
    by_name = {e.metric: e for e in estimates if not e.group}
    told = f"Reward {in_words(by_name['reward before'], 2)} before, {in_words(by_name['reward after'], 2)} after, "
    told += f"at a KL of {in_words(by_name['KL'], 2)} nats from the start."
    if "gold utility after" in by_name:
        told += f" Gold utility {in_words(by_name['gold utility before'], 2)} before, "
        told += f"{in_words(by_name['gold utility after'], 2)} after."
    return told


def _on_the_way(readings: Sequence[Reading]) -> list[str]:
    told = []
    if len(readings) > 1 and GOLD in readings[0].values:
        best, _ = since_best(readings, GOLD)
        told.append(
            f"On the way it was highest at round {best.round} of {readings[-1].round}, "
            f"{best.values[GOLD].mean():.2f} at {best.kl.mean():.2f} nats."
        )
    if any(each.kl.mean() < _LEAST_KL for each in readings):
        told.append("Some readings have a KL below -0.05: sampler and trainer may disagree.")
    return told


def _gallery(found: Sequence[Row]) -> Table:
    """Answers after training by their reward: the lowest, the quartiles, the highest, and what each was before."""
    ranked = sorted(found, key=lambda row: row.evidence["after"]["reward"])
    last = len(ranked) - 1
    # The worst are what a reader should see most of.
    places = sorted({*range(min(3, last)), *(round(q * last) for q in (0.1, 0.25, 0.5, 0.75, 1))})
    cells = [
        (
            row.cluster,
            *(row.evidence["after"][key] for key in ("text", "reward", "gold")),
            row.evidence["before"]["text"],
        )
        for row in ranked
    ]
    return Table(
        title="Answers after training, from the lowest reward to the highest",
        columns=["prompt", "answer", "reward", GOLD, "answer before"],
        rows=[cells[place] for place in places],
    )
