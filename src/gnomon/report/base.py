"""The two kinds of result, and the report that holds them.

An estimate carries its interval, its n and its clusters, or the reason why it has no interval. A finding carries
its reproduction. Tables, pages and exit codes are built from these and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from gnomon.stats.intervals import Interval

__all__ = ["Drawn", "Estimate", "Figure", "Finding", "Report", "Table", "View"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number read off rows.

    Attributes:
        metric: its name, the same in every table and in `planted()` truths.
        value: None where it is undefined, with `reason` saying why.
        low, high: ends of the 95 % interval; None where no interval is valid, with `reason` or `null` beside it.
        n: items behind it.
        clusters: independent units behind it.
        group: what it is an estimate of, when the metric is split (a part, a task, a model); "" for the whole.
        readout: how probabilities were read (exact, topk, decision, sampled); "" where it does not apply.
        null: mean of the statistic when there is no effect, for statistics whose null is not 0.
        reason: why value or interval is missing.
        headline: shown first, in the terminal and at the top of the page.
        expected: the range a sound value lies in; None where any value is news, not a fault.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    clusters: int = 0
    group: str = ""
    readout: str = ""
    null: float | None = None
    reason: str = ""
    headline: bool = False
    expected: tuple[float, float] | None = None

    @classmethod
    def of(cls, metric: str, interval: Interval, **more: Any) -> Estimate:
        """The estimate that a statistic's `Interval` is; `more` are further attributes."""
        more.setdefault("reason", interval.reason)
        return cls(
            metric=metric,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            n=interval.n,
            clusters=interval.clusters,
            **more,
        )

    @property
    def outside(self) -> bool:
        """Whether a value is known and lies outside `expected`."""
        if self.value is None or self.expected is None:
            return False
        return not self.expected[0] <= self.value <= self.expected[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A defect, with what reproduces it.

    Attributes:
        severity: low, medium, high or critical.
        same_as: key of the finding before it that likely has the same cause; a terminal shows the title alone then.
    """

    key: str
    title: str
    severity: str
    reproduce: str
    detail: str = ""
    same_as: str = ""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture: a Vega-Lite specification with its data inline.

    Attributes:
        title: one line.
        spec: a Vega-Lite v5 or later object without size; the page sets width.
        caption: what to see in it and what it cannot say.
        section: heading it stands under.
    """

    title: str
    spec: Mapping[str, Any]
    caption: str = ""
    section: str = ""


@dataclass(frozen=True, kw_only=True)
class View:
    """Something to look into by hand, for what Vega-Lite cannot draw: a script of this package and what it shows.

    Attributes:
        title: one line.
        script: the script's file in this folder, without ".js".
        data: plain data, given to the script.
        pictures: PNG files in base64; a page whose scripts do not run shows them as they are.
        caption: what to see in it and what it cannot say.
        section: heading it stands under.
    """

    title: str
    script: str
    data: Mapping[str, Any]
    pictures: Sequence[str] = ()
    caption: str = ""
    section: str = ""


class Drawn(Sequence[Figure]):
    """Figures that are drawn when first looked at, so that reading estimates alone, as validation does, costs no
    drawing.

    Args:
        draw: returns the figures; called once.
    """

    def __init__(self, draw: Callable[[], Sequence[Figure]]) -> None:
        self._draw = draw

    @cached_property
    def _figures(self) -> Sequence[Figure]:
        return self._draw()

    @overload
    def __getitem__(self, index: int) -> Figure: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Figure]: ...
    def __getitem__(self, index: int | slice) -> Figure | Sequence[Figure]:
        return self._figures[index]

    def __len__(self) -> int:
        return len(self._figures)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list: equal by what it holds


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of texts and numbers; cells are str, int, float or None."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    section: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything one run says.

    Attributes:
        title: what was asked, one line.
        figures: a sequence, or `Drawn` where drawing is to wait until a page is made.
        views: shown on the page alone, before the figures.
        summary: a few sentences in plain words, with the main numbers in them.
        notes: warnings a reader must see (letter mass low, too few items, rows in error).
        in_terminal: what a terminal shows in place of estimates and tables where these are too many to read there;
            pages and JSON have them all.
    """

    title: str
    estimates: Sequence[Estimate] = ()
    findings: Sequence[Finding] = ()
    figures: Sequence[Figure] = ()
    views: Sequence[View] = ()
    tables: Sequence[Table] = ()
    in_terminal: Sequence[Table] = ()
    summary: str = ""
    notes: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def estimate(self, metric: str, group: str = "") -> Estimate:
        """The estimate of `metric` in `group`; KeyError when there is none."""
        for e in self.estimates:
            if (e.metric, e.group) == (metric, group):
                return e
        raise KeyError(f"{metric} [{group}]")

    @property
    def exit_code(self) -> int:
        """1 where there is a finding or a value outside its expected range, else 0."""
        return int(bool(self.findings) or any(e.outside for e in self.estimates))

    def _repr_html_(self) -> str:
        """What a notebook shows: the summary, the estimates and the figures, in a frame of their own."""
        from gnomon.report.page import frame

        return frame(self)
