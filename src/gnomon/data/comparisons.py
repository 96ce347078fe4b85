"""Comparisons: two answers to one prompt, one of them chosen. From raters of Brook, hh-rlhf, votes, or any file.

    brook, brook:helpful        answers compared by a planted rater: gold, helpful, harmless or flattered
    FILE with chosen, rejected  whole transcripts, as Anthropic's hh-rlhf keeps them
    FILE with prompt too        prompt and two answers, as text or as messages
    FILE with question, answers a forum's answers with votes, as StackExchange dumps keep them

Layouts are told apart row by row. Whatever the source, `length_baseline` says how far one gets by picking the longer.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gnomon.core.errors import UsageError, closest
from gnomon.core.seeds import Seed
from gnomon.data.hub import find_file
from gnomon.data.records import BadRow, Found, Record, divided, joined, read, text_of, turns
from gnomon.models.base import Message, Prompt

if TYPE_CHECKING:
    from gnomon.stats.intervals import Interval

__all__ = [
    "Comparison",
    "Comparisons",
    "LengthBaseline",
    "Split",
    "length_baseline",
    "open_comparisons",
    "vote_score",
]

_LAST_TURN = "\n\nAssistant:"
_TURN = re.compile(r"\n\n(?:Human|Assistant):")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two answers to one prompt.

    Attributes:
        id: unique within the source.
        prompt: what both answer; a string is continued as it stands.
        chosen, rejected: the answers; each begins with the space that divides it from a prompt in text.
        p: the planted probability that `chosen` is chosen; None where nobody knows it.
        group: what kind of prompt it is; "" where the source does not say.
    """

    id: str
    prompt: Prompt
    chosen: str
    rejected: str
    p: float | None = None
    group: str = ""
    cluster: str = field(init=False)

    def __post_init__(self) -> None:
        text = self.prompt if isinstance(self.prompt, str) else repr([tuple(m) for m in self.prompt])
        object.__setattr__(self, "cluster", hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest())


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
        num_same: comparisons left out because both answers are the same.
        num_bad, bad: rows that could not be used, and the first five of them.
        sha256: hash of the file; "" for Brook.
        apart: what never stands on both sides of a split: a prompt, or in Brook, where prompts are few and the rater
            is asked about all of them, one prompt with the same two answers.
    """

    name: str
    comparisons: tuple[Comparison, ...]
    num_rows: int
    num_same: int = 0
    num_bad: int = 0
    bad: tuple[str, ...] = ()
    sha256: str = ""
    apart: Literal["prompt", "pair"] = "prompt"

    def split(self, held_out: int, seed: Seed, *, train: int = 0) -> Split:
        """At least `held_out` comparisons to measure on, drawn from `seed`, and at most `train` others (0: all).

        Raises:
            UsageError: a side would be empty.
        """
        units = [
            (each.cluster, *sorted((each.chosen, each.rejected))) if self.apart == "pair" else each.cluster
            for each in self.comparisons
        ]
        sides = divided(units, held_out, seed, train=train, where=self.name)
        return Split(*(tuple(self.comparisons[place] for place in side) for side in sides))


class LengthBaseline(NamedTuple):
    """How well "the longer answer is the better" does, in characters.

    Attributes:
        accuracy: share of comparisons whose chosen answer is the longer; equal lengths count one half.
        auroc: of length as a score for chosen against rejected answers of all prompts.
    """

    accuracy: Interval
    auroc: Interval


def open_comparisons(spec: str, n: int, seed: Seed, *, drop_bad: bool = False) -> Comparisons:
    """The comparisons that `spec` names; see the module docstring.

    Args:
        spec: `brook`, `brook:RATER`, or a file (`hub.find_file`).
        n: how many to draw of Brook; files are read whole.
        seed: of Brook's draws.
        drop_bad: whether to go on without bad rows even if they are more than one in a hundred.

    Raises:
        DataError: the file cannot be read, or has too many bad rows.
        UsageError: no such rater.
    """
    world, _, rater = spec.partition(":")
    if world == "brook":
        return _of_brook(spec, rater or "gold", n, seed)
    found: Found[Comparison | None] = read(find_file(spec), _made, drop_bad=drop_bad)
    good = tuple(each for each in found.things if each is not None)
    return Comparisons(
        name=spec,
        comparisons=good,
        num_rows=found.num_rows,
        num_same=len(found.things) - len(good),
        num_bad=found.num_bad,
        bad=found.bad,
        sha256=found.sha256,
    )


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


def vote_score(votes: int, selected: bool) -> int:
    """A forum's answer on the scale of Askell et al. 2021 (arXiv 2112.00861): log2(1 + votes) rounded, 1 more if
    accepted; -1 where votes are negative.

    >>> [vote_score(v, s) for v, s in ((0, False), (7, False), (7, True), (-3, True))]
    [0, 3, 4, -1]
    """
    return -1 if votes < 0 else round(math.log2(1 + votes)) + selected


def _of_brook(spec: str, rater: str, n: int, seed: Seed) -> Comparisons:
    from gnomon.data.worlds.brook.oracle import RATERS
    from gnomon.data.worlds.brook.rated import draw_rated
    from gnomon.data.worlds.brook.tables import world

    if rater not in RATERS:
        raise UsageError(f"Brook has no rater {rater!r}", where=spec, todo=closest(rater, RATERS))
    drawn = tuple(
        Comparison(
            id=f"brook-{place}", prompt=r.prompt, chosen=f" {r.chosen}", rejected=f" {r.rejected}", p=r.p, group=r.kind
        )
        for place, r in enumerate(draw_rated(world(), RATERS[rater], n, seed))
    )
    return Comparisons(name=spec, comparisons=drawn, num_rows=n, apart="pair")


def _made(record: Record, name: str) -> Iterator[Comparison | None]:
    """The comparisons of one row; None for one whose answers are the same."""
    for needed, maker in _LAYOUTS:
        if all(each in record for each in needed):
            yield from maker(record, name)
            return
    raise BadRow(f"it has {', '.join(map(str, record)) or 'no fields'}, and no layout has these")


def _prompted(record: Record, name: str) -> Iterator[Comparison | None]:
    if isinstance(record["chosen"], str):
        prompt: Prompt = record["prompt"] if isinstance(record["prompt"], str) else turns(record["prompt"], "prompt")
        yield _pair(name, prompt, text_of(record, "chosen"), text_of(record, "rejected"))
        return
    # Whole conversations on both sides: what stands before the last message is the prompt, whatever `prompt` says.
    chosen, rejected = (turns(record[side], side) for side in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1] or not chosen[:-1]:
        raise BadRow("the two conversations differ before their last message")
    yield _pair(name, chosen[:-1], chosen[-1].content, rejected[-1].content)


def _transcripts(record: Record, name: str) -> Iterator[Comparison | None]:
    (prompt, chosen), (other, rejected) = (_last_turn(record, side) for side in ("chosen", "rejected"))
    if prompt != other:
        raise BadRow("the two transcripts differ before their last answer")
    yield _pair(name, prompt, chosen, rejected)


def _last_turn(record: Record, side: str) -> tuple[str, str]:
    """A transcript up to its last answer, and that answer."""
    before, mark, answer = text_of(record, side).rpartition(_LAST_TURN)
    if not mark:
        raise BadRow(f"{side!r} has no turn that begins with 'Assistant:'")
    if not answer.strip():
        raise BadRow(f"{side!r} ends with an empty answer")
    if _TURN.search(answer):
        raise BadRow(f"{side!r} does not end with an answer")
    return before + mark, answer


def _voted(record: Record, name: str) -> Iterator[Comparison | None]:
    prompt = [Message("user", text_of(record, "question"))]
    answers = record["answers"]
    if not isinstance(answers, Sequence) or isinstance(answers, str):
        raise BadRow("'answers' is no list")
    scored = [(text_of(each, "text"), _score(each)) for each in _objects(answers)]
    for (i, (first, high)), (j, (second, low)) in combinations(enumerate(scored), 2):
        if high != low:
            better, worse = (first, second) if high > low else (second, first)
            yield _pair(f"{name}-{i}-{j}", prompt, better, worse)


def _objects(answers: Sequence[Any]) -> Iterable[Record]:
    for each in answers:
        if not hasattr(each, "keys"):
            raise BadRow("an answer is no object")
        yield each


def _score(answer: Record) -> int:
    given, votes = answer.get("pm_score"), answer.get("votes")
    if isinstance(given, int):
        return given
    if not isinstance(votes, int):
        raise BadRow("an answer has neither 'pm_score' nor 'votes'")
    return vote_score(votes, bool(answer.get("selected")))


def _pair(name: str, prompt: Prompt, chosen: str, rejected: str) -> Comparison | None:
    if chosen.strip() == rejected.strip():
        return None
    return Comparison(id=name, prompt=prompt, chosen=joined(prompt, chosen), rejected=joined(prompt, rejected))


_LAYOUTS = (
    (("prompt", "chosen", "rejected"), _prompted),
    (("chosen", "rejected"), _transcripts),
    (("question", "answers"), _voted),
)
