"""Preference models measured on comparisons that they were not trained on; each once, kept beside its model.

Shapes: P comparisons.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnomon.core.config import digest, plain
from gnomon.core.engine import spread
from gnomon.core.errors import UsageError
from gnomon.core.progress import progress, unseen
from gnomon.core.record import Row
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.store.files import replace_file
from gnomon.store.run import Run
from gnomon.study._trained import Trained, environment

__all__ = ["Vector", "accuracy", "expected", "gaps", "measure_all", "planted"]

Vector = NDArray[np.float64]


class _Task(NamedTuple):
    id: int
    trained: Trained
    data: str
    n: int
    seed: int
    file: Path


def measure_all(
    trained: Sequence[Trained], data: Sequence[str], *, n: int, seed: int, root: Path | None, workers: int = 1
) -> list[list[list[Row]]]:
    """What each preference model makes of `n` comparisons of each source of `data`, less those that it learnt.

    Returns rows by training and then by source; `root` and `workers` are as in `train_all`.

    Raises:
        UsageError: a source has none that a training did not learn.
    """
    with environment(root, workers):
        folders = [_folder(t, root) for t in trained]
        tasks = [
            _Task(place * len(data) + i, _light(t), source, n, seed, _file(folder, source, n, seed))
            for place, (t, folder) in enumerate(zip(trained, folders, strict=True))
            for i, source in enumerate(data)
        ]
        missing = [task for task in tasks if not task.file.exists()]
        with progress(len(tasks), "measurements", done=len(tasks) - len(missing)) as bar:
            for _ in spread(_measure, missing, where=f"processes:{workers}" if workers > 1 else "inline"):
                bar.advance(1)
    found = [_read(task.file) for task in tasks]
    return [found[begin : begin + len(data)] for begin in range(0, len(found), len(data))]


def gaps(rows: Sequence[Row], *, a_token: bool = False) -> Vector:
    """Value [P] of the chosen answer less that of the rejected one; of log-probabilities also the mean a token."""
    sides = np.array([[r.evidence["chosen"], r.evidence["rejected"]] for r in rows], dtype=np.float64)
    if a_token:
        sides = sides / np.array([r.evidence["tokens"] for r in rows], dtype=np.float64)
    return sides[:, 0] - sides[:, 1]


def planted(rows: Sequence[Row]) -> Vector | None:
    """The rater's probability [P] of the choice that was made; None where nobody knows it."""
    p = [r.evidence["p"] for r in rows]
    return None if None in p else np.array(p, dtype=np.float64)


def expected(rows: Sequence[Row], *, a_token: bool = False) -> Vector:
    """Chance [P] that the answer of the higher value is the chosen one; ties count one half.

    With the rater's probabilities known its draws add nothing but noise; else what was chosen decides.
    """
    gap, p = gaps(rows, a_token=a_token), planted(rows)
    right = np.ones(len(gap)) if p is None else p
    return np.where(gap == 0, 0.5, np.where(gap > 0, right, 1 - right))


def accuracy(rows: Sequence[Row], *, a_token: bool = False) -> float:
    """The mean of `expected`."""
    return float(expected(rows, a_token=a_token).mean())


def _light(trained: Trained) -> Trained:
    """The training without its rows, which a worker process need not be sent."""
    return trained._replace(rows=[])


def _measure(task: _Task) -> int:
    from gnomon.train.preference import measure

    with unseen():
        rows = measure(task.trained.config, task.trained.model, task.data, task.n, task.seed)
    if not rows:
        what = f"every comparison was learnt by {task.trained.model}: none is left to measure on"
        raise UsageError(what, where=task.data, todo="train on fewer, or give more")
    replace_file(task.file, "\n".join(json.dumps(plain(row), separators=(",", ":")) for row in rows) + "\n")
    return task.id


def _read(file: Path) -> list[Row]:
    return [Row(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _folder(trained: Trained, root: Path | None) -> Path:
    with closing(Run.find(trained.run, root=root)) as run:
        return run.folder


def _file(folder: Path, data: str, n: int, seed: int) -> Path:
    name = digest([data, n, seed, *in_identity([data]).values()])[:8]
    return folder / f"measured-{name}.jsonl"
