"""Do problems stand in the text that a model learnt from, and does it solve those more often?

A problem is met where a run of 13 words of its prompt or of its reference stands in the text, the rule of Brown et al.
2020 (arXiv 2005.14165), app. C.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from gnomon.core.errors import DataError
from gnomon.data.code_problem import Problem
from gnomon.data.formats import read_bytes
from gnomon.data.overlap import MOST_WORDS, Text, overlap
from gnomon.report.base import Estimate
from gnomon.stats.intervals import proportion
from gnomon.stats.pass_at_k import mean_pass_at_k

__all__ = ["met_in", "seen"]


def met_in(file: str, problems: Sequence[Problem]) -> tuple[frozenset[str], str]:
    """The problems whose words stand in a text file, gzipped or not, by id; and the counts in one line.

    Raises:
        DataError: the file is no text.
    """
    try:
        text = read_bytes(Path(file)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"is no UTF-8 text: {error}", where=file) from None
    own = [Text(p.prompt, (p.reference.removeprefix(p.opening),)) for p in problems]
    found = overlap([Text(text, ())], own, words=MOST_WORDS)
    return frozenset(problems[i].id for i in found.met), found.told


def seen(
    counts: Mapping[str, tuple[int, int]], met: frozenset[str], ks: Sequence[int], seed: int
) -> Iterator[Estimate]:
    """The share of problems met, and pass@k of those and of the others.

    Args:
        counts: samples and right ones by problem.
    """
    yield Estimate.of("problems met in the text", proportion([float(task in met) for task in counts], seed=seed))
    for group, inside in (("met in the text", True), ("not met in the text", False)):
        some = [pair for task, pair in counts.items() if (task in met) == inside]
        for k in ks if some else ():
            n, c = zip(*some, strict=True)
            yield Estimate.of(f"pass@{k}", mean_pass_at_k(n, c, k, seed=seed), group=group)
