"""`gnomon power NAME`: how many items a comparison of two models needs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from gnomon.cli.output import console
from gnomon.core.errors import UsageError
from gnomon.core.registry import method
from gnomon.report.base import Table

__all__ = ["EXAMPLES", "power_command"]

EXAMPLES = """Examples:
  gnomon power self-knowledge --effect 0.03
  gnomon power self-knowledge --effect 0.03 --sd 0.4 --rho 0.6

What comes out:
  stdout  items needed to find the effect with 80 % power at the 5 % level
"""


def power_command(
    name: Annotated[str, Parameter(help="The evaluation.")],
    /,
    *,
    effect: Annotated[float, Parameter(help="Smallest difference of mean scores worth finding.")],
    sd: Annotated[
        float, Parameter(help="Standard deviation of one item's score; 0.5 is the most a yes or no has.")
    ] = 0.5,
    rho: Annotated[float, Parameter(help="Correlation of the two models' scores over items, in [-1, 1].")] = 0.5,
) -> int:
    """Say how many items a paired comparison needs before it is run."""
    from gnomon.core.config import describe
    from gnomon.report.terminal import table
    from gnomon.stats.power import paired_variance, questions_needed

    if sd <= 0:
        raise UsageError(f"--sd is {sd:g}", todo="give a positive number")
    default = next((f.default for f in describe(method("assay", name)) if f.name == "n"), None)
    rows = []
    for design, correlation in (("paired by item", rho), ("two separate samples", 0.0)):
        needed = questions_needed(effect, paired_variance(sd, correlation))
        row = [design, needed]
        if isinstance(default, int) and default > 0:
            row.append(abs(effect) * (needed / default) ** 0.5)
        rows.append(row)
    columns = ["design", "items needed"]
    if len(rows[0]) == 3:
        columns.append(f"smallest effect found with n = {default}")
    console().print(table(Table(title=f"{name}: an effect of {effect:g}", columns=columns, rows=rows)))
    return 0
