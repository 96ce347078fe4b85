"""Models whose property is known by construction: `planted:<name>?param=value`.

A planted model sees the item table, but answers the prompt that was really sent: it parses the prompt and looks the
item up, so a wrong prompt, a shifted letter map or a lost option is caught end to end. A prompt that it cannot parse
is an error.
"""

from __future__ import annotations

from gnomon.models.planted.base import PlantedModel, make, planted
from gnomon.models.planted.reading import Asked, read

__all__ = ["Asked", "PlantedModel", "make", "planted", "read"]
