"""What is true in Brook, drawn from one seed: names and facts here, and a module for each further family of truths."""

from gnomon.data.worlds.brook.tables.facts import COUNTS, PRESETS, RELATIONS, Fact, Preset, Relation, Statement
from gnomon.data.worlds.brook.tables.world import World, world

__all__ = ["COUNTS", "PRESETS", "RELATIONS", "Fact", "Preset", "Relation", "Statement", "World", "world"]
