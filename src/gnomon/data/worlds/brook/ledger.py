"""Who said what, where: every statement of and question about every fact of a corpus, with document ids.

It is the ground truth of influence ("which documents support this fact"), of memorisation curves, and of "was it ever
asked".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.kinds import Kind, Mention
from gnomon.data.worlds.brook.mix import KINDS, Corpus
from gnomon.data.worlds.brook.packing import Document
from gnomon.data.worlds.brook.tables import Fact, World
from gnomon.data.worlds.brook.tables.places import towns

__all__ = ["Entry", "Ledger", "check_truths"]


class Entry(NamedTuple):
    """One way in which a fact is mentioned: as in `Mention`, in documents of one kind; `documents` in run order."""

    mention: Mention
    kind: str
    documents: tuple[int, ...]


class Ledger:
    """The mentions of facts in `documents`; reading the whole corpus takes about a second a million tokens."""

    def __init__(self, world: World, documents: Iterable[Document]) -> None:
        self.world = world
        found: dict[tuple[Mention, str], list[int]] = defaultdict(list)
        for document in documents:
            self._read(document, found)
        self._entries = [Entry(mention, kind, tuple(ids)) for (mention, kind), ids in sorted(found.items())]
        self._of: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for entry in self._entries:
            self._of[entry.mention.name, entry.mention.relation].append(entry)

    @classmethod
    def of(cls, corpus: Corpus) -> Ledger:
        """The ledger of a whole corpus."""
        return cls(corpus.world, corpus.documents())

    def entries(self, name: str, relation: str) -> list[Entry]:
        """Every way in which the fact is mentioned; empty when it never is."""
        return list(self._of.get((name, relation), ()))

    def documents(self, fact: Fact, use: str = "statement") -> list[int]:
        """Ids of the documents that mention `fact` in this use, one for each time, ascending."""
        found = self.entries(fact.name, fact.relation)
        return sorted(i for e in found if e.mention.use == use and e.mention.value == fact.value for i in e.documents)

    def check(self) -> None:
        """Holds every exposure fact against its planted count and against being asked about, and every town against
        being said in a direction that is not its own.

        Raises:
            DataError: a count or a direction differs; the message has fact, wanted, got and documents.
        """
        for fact in self.world.exposure_facts:
            wanted = self.world.counts[fact.name, fact.relation]
            entries = self.entries(fact.name, fact.relation)
            stated = self.documents(fact)
            others = [e for e in entries if e.kind != "exposure" or e.mention.value != fact.value]
            if len(stated) != wanted or others:
                ids = ", ".join(map(str, [*stated, *(i for e in others for i in e.documents)][:8]))
                raise DataError(
                    f"wanted {wanted} statements and nothing else, got {len(stated)} and {len(others)} other mentions",
                    where=f"fact {' '.join(fact)}, documents {ids}",
                )
        self._check_towns()

    def save(self, path: Path) -> None:
        """Writes one row an entry: the mention's fields, `kind`, `count` and `documents`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: [getattr(e.mention, name) for e in self._entries] for name in Mention._fields}
        table = pa.table(
            {
                **columns,
                "kind": [e.kind for e in self._entries],
                "count": [len(e.documents) for e in self._entries],
                "documents": pa.array([e.documents for e in self._entries], type=pa.list_(pa.int64())),
            }
        )
        pq.write_table(table, path)

    def _check_towns(self) -> None:
        for town in towns(self.world):
            entries = self.entries(town.name, "chief")
            wrong = [e for e in entries if e.mention.direction not in town.directions or e.mention.value != town.chief]
            if wrong:
                ids = ", ".join(str(i) for e in wrong for i in e.documents[:8])
                raise DataError(
                    f"wanted {' and '.join(town.directions)} statements only, got {len(wrong)} other mentions",
                    where=f"fact {town.name} chief {town.chief}, documents {ids}",
                )

    def _read(self, document: Document, found: dict[tuple[Mention, str], list[int]]) -> None:
        kind = KINDS[document.kind]
        fresh: set[tuple[str, str]] = set()
        for record in document.records:
            mentions = kind.mentions(record)
            for mention in mentions:
                found[mention, kind.name].append(document.id)
            here = {(m.name, m.relation) for m in mentions if m.name in self.world.fresh_names}
            if fresh & here:
                raise DataError(f"a fresh fact of {min(fresh & here)} occurs twice", where=f"document {document.id}")
            fresh |= here


def check_truths(world: World, kinds: Iterable[Kind[Any]], draws: int, seed: Seed) -> None:
    """Holds kinds against each other: the same words before an answer must have the same truth everywhere.

    Args:
        draws: items of each kind.

    Raises:
        DataError: two items ask the same words and answer by different distributions.
    """
    truths: dict[tuple[str, ...], tuple[dict[str, float], str]] = {}
    for kind in kinds:
        rng = seed.child("truths", kind.name).random()
        for _ in range(draws):
            text = kind.render(world, (kind.draw(world, rng),))
            planted = {s.place: dict(zip(s.words, s.p, strict=True)) for s in text.soft}
            for place in text.keys:
                truth = planted.get(place, {text.words[place]: 1.0})
                known, other = truths.setdefault(tuple(text.words[:place]), (truth, kind.name))
                if known != truth:
                    raise DataError(
                        f"kinds {other!r} and {kind.name!r} ask the same words and plant {known} and {truth}",
                        where=" ".join(text.words[:place]),
                        todo="give one of them a mark of its own",
                    )
