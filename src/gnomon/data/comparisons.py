"""Comparisons: two answers to one prompt, one of them chosen. From Brook's raters and readers, or from any file.

    brook, brook:helpful        answers compared by a planted rater: gold, helpful, harmless or flattered
    brook:forum, brook:vandal   cheap ones to pre-train on, apart from brook:far: `worlds.brook.votes`
    brook:samples               text of the world against what the model to be trained says itself
    brook:right, brook:red-team for questions that studies ask: `worlds.brook.judged`
    brook:broken                answers in which words or the point are missing: `worlds.brook.broken`
    FILE                        people's judgements (`feedback`), hh-rlhf, votes, SHP, summaries, any two answers:
                                `layouts` lists them all
    A,B                         a mixture: equal parts of Brook's, all of a file's
    A*0.3,B*0.7                 a mixture with these shares of what is asked for, files too

Layouts are told apart row by row. Whatever the source, `length_baseline` says how far one gets by picking the longer.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from gnomon.core.errors import DataError, UsageError, closest
from gnomon.core.record import text_digest
from gnomon.core.seeds import Seed
from gnomon.data.hub import find_file
from gnomon.data.layouts import Two, Unused, laid_out
from gnomon.data.mixtures import divided_by, shares, sources
from gnomon.data.records import Found, divided, read
from gnomon.models.base import Prompt

if TYPE_CHECKING:
    from gnomon.data.worlds.brook.rated import Rated
    from gnomon.stats.intervals import Interval

__all__ = ["Comparison", "Comparisons", "LengthBaseline", "Split", "length_baseline", "open_comparisons", "sources"]


_SAMPLES, _BROKEN = "samples", "broken"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two answers to one prompt.

    Attributes:
        id: unique within the source.
        prompt: what both answer; a string is continued as it stands.
        chosen, rejected: the answers; each begins with the space that divides it from a prompt in text.
        p: the planted probability that `chosen` is chosen; None where nobody knows it.
        group: what kind of prompt it is; "" where the source does not say.
        topic: what stands for the prompt in `cluster` where every comparison has the same prompt.
        source: which of several sources it is from; "" where there is one.
        conversation: what all turns of one conversation share; "" where the source does not say.
        cluster: comparisons of one conversation, else of one prompt, share it.
    """

    id: str
    prompt: Prompt
    chosen: str
    rejected: str
    p: float | None = None
    group: str = ""
    topic: str = ""
    source: str = ""
    conversation: str = ""
    cluster: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cluster", text_digest(self.conversation or self._asked))

    @property
    def _asked(self) -> str:
        text = self.prompt if isinstance(self.prompt, str) else repr([tuple(m) for m in self.prompt])
        return f"{text}{self.topic}"

    @property
    def pair(self) -> Hashable:
        """What makes two comparisons the same, whichever answer was chosen: the prompt and both answers."""
        return text_digest(self._asked), *sorted((self.chosen, self.rejected))


