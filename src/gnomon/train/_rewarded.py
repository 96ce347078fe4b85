"""What a policy gained: rewards, gold utilities, KL, lengths of held-out answers before and after; the way there.

Pure: rows in, a report out. Bai et al. 2022a, sec. 4.3: reward grows about linearly in the square root of KL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gnomon.core.record import Row
from gnomon.learn.policy import Episodes, kl_terms
from gnomon.report.base import Estimate, Report, Table
from gnomon.report.words import in_words
from gnomon.stats.intervals import bounded, clustered_mean
from gnomon.train._rollout import Drawn, distinct

__all__ = ["fitted", "rows", "summarise"]

_LEAST_KL = 0.05
_LEAST_POINTS = 5
_BLOCK = 5
_ONE_RUN = "one training run; train with other seeds for a spread"
_CURVE = ("kl", "reward", "gold")


def rows(before: Drawn, after: Drawn, e: Episodes, metrics: Iterable[tuple[int, str, float]]) -> list[Row]:
    """Held-out questions, each with its answer before and after; the first row carries the way there, for a report.

    Args:
        before, after: answers of both models to the same questions.
        e: what is known of those after.
        metrics: step, name and value of what training logged.
    """
    k1_B, k3_B = (_of_answers(each_N, e.answers.row_N) for each_N in kl_terms(e.policy_N, e.reference_N))
    curve = _curve(metrics)
    found = []
    for i, question in enumerate(after.questions):
        evidence: dict[str, Any] = {
            "group": question.group,
            "before": _answer(before, i),
            "after": {**_answer(after, i), "k1": k1_B[i], "k3": k3_B[i]},
            **({} if i else {"curve": curve}),
        }
        found.append(Row(key=f"held-out-{i}", cluster=question.cluster, evidence=evidence))
    return found


def summarise(found: Sequence[Row]) -> Report:
    """The report on held-out answers; intervals are clustered by prompt."""
    clusters = [row.cluster for row in found]
    groups = [str(row.evidence["group"]) for row in found]
    sides = {when: [row.evidence[when] for row in found] for when in ("before", "after")}
    estimates = _gains("reward", sides, clusters, groups)
    if sides["after"][0]["gold"] is not None:
        estimates += _gains("gold utility", sides, clusters, groups, key="gold")
    after = sides["after"]
    estimates.append(Estimate.of("KL", clustered_mean([each["k1"] for each in after], clusters)))
    estimates.append(Estimate.of("KL (k3)", clustered_mean([each["k3"] for each in after], clusters)))
    for when, said in sides.items():
        name = "" if when == "after" else " before"
        length = clustered_mean([float(len(each["tokens"])) for each in said], clusters)
        cut = clustered_mean([float(each["cut"]) for each in said], clusters)
        estimates += [Estimate.of(f"tokens an answer{name}", length), Estimate.of(f"cut short{name}", bounded(cut))]
        estimates += [_distinct(said, n, name) for n in (1, 2)]
    curve = found[0].evidence["curve"]
    estimates += fitted(curve)
    return Report(
        title=f"{len(found)} questions held out",
        estimates=estimates,
        summary=_words(estimates, curve),
        tables=[_gallery(found)],
    )


def fitted(curve: Sequence[Mapping[str, float]]) -> list[Estimate]:
    """Least squares of the reward on the square root of KL, and how well each of sqrt(KL), KL and log KL fits.

    Points are means over five rounds each, since one round's reward varies by its questions; those of at most 0.05 nats
    are left out.

    Args:
        curve: `kl` and `reward` of each round.
    """
    far = [each for each in _blocks(curve) if each["kl"] > _LEAST_KL]
    if len(far) < _LEAST_POINTS:
        reason = f"only {len(far)} blocks of {_BLOCK} rounds have more than {_LEAST_KL} nats of KL"
        return [Estimate(metric="reward on sqrt(KL): R2", value=None, n=len(far), reason=reason)]
    kl, reward = (np.array([each[name] for each in far]) for name in ("kl", "reward"))
    forms = {"sqrt(KL)": np.sqrt(kl), "KL": kl, "log KL": np.log(kl)}
    slope = float(np.polyfit(forms["sqrt(KL)"], reward, 1)[0])
    found = [Estimate(metric="reward on sqrt(KL): slope", value=slope, n=len(far), reason=_ONE_RUN)]
    found += [
        Estimate(metric=f"reward on {name}: R2", value=_explained(x, reward), n=len(far), reason=_ONE_RUN)
        for name, x in forms.items()
    ]
    return found


def _blocks(curve: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """Means over five rounds each; the last rounds are left out where they are fewer."""
    parts = [curve[i : i + _BLOCK] for i in range(0, len(curve) - _BLOCK + 1, _BLOCK)]
    return [{name: sum(each[name] for each in part) / _BLOCK for name in part[0]} for part in parts]


def _explained(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    """R2 of the line of `y` on `x`; None where either does not vary."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1] ** 2)


