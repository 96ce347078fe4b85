"""Trains a very small model of the embedded world, and asks it what it has learnt so far.

    python examples/pretrain.py [TOKENS]

With the default of 150,000 tokens it takes seconds and knows next to nothing; 4,000,000 show facts being learnt.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import gnomon


def main() -> None:
    """Trains, loads the checkpoint by its run's name, and assays it."""
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 150_000
    with TemporaryDirectory() as folder:
        runs = Path(folder)
        name = gnomon.train("pretrain", root=runs, model_size="xs", tokens=tokens)
        checkpoint = next(runs.glob("train-pretrain-*")) / "checkpoint"
        report = gnomon.assay("brook", model=f"hf:{checkpoint}", root=runs, n=20, only=["cloze", "source"])
        print(f"{name}, trained on {tokens:,} tokens")
        for estimate in report.estimates:
            print(f"  {estimate.metric:14} {estimate.value:.2f}  [{estimate.low:.2f}, {estimate.high:.2f}]")


if __name__ == "__main__":
    main()
