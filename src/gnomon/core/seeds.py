"""The seed tree: every random draw is named by a path from the run's seed.

A draw depends on its path alone, never on what was drawn before it, so any number of workers in any
order, before or after a kill, draws the same.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Seed"]


@dataclass(frozen=True)
class Seed:
    """A node of the seed tree.

    >>> Seed(0).child("item", 3) == Seed(0).child("item").child(3)
    True
    """

    root: int
    path: tuple[str | int, ...] = ()

    def child(self, *names: str | int) -> Seed:
        """The node reached from this one by `names`."""
        return Seed(self.root, self.path + names)

    @property
    def value(self) -> int:
        """This node's seed, an integer in [0, 2**63)."""
        # A name's own slashes are escaped, or ("a", "b") and ("a/sb",) would draw the same.
        names = (str(p).replace("~", "~0").replace("/", "~1") for p in self.path)
        text = "/".join([str(self.root), *(type(p).__name__[0] + n for p, n in zip(self.path, names, strict=True))])
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1

    def random(self) -> random.Random:
        """A standard-library generator seeded by this node."""
        return random.Random(self.value)

    def numpy(self) -> np.random.Generator:
        """A NumPy generator seeded by this node."""
        import numpy as np

        return np.random.default_rng(self.value)
