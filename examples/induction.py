"""Which heads find what came before, and say it again? Two small models that differ by one layer.

    python examples/induction.py [TOKENS]

Trains a model of one layer and one of two on a language whose copies are known. With the default of 100,000 tokens
neither has learnt to copy; with 3,000,000, a minute, the second has and the first has not. Runs are kept in ./runs.
"""

from __future__ import annotations

import sys

import gnomon


def main() -> None:
    """Trains each model and looks inside it."""
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for layers in (1, 2):
        model = gnomon.train("toy", layers=layers, tokens=tokens, snapshots=0)
        own_text = f"runs/train-toy-{model.removeprefix('run:')}/held-out.jsonl"
        report = gnomon.explain("induction", model, n=8, data=[own_text], only=["attention", "weights"])
        scores = [e for e in report.estimates if e.metric == "prefix matching"]
        best = max(scores, key=lambda e: e.value)
        print(f"{layers} layers: prefix matching {best.value:.2f} [{best.low:.2f}, {best.high:.2f}], head {best.group}")
        print(f"  {report.summary}")


if __name__ == "__main__":
    main()
