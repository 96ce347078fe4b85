"""What is planted about activations, and what detectors must then find.

A vector of `planted:shifted` lies at a squared Mahalanobis distance that is chi-square with 4 degrees of freedom,
noncentral by the squared shift for harmful prompts. The AUROC is then a noncentral F distribution's chance to exceed 1.
The relative distance is a multiple of the difference of two chi-squares of 2 degrees, of narrow and of wide directions:
whichever the shift lies in, two sums of 4 degrees are compared again, and the AUROC is the same or its complement. A
classifier that is shown many outliers projects on the shift: two normals, as many deviations apart.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from scipy.special import chdtrc, chndtrix, ncfdtr, ndtr

from gnomon.assay.ood.detectors import UNSUPERVISED, few_shot
from gnomon.models.planted.shifted import PLACES, WIDTH
from gnomon.trial import Planted

__all__ = ["separation", "settings"]

_DISTANCE, _SHOWN = 2.0, 40
_CONFIG = {"data": ("synthetic",), "n": 150, "fit": 1000, "k": (_SHOWN,), "draws": 2, "resamples": 300}


def separation(shift: float) -> float:
    """The AUROC of squared distances of a Gaussian in `WIDTH` dimensions and of one shifted by `shift` deviations.

    >>> separation(0.0)
    0.5
    """
    return 1 - float(ncfdtr(WIDTH, WIDTH, shift**2, 1.0)) if shift else 0.5


def settings() -> Iterator[Planted]:
    """A shift along narrow directions at every layer, one along wide directions, and none."""
    plain, relative = UNSUPERVISED
    found = separation(_DISTANCE)
    by_layer = {f"AUROC, layer {layer} [{plain}]": separation(_DISTANCE * share) for layer, share in enumerate(PLACES)}
    alarms = float(chdtrc(WIDTH, chndtrix(0.05, WIDTH, _DISTANCE**2)))
    shown = {f"AUROC [{few_shot(_SHOWN)}]": float(ndtr(_DISTANCE / math.sqrt(2)))}
    yield Planted(
        name="narrow",
        cast={"subject": f"planted:shifted?distance={_DISTANCE:g}"},
        truth={f"AUROC [{plain}]": found, f"AUROC [{relative}]": found, **shown, **by_layer,
               f"false alarms at 95 % recall [{plain}]": alarms},
        config=_CONFIG,
    )  # fmt: skip
    yield Planted(
        name="wide",
        cast={"subject": f"planted:shifted?distance={_DISTANCE:g}&wide=1"},
        truth={f"AUROC [{plain}]": found, f"AUROC [{relative}]": 1 - found},
        config={**_CONFIG, "layers": (1,)},
    )
    yield Planted(
        name="null",
        cast={"subject": "planted:shifted?distance=0"},
        truth={f"AUROC [{method}]": 0.5 for method in (*UNSUPERVISED, few_shot(_SHOWN))},
        config={**_CONFIG, "layers": (1,)},
        null=True,
    )