class Split(NamedTuple):
    """Comparisons to train on, and others to measure on."""

    train: tuple[Comparison, ...]
    held_out: tuple[Comparison, ...]


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Comparisons with where they came from and what had to be left out.

    Attributes:
        name: the source as the user wrote it.
        comparisons: in the source's order; the two answers always differ.
        num_rows: rows read.
        unused: how many were left out, by why: both answers are the same, and of people's judgements the weakest, ties,
            skips and "both bad".
        num_bad, bad: rows that could not be used, and the first five of them.
        sha256: hash of the file; "" for Brook.
        apart: what never stands on both sides of a split: a conversation or prompt, or where a planted rater chose,
            whom one may ask about any prompt and whose prompts in Brook are few, one prompt with the same two answers.
    """

    name: str
    comparisons: tuple[Comparison, ...]
    num_rows: int
    unused: Mapping[str, int] = field(default_factory=dict)
    num_bad: int = 0
    bad: tuple[str, ...] = ()
    sha256: str = ""
    apart: Literal["prompt", "pair"] = "prompt"

    def split(self, held_out: int, seed: Seed, *, train: int = 0, part: tuple[int, int] = (1, 1)) -> Split:
        """At least `held_out` comparisons to measure on, drawn from `seed`, and at most `train` others (0: all).

        `part` is which of how many parts those others come from; see `records.divided`.

        Raises:
            UsageError: a side would be empty.
        """
        units = [each.pair if self.apart == "pair" else each.cluster for each in self.comparisons]
        sides = divided(units, held_out, seed, train=train, part=part, where=self.name)
        return Split(*(tuple(self.comparisons[place] for place in side) for side in sides))


class LengthBaseline(NamedTuple):
    """How well "the longer answer is the better" does, in characters.

    Attributes:
        accuracy: share of comparisons whose chosen answer is the longer; equal lengths count one half.
        auroc: of length as a score for chosen against rejected answers of all prompts.
    """

    accuracy: Interval
    auroc: Interval


def open_comparisons(spec: str, n: int, seed: Seed, *, drop_bad: bool = False, model: str = "") -> Comparisons:
    """The comparisons that `spec` names; see the module docstring.

    Args:
        spec: `brook`, `brook:NAME`, a file (`hub.find_file`), or several of them with commas between, with shares or
            without.
        n: how many to draw of Brook, of all its parts together; files are read whole, but where they have a share.
        seed: of Brook's draws, and of which comparisons of a file are its share.
        drop_bad: whether to go on without bad rows even if they are more than one in a hundred.
        model: the name of the model whose own samples `brook:samples` calls the worse ones.

    Raises:
        DataError: a file cannot be read, has too many bad rows, or fewer comparisons than its share.
        UsageError: Brook has no such rater or source, a source is named twice, or shares do not add up to 1.
    """
    names, wanted = sources(spec), shares(spec)
    brooks = [name for name in names if _is_brook(name)]
    sizes = {name: n // len(brooks) + (place < n % len(brooks)) for place, name in enumerate(brooks)}
    if wanted:
        sizes = dict(zip(names, divided_by(wanted, n), strict=True))
    parts = [_opened(name, sizes.get(name, 0), seed, drop_bad, model) for name in names]
    if wanted:
        parts = [_drawn(part, sizes[name], seed) for name, part in zip(names, parts, strict=True)]
    return parts[0] if len(parts) == 1 else _mixed(spec, parts)


def length_baseline(comparisons: Sequence[Comparison]) -> LengthBaseline:
    """How far the rule "the longer is the better" gets, clustered by prompt."""
    from gnomon.stats.intervals import bounded, clustered_mean
    from gnomon.stats.ranking import auroc

    clusters = [each.cluster for each in comparisons]
    sizes = [(len(each.chosen.strip()), len(each.rejected.strip())) for each in comparisons]
    wins = [0.5 if a == b else float(a > b) for a, b in sizes]
    flat = [size for pair in sizes for size in pair]
    doubled = [cluster for cluster in clusters for _ in range(2)]
    return LengthBaseline(bounded(clustered_mean(wins, clusters)), auroc(flat, [1, 0] * len(sizes), doubled))


def _is_brook(name: str) -> bool:
    return name.partition(":")[0] == "brook"


def _opened(name: str, n: int, seed: Seed, drop_bad: bool, model: str) -> Comparisons:
    if _is_brook(name):
        return _of_brook(name, name.partition(":")[2] or "gold", n, seed, model)
    found: Found[Two | Unused] = read(find_file(name), laid_out, drop_bad=drop_bad)
    good = tuple(Comparison(**two._asdict()) for two in found.things if isinstance(two, Two))
    return Comparisons(
        name=name,
        comparisons=good,
        num_rows=found.num_rows,
        unused=Counter(each.why for each in found.things if isinstance(each, Unused)),
        num_bad=found.num_bad,
        bad=found.bad,
        sha256=found.sha256,
        apart="pair" if all(each.p is not None for each in good) else "prompt",
    )


def _drawn(part: Comparisons, n: int, seed: Seed) -> Comparisons:
    """`n` of its comparisons, in order."""
    if len(part.comparisons) < n:
        raise DataError(f"{len(part.comparisons)} comparisons, and its share is {n}", where=part.name, todo="ask fewer")
    places = sorted(seed.child("share", part.name).random().sample(range(len(part.comparisons)), n))
    return replace(part, comparisons=tuple(part.comparisons[place] for place in places))


def _mixed(spec: str, parts: Sequence[Comparisons]) -> Comparisons:
    """All parts in one; ids tell the part."""
    return Comparisons(
        name=spec,
        comparisons=tuple(
            replace(each, id=f"{place}-{each.id}", source=part.name)
            for place, part in enumerate(parts)
            for each in part.comparisons
        ),
        num_rows=sum(part.num_rows for part in parts),
        unused=sum((Counter(part.unused) for part in parts), Counter()),
        num_bad=sum(part.num_bad for part in parts),
        bad=tuple(line for part in parts for line in part.bad)[:5],
        sha256=hashlib.sha256(" ".join(part.sha256 for part in parts).encode()).hexdigest(),
        apart="pair" if all(part.apart == "pair" for part in parts) else "prompt",
    )


def _samples(spec: str, model: str, n: int, seed: Seed) -> Iterator[Rated]:
    from gnomon.data.worlds.brook.samples import draw_samples
    from gnomon.data.worlds.brook.tables import world

    if not model:
        raise UsageError("whose samples these are is not known", where=spec, todo="train on them, and do not measure")
    return draw_samples(world(), model, n, seed)


def _of_brook(spec: str, name: str, n: int, seed: Seed, model: str) -> Comparisons:
    from gnomon.data.worlds.brook.broken import draw_broken
    from gnomon.data.worlds.brook.judged import JUDGED, draw_judged
    from gnomon.data.worlds.brook.oracle import RATERS
    from gnomon.data.worlds.brook.rated import draw_rated
    from gnomon.data.worlds.brook.tables import world
    from gnomon.data.worlds.brook.votes import SOURCES, draw_votes

    known = [*RATERS, *SOURCES, *JUDGED, _SAMPLES, _BROKEN]
    if name not in known:
        raise UsageError(f"Brook has no rater {name!r}", where=spec, todo=closest(name, known))
    if name == _SAMPLES:
        rated = _samples(spec, model, n, seed)
    elif name == _BROKEN:
        rated = draw_broken(world(), n, seed)
    elif name in RATERS:
        rated = draw_rated(world(), RATERS[name], n, seed)
    else:
        rated = (draw_votes if name in SOURCES else draw_judged)(world(), name, n, seed)
    drawn = tuple(
        Comparison(
            id=f"brook-{place}",
            prompt=r.prompt,
            chosen=f" {r.chosen}",
            rejected=f" {r.rejected}",
            p=r.p,
            group=r.kind,
            # Lists of facts have no question; what is compared tells them apart.
            topic="" if r.prompt.endswith("Assistant:") else min(r.chosen, r.rejected),
        )
        for place, r in enumerate(rated)
    )
    return Comparisons(name=spec, comparisons=drawn, num_rows=n, apart="pair")
