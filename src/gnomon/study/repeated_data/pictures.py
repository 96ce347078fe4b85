"""Figures of a family of trainings on repeated data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gnomon.report.base import Figure
from gnomon.report.figures import Point, curves, heatmap, histogram
from gnomon.report.tokens import Token, TokenText, tokens
from gnomon.stats.repeats import poor_region
from gnomon.study._family import spoken
from gnomon.study._trained import over_seeds
from gnomon.study.repeated_data.family import AGAIN, METRICS, WITHOUT_COPIES, Family, Measured

__all__ = ["SECTION", "figures"]

SECTION = {
    "damage": "Where repeats hurt",
    "within": "Over training",
    "worth": "Effective size",
    "copying": "Copying",
    "other": "The other language",
}
# A set of which a token costs less than this share of what it did at first is known by heart.
_KNOWN = 0.1
_SETS = (
    (
        "set",
        "Loss on the set at the end of training",
        "nats",
        "Near 0 the set is known by heart; the added loss is largest about where that begins.",
    ),
    (
        "known",
        "Documents of the set said by heart",
        "share",
        "The share that is continued exactly from its first half on, over 16 tokens.",
    ),
)


def figures(of: Family) -> list[Figure]:
    """Every picture that the family's measurements allow."""
    drawn = [_map(of, share) for share in of.shares] + [_over_epochs(of, share) for share in of.shares]
    drawn += [*_boundaries(of), *(_sets(of, *which) for which in _SETS)]
    drawn += [_over_training(of, share) for share in of.shares]
    drawn += [_twins(of, share) for share in of.shares]
    drawn += [*_worths(of), *_copying(of), *_matching(of), *_mitigated(of), *_tuned(of)]
    return drawn


def _size(of: Family, width: int) -> str:
    return spoken(of.size(width))


def _map(of: Family, share: float) -> Figure:
    """Added loss by size and epochs; the boundaries of half the most in the caption."""
    epochs = sorted({e for width in of.widths for e in of.epochs(width, share)})
    added = [dict(zip(of.epochs(w, share), of.damage(w, share).mean(axis=0).tolist(), strict=True)) for w in of.widths]
    values: list[list[float | None]] = [[row.get(e) for e in epochs] for row in added]
    told = []
    for width in of.widths:
        region = poor_region(of.epochs(width, share), of.damage(width, share).mean(axis=0))
        if region is not None:
            ends = [f"{end:.0f}" if end is not None else "beyond the grid" for end in (region.left, region.right)]
            told.append(f"{_size(of, width)}: {ends[0]} to {ends[1]}")
    return heatmap(
        [_size(of, w) for w in of.widths],
        [f"{e:g}" for e in epochs],
        values,
        title=f"Test loss added by repeats, {share:.0%} of the data",
        x="epochs over the set",
        y="parameters",
        legend="nats",
        caption=f"At least half of the most is added between these epochs. {'; '.join(told)}.",
        section=SECTION["damage"],
    )


def _over_epochs(of: Family, share: float) -> Figure:
    points = []
    for width in of.widths:
        for place, epochs in enumerate(of.epochs(width, share)):
            found = over_seeds(of.damage(width, share)[:, place].tolist())
            points.append(Point(epochs, found.value or 0.0, found.low, found.high, _size(of, width)))
    title = f"Added test loss against epochs, {share:.0%} repeats"
    caption = "Above 0 is worse than without repeats, on as many tokens. Bands are 95 % intervals over seeds."
    section = SECTION["damage"]
    return curves(
        points,
        x="epochs over the set",
        y="nats",
        title=title,
        caption=caption,
        section=section,
        log_x=True,
        reference=0,
    )


def _boundaries(of: Family) -> list[Figure]:
    """Boundaries of the poor region against size, where two sizes or more have one."""
    points = []
    for share in of.shares:
        for width in of.widths:
            region = poor_region(of.epochs(width, share), of.damage(width, share).mean(axis=0))
            for name, end in (("from", region.left), ("to", region.right)) if region else ():
                if end is not None:
                    points.append(Point(of.size(width), end, None, None, f"{name}, {share:.0%}"))
    if len({p.x for p in points}) < 2:
        return []
    title, caption = "Region of poor performance", "Epochs between which at least half of the most is added."
    section = SECTION["damage"]
    return [
        curves(
            points, x="parameters", y="epochs", title=title, caption=caption, section=section, log_x=True, log_y=True
        )
    ]


