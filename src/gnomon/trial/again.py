"""The items of a run that is over, drawn again from what it was asked.

A run keeps answers and not questions; the same config and seed give the same items, and their digest proves it.
"""

from __future__ import annotations

from typing import Any

from gnomon.core.config import build
from gnomon.core.errors import DataError
from gnomon.core.record import Item
from gnomon.core.registry import method
from gnomon.core.seeds import Seed
from gnomon.store.manifest import Manifest
from gnomon.trial.runner import checked, items_digest

__all__ = ["items_of"]


def items_of(manifest: Manifest) -> list[Item]:
    """The items that the run of an evaluation asked, in their order.

    Raises:
        DataError: data or code have changed since, so that the items are others.
        GnomonError: the evaluation or its data are not here any more.
    """
    identity = manifest.identity
    config: Any = build(method("assay", manifest.name), identity["config"], manifest.name)
    items = checked(config.items(Seed(identity["seed"]).child("items")), manifest.name)
    if items_digest(items) != identity["items"]:
        raise DataError("the items drawn now are not those that were asked", where=str(manifest.folder))
    return items
