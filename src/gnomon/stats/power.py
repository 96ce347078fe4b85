"""How many questions does a comparison need?

Miller 2024 (arXiv 2411.00640), sec. 5: the sample size at which a paired comparison of two models or two conditions
finds a difference `effect` in mean score with power 80 % at a two-sided level of 5 %.
"""

from __future__ import annotations

import math

from scipy.special import ndtri

from gnomon.core.errors import UsageError

__all__ = ["paired_variance", "questions_needed"]

_POWER, _LEVEL = 0.80, 0.05


def paired_variance(sd: float, rho: float) -> float:
    """Variance of the difference of two scores with standard deviation `sd` each and correlation `rho`.

    >>> paired_variance(0.5, 0.5)
    0.25
    """
    if sd < 0 or not -1 <= rho <= 1:
        raise UsageError(f"sd {sd:g} and rho {rho:g} are out of range", todo="sd is at least 0, rho within -1..1")
    return 2 * sd * sd * (1 - rho)


def questions_needed(
    effect: float,
    variance: float,
    *,
    first_within: float = 0.0,
    first_answers: int = 1,
    second_within: float = 0.0,
    second_answers: int = 1,
) -> int:
    """Questions needed to find `effect`, rounded up.

    n = (z_0.975 + z_0.80)^2 (variance + first_within / first_answers + second_within / second_answers) / effect^2

    Args:
        effect: difference of mean scores to be found; not 0.
        variance: variance over questions of the paired difference of question means; see `paired_variance`.
        first_within, second_within: variance of single answers around their question's mean.
        first_answers, second_answers: answers a question, averaged.

    Raises:
        UsageError: when `effect` is 0, a variance is negative or an answer count is below 1.

    >>> questions_needed(0.03, paired_variance(0.5, 0.5))
    2181
    """
    if effect == 0:
        raise UsageError("an effect of 0 cannot be found", todo="give the smallest difference that matters")
    if min(variance, first_within, second_within) < 0:
        raise UsageError("a variance is negative")
    if min(first_answers, second_answers) < 1:
        raise UsageError("a question needs at least one answer")
    reach = float(ndtri(1 - _LEVEL / 2) + ndtri(_POWER))
    total = variance + first_within / first_answers + second_within / second_answers
    return max(1, math.ceil(reach**2 * total / effect**2))