def _sets(of: Family, key: str, title: str, y: str, caption: str) -> Figure:
    """What is left of not knowing the set, by epochs, of every size and share."""
    points = [
        Point(epochs, _mean(of.cell(width, share, epochs), lambda m: m[key]), series=f"{_size(of, width)}, {share:.0%}")
        for width in of.widths
        for share in of.shares
        for epochs in of.epochs(width, share)
    ]
    section = SECTION["damage"]
    return curves(points, x="epochs over the set", y=y, title=title, caption=caption, section=section, log_x=True)


def _over_training(of: Family, share: float) -> Figure:
    """The largest size: test loss over tokens for every number of epochs."""
    width = of.widths[-1]
    lines = {"none": of.control(width)}
    lines |= {f"{e:g}": of.cell(width, share, e) for e in of.epochs(width, share)}
    points = [p for name, some in lines.items() for p in _line(some, "held-out", name)]
    title = f"Test loss over training by epochs, {share:.0%} repeats, {_size(of, width)} parameters"
    caption = "A line that rises and falls again is a double descent within training. Bands are over seeds."
    return curves(points, x="tokens", y="nats", title=title, caption=caption, section=SECTION["within"], log_x=True)


def _twins(of: Family, share: float) -> Figure:
    """The largest size at its worst: the losses on the set, on what came once, and on the test set."""
    width = of.widths[-1]
    epochs = of.worst(width, share)
    cell = of.cell(width, share, epochs)
    names = {"held-out": "held out", "set": "the set", "unique": "came once"}
    points = [p for key, name in names.items() for p in _line(cell, key, name)]
    known = next((p for p in _line(cell, "set", "") if p.y < _KNOWN * _line(cell, "set", "")[0].y), None)
    if known is not None:
        points.append(known._replace(low=None, high=None, series="by heart"))
    title = f"The set and what is held out, {share:.0%} repeats, {epochs:g} epochs, {_size(of, width)} parameters"
    caption = "By heart: the set first costs less than a tenth of what it cost at first."
    return curves(points, x="tokens", y="nats", title=title, caption=caption, section=SECTION["within"], log_x=True)


def _line(some: Sequence[Measured], name: str, series: str) -> list[Point]:
    """A curve of one place's trainings, the untrained model left out, with intervals over seeds."""
    points = []
    for place, step in enumerate(some[0]["curve"]["steps"][1:], 1):
        found = over_seeds([float(each["curve"][name][place]) for each in some])
        points.append(Point(step * some[0]["tokens a step"], found.value or 0.0, found.low, found.high, series))
    return points


def _worths(of: Family) -> list[Figure]:
    """Multipliers of the largest size against epochs, by metric; where they are bounds a line ends."""
    drawn, width = [], of.widths[-1]
    for share in of.shares:
        points = [p for name in METRICS for p in _worth_line(of, name, width, share)]
        if len({p.x for p in points}) > 1:
            title = f"Effective size over size, {share:.0%} repeats, {_size(of, width)} parameters"
            caption = (
                "Below 1 the model is worth a smaller one. A line ends where that one would lie beyond the ladder."
            )
            x, section = "epochs over the set", SECTION["worth"]
            drawn.append(
                curves(points, x=x, y="ratio", title=title, caption=caption, section=section, log_x=True, reference=1)
            )
    return drawn


def _worth_line(of: Family, metric: str, width: int, share: float) -> list[Point]:
    """One metric's multipliers, up to the first that is a bound behind a number."""
    points: list[Point] = []
    for epochs in of.epochs(width, share):
        found = of.multiplier(metric, width, share, epochs)
        if found is not None and found.value is not None:
            points.append(Point(epochs, found.value, found.low, found.high, metric))
        elif points:
            break
    return points


