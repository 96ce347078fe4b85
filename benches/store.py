"""How fast runs are written and resumed; prints one JSON object.

    python -m benches.store [--json FILE]

Each figure is the median of five, in seconds of processor time (`cpu`) and of the clock (`wall`), for one run of
10,000 rows: written in batches of 100, resumed (opened, keys, rows), and its calls cached and looked up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gnomon.core.record import Row
from gnomon.store.run import Run

ROWS, BATCH, REPEATS = 10_000, 100, 5


def row(n: int) -> Row:
    """A row such as an evaluation writes: options' probabilities, a text and a few numbers."""
    evidence = {
        "p": [0.125, 0.25, 0.5, 0.125],
        "gold": n % 4,
        "correct": n % 3 == 0,
        "text": "an answer of 40 letters" * 2,
    }
    return Row(key=f"item-{n:06}", cluster=f"passage-{n // 5}", evidence={**evidence, "part": "calibration"})


def write(root: Path) -> None:
    """A new run with all rows."""
    with Run.open("bench", "store", {}, root=root, fresh=True) as run:
        for start in range(0, ROWS, BATCH):
            run.add([row(n) for n in range(start, start + BATCH)], range(start, start + BATCH))


def resume(root: Path) -> None:
    """The same run again: what is done, and all rows for the report."""
    with Run.open("bench", "store", {}, root=root) as run:
        assert len(run.keys()) == len(run.rows()) == ROWS


def call(root: Path) -> None:
    """A call cached and one looked up for each row."""
    with Run.open("bench", "store", {}, root=root) as run:
        for n in range(ROWS):
            run.cache.put(f"{n:032}", {"p": [0.25, 0.75], "mass": 0.9})
            run.cache.get(f"{n // 2:032}")


def measured(work: Callable[[Path], None], root: Path) -> dict[str, float]:
    """Median processor and wall seconds of `work`, after one warm-up."""
    work(root)
    cpu, wall = [], []
    for _ in range(REPEATS):
        started = time.process_time(), time.perf_counter()
        work(root)
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    return {"cpu": round(statistics.median(cpu), 4), "wall": round(statistics.median(wall), 4)}


def main() -> None:
    """Measures, prints, and writes the file that `--json` names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file for the figures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        figures = {"rows": ROWS, **{work.__name__: measured(work, root) for work in (write, resume, call)}}
    print(json.dumps(figures))
    if args.json:
        Path(args.json).write_text(json.dumps(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
