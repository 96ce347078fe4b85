"""What verdicts on many samples say: pass@k with intervals, why samples fail, which setting is best for each k,
and whether a sample can be chosen without tests.

Chen et al. 2021, "Evaluating Large Language Models Trained on Code", sec. 2.1, 3.2, 3.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gnomon.core.errors import UsageError
from gnomon.core.seeds import Seed
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.sandbox import CAUSES
from gnomon.stats.intervals import Interval, bounded, clustered_mean, proportion
from gnomon.stats.pass_at_k import mean_pass_at_k, pass_at_k, plug_in, sampling_error
from gnomon.stats.ranking import auroc
from gnomon.trial.filtered import filtered

__all__ = ["Envelope", "Graded", "by_task", "report_on", "usable_ks"]

Envelope = Literal["split", "in-sample"]

KS = (1, 10, 100)
_MOST_LISTED = 20
_CHOOSERS = {
    "mean log-probability": "mean_logprob",
    "summed log-probability": "total_logprob",
    "back-translation": "back_logprob",
}


@dataclass(frozen=True, kw_only=True)
class Graded:
    """One sample and its verdict.

    Attributes:
        task: the problem's id.
        index: its place among the problem's samples.
        cause: "passed", or why it did not; "no sample" where there is none and it counts as wrong.
        detail: one line of the verdict.
        level: of the problem; "" for none.
        mean_logprob, total_logprob: of its tokens, in nats; None where not known.
        temperature, top_p: it was drawn at; None where not known.
        back_logprob: of the problem's docstring behind it, by a docstring model, in nats; None where none was asked.
        bleu: to the problem's reference, in [0, 1]; None where it was not asked for or there is no reference.
        shown: whether it passes the examples of the statement; None where there are none.
    """

    task: str
    index: int
    cause: str
    detail: str = ""
    level: str = ""
    mean_logprob: float | None = None
    total_logprob: float | None = None
    temperature: float | None = None
    top_p: float | None = None
    back_logprob: float | None = None
    bleu: float | None = None
    shown: bool | None = None

    @property
    def passed(self) -> bool:
        """Whether it is right."""
        return self.cause == "passed"


def usable_ks(asked: Sequence[int], n: Mapping[str, int]) -> tuple[int, ...]:
    """The k to report: those asked for, else those of 1, 10 and 100 that every problem has samples for.

    Args:
        n: samples by problem.

    Raises:
        UsageError: a problem has fewer samples than an asked k.
    """
    least = min(n, key=lambda task: n[task])
    for k in asked:
        if k < 1:
            raise UsageError(f"--k is {k}", todo="give 1 or more")
        if k > n[least]:
            raise UsageError(
                f"pass@{k} needs {k} samples of every problem, and {least} has {n[least]}",
                where="--k",
                todo=f"give more samples or a k of at most {n[least]}",
            )
    return tuple(asked) or tuple(k for k in KS if k <= n[least])


def report_on(
    graded: Sequence[Graded], title: str, *, ks: Sequence[int] = (), envelope: Envelope = "split", seed: int = 0
) -> Report:
    """The report on samples of one or several settings: temperatures, and nucleus masses.

    Args:
        ks: for pass@k; those of 1, 10 and 100 that fit where empty.
        envelope: whether the best setting for each k is chosen on other problems than it is reported on.
        seed: of resampling and of the split that settings are chosen on.
    """
    by_setting = _grouped(graded)
    estimates: list[Estimate] = []
    notes: list[str] = []
    for name, some in by_setting.items():
        counts = _counts(some)
        usable = usable_ks(ks, {task: n for task, (n, _) in counts.items()})
        estimates += list(_passes(counts, usable, name, seed))
        estimates += list(_levels(some, usable, name, seed))
        estimates += list(filtered(by_task(some), usable, name, seed))
        estimates += list(_choices(some, name, notes))
    if len(by_setting) > 1:
        estimates += list(_envelope(by_setting, ks, envelope, seed))
    estimates += list(_causes(graded))
    estimates += list(_likeness(graded, seed))
    lost = [g for g in graded if g.cause == "infrastructure"]
    if lost:
        notes.append(f"{len(lost)} samples could not be judged, the sandbox failed twice; they are in no number")
    return Report(
        title=title,
        estimates=estimates,
        tables=_tables(graded),
        figures=Drawn(lambda: _figures(by_setting, seed)),
        summary=_summary(estimates, graded),
        notes=notes,
    )


def _grouped(graded: Sequence[Graded]) -> dict[str, list[Graded]]:
    """Samples by setting, "" where all have one; what the sandbox failed on is left out."""
    judged = [g for g in graded if g.cause != "infrastructure"]
    several_p = len({g.top_p for g in judged}) > 1
    found: dict[str, list[Graded]] = {}
    for g in sorted(judged, key=lambda g: (g.temperature or 0.0, g.top_p or 0.0)):
        name = "T unknown" if g.temperature is None else f"T={g.temperature:g}"
        found.setdefault(f"{name} top-p={g.top_p:g}" if several_p and g.top_p else name, []).append(g)
    return {"": judged} if len(found) == 1 else found


Counts = dict[str, tuple[int, int]]


def _counts(graded: Sequence[Graded]) -> Counts:
    """Samples and right ones by problem."""
    n, c = Counter(g.task for g in graded), Counter(g.task for g in graded if g.passed)
    return {task: (n[task], c[task]) for task in n}


def _passes(counts: Counts, ks: Sequence[int], group: str, seed: int) -> Iterator[Estimate]:
    n, c = [a for a, _ in counts.values()], [b for _, b in counts.values()]
    for k in ks:
        found = mean_pass_at_k(n, c, k, seed=Seed(seed).child("pass", k).value)
        yield Estimate.of(f"pass@{k}", found, group=group, headline=True)
    if max(n) > 1:
        error = sampling_error(n, c, ks[0])
        yield Estimate(
            metric=f"sampling error of pass@{ks[0]}",
            value=error,
            n=sum(n),
            clusters=len(n),
            group=group,
            reason="standard error over these problems; falls with more samples",
        )


def _levels(graded: Sequence[Graded], ks: Sequence[int], group: str, seed: int) -> Iterator[Estimate]:
    levels = sorted({g.level for g in graded})
    for level in levels if len(levels) > 1 else ():
        counts = _counts([g for g in graded if g.level == level])
        n, c = [a for a, _ in counts.values()], [b for _, b in counts.values()]
        within = f"{group} {level}".strip()
        for k in ks:
            yield Estimate.of(f"pass@{k}", mean_pass_at_k(n, c, k, seed=seed), group=within)
        yield from filtered(by_task([g for g in graded if g.level == level]), ks, within, seed)


def _choices(graded: Sequence[Graded], group: str, notes: list[str]) -> Iterator[Estimate]:
    """How often the one sample chosen without tests is right, beside any right one and a random one."""
    tasks = by_task(graded)
    if max(map(len, tasks.values())) < 2:
        return
    for name, of in _CHOOSERS.items():
        known = all(getattr(g, of) is not None for g in graded)
        if not known:
            continue
        chosen = [float(max(some, key=lambda g: getattr(g, of)).passed) for some in tasks.values()]
        yield Estimate.of(f"pass@1 chosen by {name}", proportion(chosen), group=group)
        chance = [sum(g.passed for g in some) / len(some) for some in tasks.values()]
        gains = [a - b for a, b in zip(chosen, chance, strict=True)]
        yield Estimate.of(f"gained by {name} over a random one", clustered_mean(gains), group=group)
    if graded[0].mean_logprob is None:
        notes.append("samples carry no mean_logprob, so choosing one by log-probability is not measured")
    oracle = [float(any(g.passed for g in some)) for some in tasks.values()]
    yield Estimate.of("any sample right", proportion(oracle), group=group)


def by_task(graded: Sequence[Graded]) -> dict[str, list[Graded]]:
    """Samples by problem."""
    found: dict[str, list[Graded]] = {}
    for g in graded:
        found.setdefault(g.task, []).append(g)
    return found


def _envelope(
    groups: Mapping[str, Sequence[Graded]], ks: Sequence[int], envelope: Envelope, seed: int
) -> Iterator[Estimate]:
    """For each k the setting that is best on one half of the problems, and pass@k of it on the other half; in-sample,
    as the paper has it, both on all problems.
    """
    counts = {name: _counts(some) for name, some in groups.items()}
    shared = sorted(set.intersection(*(set(c) for c in counts.values())))
    order = Seed(seed).child("split").random().sample(shared, len(shared))
    halves, of = (order[: len(order) // 2], order[len(order) // 2 :]), "other half"
    if envelope == "in-sample":
        halves, of = (shared, shared), "in-sample"
    if not halves[0]:
        return
    least = {task: min(c[task][0] for c in counts.values()) for task in shared}
    for k in usable_ks(ks, least):
        best = max(counts, key=lambda name: _mean(counts[name], halves[0], k))
        n, c = zip(*(counts[best][task] for task in halves[1]), strict=True)
        yield Estimate.of(f"pass@{k} at the best setting", mean_pass_at_k(n, c, k, seed=seed), group=f"{best}, {of}")


def _mean(counts: Counts, tasks: Sequence[str], k: int) -> float:
    return sum(pass_at_k(*counts[task], k) for task in tasks) / len(tasks)


def _causes(graded: Sequence[Graded]) -> Iterator[Estimate]:
    for cause in (*CAUSES, "no sample"):
        hit = [float(g.cause == cause) for g in graded]
        if cause != "passed" and any(hit):
            yield Estimate.of("share of samples", _share(hit, [g.task for g in graded]), group=cause)


def _likeness(graded: Sequence[Graded], seed: int) -> Iterator[Estimate]:
    """How well BLEU to the reference tells right samples from wrong ones."""
    known = [g for g in graded if g.bleu is not None]
    if known:
        scores, right = [float(g.bleu or 0.0) for g in known], [float(g.passed) for g in known]
        yield Estimate.of("AUROC of BLEU for being right", auroc(scores, right, [g.task for g in known], seed=seed))


def _share(hit: Sequence[float], tasks: Sequence[str]) -> Interval:
    return bounded(proportion(hit, tasks))


def _tables(graded: Sequence[Graded]) -> list[Table]:
    """The problems with a sample that fails, the hardest first."""
    rows: list[tuple[str, int, int, str, str]] = []
    for task, some in by_task(graded).items():
        failed = [g for g in some if not g.passed]
        if failed:
            worst, count = Counter(g.cause for g in failed).most_common(1)[0]
            said = next(g.detail for g in failed if g.cause == worst)
            rows.append((task, len(some), len(some) - len(failed), f"{worst} ({count})", said[:100]))
    if not rows:
        return []
    rows.sort(key=lambda row: row[2] / row[1])
    more = len(rows) - _MOST_LISTED
    caption = "The hardest first" + (f"; {more} more are in the rows." if more > 0 else ".")
    columns = ("problem", "samples", "right", "most often", "for example")
    return [Table(title="Problems with failing samples", columns=columns, rows=rows[:_MOST_LISTED], caption=caption)]


def _summary(estimates: Sequence[Estimate], graded: Sequence[Graded]) -> str:
    first = next((e for e in estimates if e.headline and e.value is not None), None)
    problems = len({g.task for g in graded})
    text = f"{sum(g.passed for g in graded)} of {len(graded)} samples of {problems} problems pass."
    if first is None or first.value is None:
        return text
    ends = f" ({first.low:.3f} to {first.high:.3f})" if first.low is not None and first.high is not None else ""
    return f"{text} {first.metric} is {first.value:.3f}{ends}."


def _figures(groups: Mapping[str, Sequence[Graded]], seed: int) -> list[Figure]:
    from gnomon.report.figures import Point, curves, histogram

    points: list[Point] = []
    naive: list[Point] = []
    for name, some in groups.items():
        counts = _counts(some)
        n, c = [a for a, _ in counts.values()], [b for _, b in counts.values()]
        for k in _ladder(min(n)):
            found = mean_pass_at_k(n, c, k, seed=seed)
            points.append(Point(k, found.value or 0.0, found.low, found.high, name or "unbiased"))
            naive.append(Point(k, sum(plug_in(a, b, k) for a, b in counts.values()) / len(n), None, None, "plug-in"))
    drawn = []
    likeness = {
        name: [g.bleu for some in groups.values() for g in some if g.bleu is not None and g.passed == right]
        for name, right in (("right", True), ("wrong", False))
    }
    if all(likeness.values()):
        drawn.append(
            histogram(likeness, x="BLEU to the reference", title="Likeness to the reference", domain=(0.0, 1.0))
        )
    if len(groups) == 1:
        drawn += _chosen(next(iter(groups.values())), seed)
    if max((p.x for p in points), default=0) > 1:
        one = len(groups) == 1
        drawn.append(
            curves(
                [*points, *(naive if one else ())],
                x="k",
                y="pass@k",
                title="Chance that one of k samples is right",
                caption="Bands are 95 % intervals for other problems of the kind."
                + (" The plug-in estimate 1 - (1 - c/n)^k is too low." if one else ""),
                log_x=True,
            )
        )
        shares = {name or "samples": [b / a for a, b in _counts(some).values()] for name, some in groups.items()}
        drawn.append(histogram(shares, x="share of a problem's samples that pass", title="Problems", domain=(0.0, 1.0)))
    return drawn


def _chosen(graded: Sequence[Graded], seed: int) -> list[Figure]:
    from gnomon.trial.chosen import drawn_by_number

    tasks = by_task(graded)
    known = {name: of for name, of in _CHOOSERS.items() if all(getattr(g, of) is not None for g in graded)}
    least = min(map(len, tasks.values()))
    return [drawn_by_number(tasks, known, _ladder(least), seed)] if known and least > 1 else []


def _ladder(most: int) -> list[int]:
    """1, 2, 3, 5, 7, 10, ... up to `most`."""
    steps = [round(10 ** (i / 6)) for i in range(60)]
    return [k for k in dict.fromkeys(steps) if k < most] + [most]
