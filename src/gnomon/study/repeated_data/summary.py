"""The page of a family of trainings on repeated data; pure: rows in, a report out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gnomon.core.errors import DataError
from gnomon.core.record import Row
from gnomon.report.base import Drawn, Estimate, Report, Table
from gnomon.report.words import in_words
from gnomon.stats.repeats import Region, boundary, poor_region
from gnomon.study._family import spoken
from gnomon.study.repeated_data.estimates import estimates, peaks, within
from gnomon.study.repeated_data.family import METRICS, Family, Measured, has
from gnomon.study.repeated_data.pictures import SECTION, figures

__all__ = ["report"]

_DONE = "test loss less that with nothing done, nats"
_AT_WORST = {
    "test loss added by repeats, nats": "added, nats",
    "of it more than where repeats are left out, nats": "of it harm",
    "loss on the set, nats": "set, nats",
    "change of the most prefix matching of a head": "prefix matching",
    "effective size over size, by test loss": "effective size",
}


def report(rows: Sequence[Row]) -> Report:
    """What the family's rows say.

    Args:
        rows: of `study`, one a training.
    """
    of = Family.of(rows)
    found = estimates(of)
    return Report(
        title="What repeated data costs",
        summary=_verdict(of, found),
        estimates=found,
        figures=Drawn(lambda: figures(of)),
        tables=[_cells(of), _regions(of), _peaks(of), *_copies(of)],
        notes=[*_notes(of), *_went(rows), *_diverged(rows)],
        in_terminal=[_worst(of, found), *_against(found)],
    )


def _verdict(of: Family, found: Sequence[Estimate]) -> str:
    width, share = of.widths[-1], of.shares[-1]
    epochs = of.worst(width, share)
    at = f"{spoken(of.size(width))} parameters and {share:.0%} repeats"
    group = f"{spoken(of.size(width))}, {share:.0%} repeats, {epochs:g} epochs"
    by = {e.metric: e for e in found if e.group == group}
    told = [
        f"With {at}, {epochs:g} epochs hurt most: the test loss is {_in(by['test loss added by repeats, nats'])} nats "
        f"higher than without repeats, and the set costs {_in(by['loss on the set, nats'])} nats a token.",
        f"Effective size over size, by test loss: {_worth(by.get('effective size over size, by test loss'))}.",
        f"The most prefix matching of a head changes by {_in(by['change of the most prefix matching of a head'])}.",
    ]
    over, inside = peaks(of, width, share), within(of, width, share, _highest(of, width, share))
    told.append(f"A peak over epochs: {over.verdict}; within training: {inside.verdict}.")
    control = next((e for e in found if e.group.startswith("a language without") and "prefix" in e.metric), None)
    if control is not None:
        told.append(f"On a language without copies prefix matching changes by {_in(control)}.")
    return " ".join(told)


def _worst(of: Family, found: Sequence[Estimate]) -> Table:
    """One line a size and share: what the worst epochs do."""
    by = {(e.metric, e.group): e for e in found}
    rows = []
    for width in of.widths:
        for share in of.shares:
            epochs, size = of.worst(width, share), spoken(of.size(width))
            group = f"{size}, {share:.0%} repeats, {epochs:g} epochs"
            told = [_told(by.get((metric, group))) for metric in _AT_WORST]
            rows.append([size, f"{share:.0%}", f"{epochs:g}", *told, peaks(of, width, share).verdict])
    columns = ("parameters", "share", "worst epochs", *_AT_WORST.values(), "peak over epochs")
    return Table(title="Where repeats hurt most", columns=columns, rows=rows, caption="The page has the whole grid.")


def _against(found: Sequence[Estimate]) -> list[Table]:
    """What each thing done against learning by heart changes; nothing where none was."""
    by = {(e.metric, e.group): e for e in found}
    read = {
        "added by repeats, nats": "test loss added by repeats, nats",
        "less that with nothing done": _DONE,
        "added without repeats": "test loss that it adds without repeats, nats",
        "set, nats": "loss on the set, nats",
    }
    rows = [
        [e.group, *(_told(by.get((metric, e.group))) for metric in read.values())] for e in found if e.metric == _DONE
    ]
    return [Table(title="Against learning by heart", columns=("with", *read), rows=rows)] if rows else []


def _told(e: Estimate | None) -> str:
    if e is None or e.value is None:
        return "" if e is None else e.reason.rpartition(": ")[2]
    return _in(e)


def _in(e: Estimate) -> str:
    return in_words(e, 2)


def _worth(e: Estimate | None) -> str:
    if e is None:
        return "unknown, of one size"
    return _in(e) if e.value is not None else e.reason


def _highest(of: Family, width: int, share: float) -> float:
    """The epochs whose peak within training is highest."""
    return max(of.epochs(width, share), key=lambda e: within(of, width, share, e).above)


def _mean(trainings: Sequence[Measured], name: str) -> float | None:
    values = [float(np.mean(METRICS[name](each))) for each in trainings if has(each, name)]
    return float(np.mean(values)) if values else None


def _cells(of: Family) -> Table:
    """Every place of the grid; without repeats first."""
    rows: list[list[Any]] = []
    for width in of.widths:
        rows.append(_line(of, width, 0.0, None))
        rows += [_line(of, width, share, epochs) for share in of.shares for epochs in of.epochs(width, share)]
    place = ("parameters", "share", "epochs", "documents in the set", "seeds")
    read = ("test loss", "added", "loss on the set", "said by heart", *list(METRICS)[1:])
    columns = (*place, *read, "effective size over size")
    caption = (
        "Means over seeds, in nats a token; epochs and share as achieved in whole documents. Added losses are paired: "
        "models of one seed share first weights and the order of what comes once. The worst epochs are chosen on the "
        "losses that are read there, which makes these a little high."
    )
    return Table(title="Trainings", columns=columns, rows=rows, caption=caption, section=SECTION["damage"])


def _line(of: Family, width: int, share: float, epochs: float | None) -> list[Any]:
    control = of.control(width)
    some = control if epochs is None else of.cell(width, share, epochs)
    loss, base = _mean(some, "test loss") or 0.0, _mean(control, "test loss") or 0.0
    learnt = (
        [None, None] if epochs is None else [float(np.mean([np.mean(m[k]) for m in some])) for k in ("set", "known")]
    )
    size = None if epochs is None else of.multiplier("test loss", width, share, epochs)
    shown = "" if size is None else f"{size.value:.2f}" if size.value is not None else size.reason.rpartition(": ")[2]
    one = some[0]
    return [
        int(of.size(width)),
        round(one["share"], 4),
        round(one["epochs"], 2),
        one["documents"],
        len(some),
        round(loss, 3),
        round(loss - base, 3) if epochs is not None else None,
        *(None if v is None else round(v, 3) for v in (*learnt, *(_mean(some, name) for name in list(METRICS)[1:]))),
        shown,
    ]


def _regions(of: Family) -> Table:
    """Where the damage is at least half of the most, and the lines through the boundaries."""
    rows: list[list[Any]] = []
    for share in of.shares:
        found = {w: _region(of, w, share) for w in of.widths}
        for width, region in found.items():
            told = [None] * 4 if region is None else [region.worst, region.damage, region.left, region.right]
            rows.append([f"{share:.0%}", spoken(of.size(width)), *told, ""])
        for side in ("left", "right"):
            rows += _law(of, share, side, found)
    columns = ("share", "parameters", "worst epochs", "most added, nats", "from epochs", "to epochs", "boundary")
    caption = (
        "Where at least half of the most is added; empty where that is so at the end of the grid. Boundaries are lines "
        "k N^alpha through two sizes or more; with few sizes they say where they went, and nothing beyond."
    )
    return Table(
        title="Region of poor performance", columns=columns, rows=rows, caption=caption, section=SECTION["damage"]
    )


def _region(of: Family, width: int, share: float) -> Region | None:
    return poor_region(of.epochs(width, share), of.damage(width, share).mean(axis=0))


def _law(of: Family, share: float, side: str, found: dict[int, Region | None]) -> list[list[Any]]:
    ends = {of.size(w): getattr(region, side) for w, region in found.items() if region is not None}
    known = {size: end for size, end in ends.items() if end is not None}
    try:
        law = boundary(list(known), list(known.values()))
    except DataError:
        return []
    text = f"{side}: {law.k:.3g} N^{in_words(law.alpha, 2)}, {len(known)} sizes, off by {law.spread:.0%}"
    return [[f"{share:.0%}", "all", None, None, None, None, text]]


def _peaks(of: Family) -> Table:
    """Verdicts on double descent, over epochs and within every training."""
    rows: list[list[Any]] = []
    for width in of.widths:
        for share in of.shares:
            over, epochs = peaks(of, width, share), of.epochs(width, share)
            first = [spoken(of.size(width)), f"{share:.0%}"]
            rows.append([*first, "over epochs", f"{epochs[over.place]:g} epochs", over.above, over.error, over.verdict])
            for e in epochs:
                found = within(of, width, share, e)
                tokens = _tokens_at(of.cell(width, share, e)[0], found.place + 1)
                line = [f"within {e:g} epochs", f"{tokens:,.0f} tokens", found.above, found.error, found.verdict]
                rows.append([*first, *line])
    rows = [[cell if not isinstance(cell, float) else round(cell, 3) for cell in row] for row in rows]
    columns = ("parameters", "share", "curve", "highest at", "above both sides, nats", "standard error", "verdict")
    caption = "A peak stands out from lower places before and after it by more than three standard errors over seeds."
    return Table(title="Double descent", columns=columns, rows=rows, caption=caption, section=SECTION["within"])


def _tokens_at(of: Measured, place: int) -> float:
    return float(of["curve"]["steps"][place] * of["tokens a step"])


def _copies(of: Family) -> list[Table]:
    """Losses of paragraphs by copy, of the largest size."""
    width = of.widths[-1]
    places = {"no repeats": of.control(width)}
    for share in of.shares:
        epochs = of.worst(width, share)
        places[f"{share:.0%}, {epochs:g} epochs"] = of.cell(width, share, epochs)
    if not all("copying" in each for some in places.values() for each in some):
        return []
    rows = []
    for name, some in places.items():
        by_copy = np.mean([np.mean(each["copying"], axis=0) for each in some], axis=0)
        rows.append([name, *(round(float(loss), 3) for loss in by_copy)])
    columns = ("repeats", *(f"copy {i + 1}" for i in range(len(rows[0]) - 1)))
    caption = f"Nats a token of held-out paragraphs, {spoken(of.size(width))} parameters, means over seeds."
    return [Table(title="Paragraphs by copy", columns=columns, rows=rows, caption=caption, section=SECTION["copying"])]


def _notes(of: Family) -> list[str]:
    seeds = len(of.control(of.widths[0]))
    told = []
    if seeds == 1:
        told.append("one seed: intervals are over documents alone, and no peak is called one; --seeds 3 gives a spread")
    if len(of.widths) < 4:
        sizes = "one size is" if len(of.widths) == 1 else f"{len(of.widths)} sizes are"
        told.append(f"{sizes} read through points; a power law needs four or more")
    if "copying" not in of.control(of.widths[0])[0]:
        told.append("the context does not hold two copies of five tokens: copying is not read")
    return told


def _went(rows: Sequence[Row]) -> list[str]:
    """How fast trainings were, and which were not done in one go."""
    found = [row.evidence["means"] for row in rows if "means" in row.evidence]
    speeds = [each["tokens a second"] for each in found if "tokens a second" in each]
    if not speeds:
        return []
    resumed = sum(each["resumed at"] > 0 for each in found if "resumed at" in each)
    told = f"trainings went at {min(speeds):,.0f} to {max(speeds):,.0f} tokens a second of processor time"
    return [told + (f"; {resumed} went on where an earlier call had stopped" if resumed else "")]


def _diverged(rows: Sequence[Row]) -> list[str]:
    lost = [f"{row.key} ({row.evidence['diverged']})" for row in rows if "diverged" in row.evidence]
    return [f"{len(lost)} of {len(rows)} trainings diverged and are left out: {'; '.join(lost)}"] if lost else []
