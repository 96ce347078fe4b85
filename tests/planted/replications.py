"""Rows of a planted setting, for checks that a report does not show."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.trial.base import Planted
from gnomon.trial.cast import close_cast, open_cast
from gnomon.trial.job import ask, prepared
from gnomon.trial.runner import checked

__all__ = ["rows_of"]


def rows_of(planted: Planted, seed: Seed) -> list[Row]:
    """The rows of one replication, none of them in error."""
    config = replace(SelfKnowledge(), **planted.config)
    return asyncio.run(_rows(config, planted, seed))


async def _rows(config: SelfKnowledge, planted: Planted, seed: Seed) -> list[Row]:
    items = checked(config.items(seed.child("items")), planted.name)
    cast = await open_cast(config, planted.cast, items)
    try:
        cast = await prepared(config, cast, None, seed)
        rows = [await ask(config, item, cast, seed.child("trial")) for item in items]
    finally:
        await close_cast(cast)
    assert [row.error for row in rows if row.error] == []
    return rows
