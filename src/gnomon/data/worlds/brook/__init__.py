"""Brook: a small language whose truths are planted, so that every instrument can be seen to work."""

from gnomon.data.worlds.brook.mix import KINDS, Corpus, Phase, schedule
from gnomon.data.worlds.brook.packing import Batch
from gnomon.data.worlds.brook.tables import COUNTS, PRESETS, RELATIONS, World, world
from gnomon.data.worlds.brook.words import Vocabulary

__all__ = [
    "COUNTS",
    "KINDS",
    "PRESETS",
    "RELATIONS",
    "Batch",
    "Corpus",
    "Phase",
    "Vocabulary",
    "World",
    "schedule",
    "world",
]
