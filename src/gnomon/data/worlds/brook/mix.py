"""How a corpus is put together: which kinds exist, in which phases, and the batch of every step.

The batch of a step is a function of the corpus' settings and the step alone, so a run killed anywhere goes on bit
for bit, and any number of workers can generate side by side.

    corpus = Corpus.of(world("S", 0), tokens=12_000_000)
    batch = corpus.batch(0)
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

from gnomon.core.errors import DataError, UsageError, closest
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import dialogue, facts, harm, opinions, people, programs, reasoning, scaffold
from gnomon.data.worlds.brook.kinds import Kind
from gnomon.data.worlds.brook.packing import Batch, Document, pack, to_batch
from gnomon.data.worlds.brook.tables import World

__all__ = ["FAMILIES", "KINDS", "Corpus", "Phase", "schedule"]

_FAMILIES = (facts, scaffold, reasoning, people, opinions, harm, dialogue, programs)
KINDS: Mapping[str, Kind[Any]] = {kind.name: kind for family in _FAMILIES for kind in family.KINDS}
# Names of kinds by the family they are written in.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    family.__name__.rpartition(".")[2]: tuple(kind.name for kind in family.KINDS) for family in _FAMILIES
}
_STEPS_A_SEGMENT = 32
# What packing fills on average; drawing more would only drop documents.
_FILL = 0.985


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of the run.

    Attributes:
        name: one word.
        part: its part of the run's steps, in (0, 1]; the parts of a schedule sum to 1.
        shares: relative shares of tokens by kind; kinds not named do not occur.
    """

    name: str
    part: float
    shares: Mapping[str, float]


# What the phase "first" has more of than its share, for skills that others stand on.
_MORE = {"match-drill": 3.0, "copy-back": 4.0, "source": 4.0}
# Skills that need several attention steps in a row, and their part of the phase "hard".
_HARD = {
    "choice": 20.0,
    "verdict": 14.0,
    "scene": 10.0,
    "survey": 8.0,
    "user-doubt": 5.0,
    "decision": 5.0,
    "match": 4.0,
    "source": 4.0,
    "copy-back": 2.0,
    "filler": 2.0,
}


def schedule(preset: str) -> tuple[Phase, ...]:
    """The curriculum of `preset`.

    Letters alone first, since most kinds stand on them; then all kinds; then seven parts in ten for the hard ones, the
    rest rehearsing everything; then all kinds by their shares, while the rate falls to its end.
    """
    if preset == "knowledge":
        return (Phase(name="all", part=1.0, shares={"prose": 20, "open": 30, "source": 25, "steps": 25}),)
    shares = {kind.name: kind.share for kind in KINDS.values() if kind.share}
    first = {name: shares.get(name, 0.0) + _MORE.get(name, 0.0) for name in (*shares, *_MORE)}
    letters = {"match": 30.0, "match-drill": 40.0, "copy-back": 15.0, "source": 15.0}
    return (
        Phase(name="letters", part=0.04, shares=letters),
        Phase(name="first", part=0.36, shares=first),
        Phase(name="hard", part=0.4, shares=_mixed((0.7, _HARD), (0.3, shares))),
        Phase(name="rest", part=0.2, shares=shares),
    )