def _gains(
    name: str,
    sides: Mapping[str, Sequence[Mapping[str, Any]]],
    clusters: Sequence[str],
    groups: Sequence[str],
    *,
    key: str = "reward",
) -> list[Estimate]:
    before, after = (np.array([each[key] for each in sides[when]]) for when in ("before", "after"))
    found = [
        Estimate.of(f"{name} before", clustered_mean(before, clusters)),
        Estimate.of(f"{name} after", clustered_mean(after, clusters)),
        Estimate.of(f"{name} gained", clustered_mean(after - before, clusters), headline=True),
    ]
    for group in sorted(set(groups) - {""}):
        of = [i for i, each in enumerate(groups) if each == group]
        gained = clustered_mean((after - before)[of], [clusters[i] for i in of])
        found.append(Estimate.of(f"{name} gained", gained, group=group))
    return found


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
    }


def _of_answers(each_N: Tensor, row_N: Tensor) -> list[float]:
    sums: list[float] = each_N.new_zeros(int(row_N[-1]) + 1).index_add(0, row_N, each_N).tolist()
    return sums


def _curve(metrics: Iterable[tuple[int, str, float]]) -> list[dict[str, float]]:
    by_step: dict[int, dict[str, float]] = {}
    for step, name, value in metrics:
        if name in _CURVE:
            by_step.setdefault(step, {})[name] = value
    return [{"step": step, **by_step[step]} for step in sorted(by_step)]


def _words(estimates: Sequence[Estimate], curve: Sequence[Mapping[str, float]]) -> str:
    by_name = {e.metric: e for e in estimates if not e.group}
    told = f"Reward {in_words(by_name['reward before'], 2)} before, {in_words(by_name['reward after'], 2)} after, "
    told += f"at a KL of {in_words(by_name['KL'], 2)} nats from the start."
    if "gold utility after" in by_name:
        told += f" Gold utility {in_words(by_name['gold utility before'], 2)} before, "
        told += f"{in_words(by_name['gold utility after'], 2)} after."
    blocks = _blocks(curve)
    if blocks and "gold" in blocks[0]:
        best = max(blocks, key=lambda each: each["gold"])
        told += f" While training it was highest about step {best['step']:.0f} of {curve[-1]['step']:.0f}, "
        told += f"{best['gold']:.2f} at {best['kl']:.2f} nats."
    if any(each["kl"] < -_LEAST_KL for each in curve):
        told += " Some rounds have a KL below -0.05: sampler and trainer may disagree."
    return told


def _gallery(found: Sequence[Row]) -> Table:
    """Answers after training by their reward: the lowest, the quartiles, the highest."""
    ranked = sorted(found, key=lambda row: row.evidence["after"]["reward"])
    places = [round(q * (len(ranked) - 1)) for q in (0, 0.25, 0.5, 0.75, 1)]
    cells = [(row.cluster, *(row.evidence["after"][key] for key in ("text", "reward", "gold"))) for row in ranked]
    return Table(
        title="Answers after training, from the lowest reward to the highest",
        columns=["prompt", "answer", "reward", "gold utility"],
        rows=[cells[place] for place in places],
    )
