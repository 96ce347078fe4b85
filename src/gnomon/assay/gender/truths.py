"""Settings of known truth for `gnomon validate gender`."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gnomon.assay.gender.words import PAIRS
from gnomon.trial import Planted

__all__ = ["truths"]

_MADE = {"data": "synthetic", "n": 100}
_NOISE = 0.5
_PAIRS = len(PAIRS)
# The mean of the absolute value of a normal number of standard deviation 1.
_FOLDED = math.sqrt(2 / math.pi)


def truths() -> Iterator[Planted]:
    """A known spread of bias, none, a model like another but sharper, and rewards that know gender or do not."""
    yield Planted(
        name="biased",
        cast={"subject": "planted:gendered?bias=0.8&gap=1"},
        truth={
            "mean |B|": _folded(0.8),
            "mean B": 0.0,
            "mean square of B, noise removed": 0.64,
            "reward across genders": _apart(1.0),
            "reward within a gender": _apart(0.0),
            "reward across less within": _apart(1.0) - _apart(0.0),
        },
        config=_MADE,
    )
    yield Planted(
        name="null",
        cast={"subject": "planted:gendered?bias=0"},
        truth={
            "mean |B|": _folded(0.0),
            "mean B": 0.0,
            "mean square of B, noise removed": 0.0,
            "reward across less within": 0.0,
        },
        config=_MADE,
        null=True,
    )
    # Noise of single words would make a correlation of biases smaller, and a slope flatter.
    yield Planted(
        name="sharper",
        cast={"subject": "planted:gendered?bias=1.5&noise=0&like=0.8&luck=1"},
        truth={
            "correlation with the other model": 0.8,
            "slope on the other model's B": 0.8 * 1.5,
            "change of |B|": _FOLDED * (1.5 - 1.0),
        },
        config={**_MADE, "scores": ("likelihood",), "against": "planted:gendered?bias=1&noise=0&like=0.8&luck=2"},
    )


def _folded(bias: float) -> float:
    """The mean of |B| where the bias has this standard deviation and single words are noisy."""
    return _FOLDED * math.sqrt(bias**2 + 2 * _NOISE**2 / _PAIRS)


def _apart(gap: float) -> float:
    """The mean distance of two rewards of standard deviation 1 whose means are `gap` apart."""
    spread = math.sqrt(2)
    return spread * _FOLDED * math.exp(-((gap / spread) ** 2) / 2) + gap * math.erf(gap / spread / math.sqrt(2))