def _mixed(*parts: tuple[float, Mapping[str, float]]) -> dict[str, float]:
    """Shares of which each part, by its weight, is divided as its own mapping says."""
    mixed: Counter[str] = Counter()
    for weight, shares in parts:
        total = sum(shares.values())
        mixed.update({name: weight * share / total for name, share in shares.items()})
    return dict(mixed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """A corpus of a world.

    Attributes:
        world: what is true.
        tokens: row positions in the whole run; steps are whole, so the last few may be left out.
        seed: of the draws; the world has its own.
        phases: the curriculum.
        rows_per_step, row_tokens: shape of a batch.
    """

    world: World
    tokens: int
    seed: int
    phases: tuple[Phase, ...]
    rows_per_step: int = 2
    row_tokens: int = 256

    @classmethod
    def of(cls, world: World, tokens: int, seed: int = 0) -> Corpus:
        """The corpus of `world` in the curriculum of its preset."""
        return cls(world=world, tokens=tokens, seed=seed, phases=schedule(world.preset))

    def __post_init__(self) -> None:
        for phase in self.phases:
            for name, share in phase.shares.items():
                if name not in KINDS:
                    raise UsageError(
                        f"no kind is called {name!r}", where=f"phase {phase.name}", todo=closest(name, KINDS)
                    )
                if not share >= 0:
                    raise UsageError(
                        f"the share of {name} is {share}", where=f"phase {phase.name}", todo="use 0 or more"
                    )
        if abs(sum(phase.part for phase in self.phases) - 1) > 1e-9:
            raise UsageError("the parts of the phases do not sum to 1", todo="give each phase its part of the run")
        if self.num_steps < 1:
            raise UsageError(f"{self.tokens} tokens make no step of {self.tokens_per_step}", todo="ask for more tokens")
        exact = sum(self._planned_tokens.values())
        if exact > 0.9 * self.num_steps * self.tokens_per_step:
            raise DataError(
                f"{exact} tokens of exact documents do not fit a corpus of {self.tokens}",
                todo="ask for more tokens or a smaller preset",
            )

    @property
    def tokens_per_step(self) -> int:
        """Row positions in a batch."""
        return self.rows_per_step * self.row_tokens

    @property
    def num_steps(self) -> int:
        """Batches in the run."""
        return self.tokens // self.tokens_per_step

    @property
    def num_segments(self) -> int:
        """Stretches of steps whose documents are drawn and packed together."""
        return -(-self.num_steps // _STEPS_A_SEGMENT)

    def batch(self, step: int) -> Batch:
        """The arrays of `step`, 0 to `num_steps - 1`; the same whatever was asked before."""
        if not 0 <= step < self.num_steps:
            raise UsageError(f"step {step} is not one of {self.num_steps}", todo="use a corpus of more tokens")
        segment, inside = divmod(step, _STEPS_A_SEGMENT)
        if self._kept.get("segment") != segment:
            self._kept.update(
                segment=segment, batch=to_batch(self.rows(segment), self.row_tokens, self.world.vocabulary)
            )
        whole: Batch = self._kept["batch"]
        return whole.rows(inside * self.rows_per_step, (inside + 1) * self.rows_per_step)

    def rows(self, segment: int) -> list[list[Document]]:
        """The documents of a segment's rows, in row order; step `s` takes `rows_per_step` of them."""
        steps = min(_STEPS_A_SEGMENT, self.num_steps - segment * _STEPS_A_SEGMENT)
        num_rows = steps * self.rows_per_step
        rng = Seed(self.seed).child("corpus", self.world.seed, segment).random()
        exact = self._exact(segment)
        room = int(num_rows * self.row_tokens * _FILL) - sum(d.num_tokens for d in exact)
        rows, _ = pack(exact, self._drawn(segment, room, len(exact), rng), num_rows, self.row_tokens, rng)
        return rows

    def documents(self) -> Iterator[Document]:
        """Every document of the corpus in the order of the run."""
        for segment in range(self.num_segments):
            for row in self.rows(segment):
                yield from row

    def phase(self, segment: int) -> Phase:
        """The phase that holds the middle of `segment`."""
        ends = list(accumulate(phase.part for phase in self.phases))
        return self.phases[min(bisect_left(ends, (segment + 0.5) / self.num_segments), len(ends) - 1)]

    def planned_shares(self) -> dict[str, float]:
        """Percent of the run's tokens by kind, as the phases and the exact documents say."""
        room = _FILL * self.num_steps * self.tokens_per_step
        exact = {name: tokens / room for name, tokens in self._planned_tokens.items()}
        left = 1 - sum(exact.values())
        drawn = _mixed(*((phase.part, phase.shares) for phase in self.phases))
        return {name: 100 * share for name, share in {**exact, **{k: left * s for k, s in drawn.items()}}.items()}

    def digest(self, steps: int) -> str:
        """A hash of the first `steps` batches' tokens and weights: 16 hex digits that name the corpus."""
        found = hashlib.blake2b(digest_size=8)
        for step in range(steps):
            batch = self.batch(step)
            for array in (batch.tokens, batch.weights, batch.soft_at, batch.soft_tokens, batch.soft_p):
                found.update(array.tobytes())
        return found.hexdigest()

    def _drawn(self, segment: int, room: int, taken: int, rng: random.Random) -> list[Document]:
        """Random documents of the segment's phase, `room` tokens of them."""
        shares = self.phase(segment).shares
        kinds = [KINDS[name] for name in shares if shares[name] > 0]
        # A share is of tokens, a draw is of documents: long kinds are drawn less often.
        ends = list(accumulate(shares[kind.name] / self._lengths[kind.name] for kind in kinds))
        documents: list[Document] = []
        while True:
            kind = kinds[min(bisect_left(ends, rng.random() * ends[-1]), len(kinds) - 1)]
            document = self._write(kind, kind.document(self.world, rng), segment, taken + len(documents))
            room -= document.num_tokens
            if room < 0:
                return documents
            documents.append(document)

    def _exact(self, segment: int) -> list[Document]:
        ends = (min(s * _STEPS_A_SEGMENT, self.num_steps) for s in (segment, segment + 1))
        first, last = (len(self._plan) * end // self.num_steps for end in ends)
        return [self._write(kind, records, segment, i) for i, (kind, records) in enumerate(self._plan[first:last])]

    def _write(self, kind: Kind[Any], records: tuple[Any, ...], segment: int, number: int) -> Document:
        return Document((segment << 16) + number, kind.name, records, kind.render(self.world, records), kind.running)

    @cached_property
    def _plan(self) -> list[tuple[Kind[Any], tuple[Any, ...]]]:
        """Documents whose number is exact, in the order of the run."""
        plan: list[tuple[Kind[Any], tuple[Any, ...]]] = []
        for kind in KINDS.values():
            if kind.plan:
                rng = Seed(self.seed).child("plan", self.world.seed, kind.name).random()
                plan += [(kind, records) for records in kind.plan(self.world, rng)]
        return plan

    @cached_property
    def _planned_tokens(self) -> Mapping[str, int]:
        """Tokens by kind of the documents whose number is exact."""
        tokens: Counter[str] = Counter()
        for kind, records in self._plan:
            tokens[kind.name] += len(kind.render(self.world, records).words) + 2
        return tokens

    @cached_property
    def _lengths(self) -> dict[str, float]:
        """Mean tokens of a document by kind, from a fixed draw of 400."""
        means = {}
        for phase in self.phases:
            for name in phase.shares:
                if name not in means:
                    rng = Seed(self.seed).child("lengths", name).random()
                    kind = KINDS[name]
                    texts = (kind.render(self.world, kind.document(self.world, rng)) for _ in range(400))
                    means[name] = sum(len(text.words) + 2 for text in texts) / 400
        return means

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """The last segment's arrays."""
        return {}
