"""The shop as an application to be named on a command line.

gnomon fuzz gnomon.data.worlds.shop.served:app --max-time 3
"""

from __future__ import annotations

from gnomon.data.worlds.shop.app import make_app

__all__ = ["app"]

app = make_app()
"One shop for the whole process."