def _copying(of: Family) -> list[Figure]:
    width, share = of.widths[-1], of.shares[0]
    epochs = of.worst(width, share)
    cell, control = of.cell(width, share, epochs), of.control(width)
    place = f"{share:.0%} repeats, {epochs:g} epochs, {_size(of, width)} parameters"
    pair, drawn, section = {"no repeats": control, "repeats": cell}, [], SECTION["copying"]
    if "copying" in control[0]:
        points = [
            Point(copy + 1, _mean(some, lambda m, c=copy: [row[c] for row in m["copying"]]), series=name)  # type: ignore[misc]  # the default binds c
            for name, some in pair.items()
            for copy in range(len(control[0]["copying"][0]))
        ]
        title = f"Held-out paragraphs by copy, {place}"
        drawn += [
            curves(points, x="copy", y="nats a token", title=title, section=section),
            _said(control[0], cell[0], place),
        ]
    points = [
        Point(index + 1, _mean(some, lambda m, i=index: [m["by index"][i]]), series=name)  # type: ignore[misc]  # the default binds i
        for name, some in pair.items()
        for index in range(len(control[0]["by index"]))
    ]
    drawn.append(curves(points, x="token", y="nats", title=f"Loss by place in a document, {place}", section=section))
    if "heads" in control[0]:
        heads = {name: [h for m in some for layer in m["heads"] for h in layer] for name, some in pair.items()}
        title = f"Prefix matching of heads, {place}"
        drawn.append(histogram(heads, x="prefix matching", title=title, section=section, domain=(0, 1)))
    return drawn


def _said(control: Measured, cell: Measured, place: str) -> Figure:
    """A held-out paragraph said again: at each word, what repeats add."""
    added = np.subtract(cell["said"]["losses"], control["said"]["losses"])
    # The first loss is that of the first word behind the one that begins the text.
    words = control["said"]["words"][-len(added) :]
    shown = [Token(word, float(nats)) for word, nats in zip(words, added, strict=True)]
    return tokens(
        [TokenText("what repeats add", shown)],
        legend="nats",
        title=f"A held-out paragraph said again, {place}",
        caption="Red costs more after training on repeats, blue less.",
        section=SECTION["copying"],
        differences=True,
    )


def _matching(of: Family) -> list[Figure]:
    """The largest size at the largest share: when a head that matches prefixes forms, by epochs."""
    width, share = of.widths[-1], of.shares[-1]
    if "prefix" not in of.control(width)[0]["curve"]:
        return []
    lines = {"none": of.control(width)} | {f"{e:g}": of.cell(width, share, e) for e in of.epochs(width, share)}
    points = [p for name, some in lines.items() for p in _line(some, "prefix", name)]
    title = f"Most prefix matching of a head over training, {share:.0%} repeats, {_size(of, width)} parameters"
    section = SECTION["copying"]
    return [curves(points, x="tokens", y="prefix matching", title=title, section=section, log_x=True)]


def _mitigated(of: Family) -> list[Figure]:
    """The worst place over training, with something done against learning by heart and without."""
    points: list[Point] = []
    place = ""
    for kind, width, share, epochs in of.places:
        name = kind.removesuffix(AGAIN)
        if kind.endswith(AGAIN) and name != WITHOUT_COPIES:
            place = f"{share:.0%} repeats, {epochs:g} epochs, {_size(of, width)} parameters"
            if not points:
                points += _line(of.control(width), "held-out", "no repeats")
                points += _line(of.cell(width, share, epochs), "held-out", "nothing done")
            points += _line(of.places[kind, width, share, epochs], "held-out", name)
    title = f"Test loss over training with something done against learning by heart, {place}"
    section = SECTION["within"]
    return [curves(points, x="tokens", y="nats", title=title, section=section, log_x=True)] if points else []


def _tuned(of: Family) -> list[Figure]:
    """Further training on the other language, the largest size."""
    width, points = of.widths[-1], []
    for (kind, w, share, epochs), some in of.places.items():
        if w == width and kind in ("scratch", "tuned"):
            name = (
                "from scratch"
                if kind == "scratch"
                else f"after {share:.0%}, {epochs:g} epochs"
                if share
                else "after no repeats"
            )
            points += _line(some, "held-out", name)
    title = f"Training further on the other language, {_size(of, width)} parameters"
    return [curves(points, x="tokens", y="nats", title=title, section=SECTION["other"], log_x=True)] if points else []


def _mean(some: Sequence[Measured], read: Callable[[Measured], Sequence[float]]) -> float:
    return float(np.mean([np.mean(read(each)) for each in some]))
