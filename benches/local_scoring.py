"""Questions answered per CPU second by the local engine: letters, and option texts scored whole.

    python -m benches.local_scoring [--json FILE] [--items 500] [--peer PYTHON]

Random Llama of 2.56 million parameters, 4,096 words, five-shot header, one thread. Each figure is the median of five
rounds after a warm-up, headers forgotten before each. Targets: 30 items a CPU second for either kind. `--peer` names an
interpreter with `transformers`, better with `lm_eval` too; by default this one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benches.local_world import MEDIUM, Question, made_folder, questions
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel

TARGET = 30.0


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file for the figures")
    parser.add_argument("--items", type=int, default=500, help="questions a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds behind each median")
    parser.add_argument("--peer", default=sys.executable, help="interpreter to run the peers with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = []
    with tempfile.TemporaryDirectory() as place:
        folder = made_folder(Path(place) / "model", MEDIUM)
        for task, lettered in (("letters", True), ("option texts", False)):
            asked = questions(args.items, lettered=lettered)
            figures.append({"task": task, "engine": "gnomon", **_ours(folder, asked, args.rounds)})
            figures += [{"task": task, **f} for f in _peers(folder, asked[:40], args.peer)]
    print(f"{'task':14}{'engine':40}{'items/CPU-s':>12}{'tokens/item':>13}")
    for f in figures:
        print(f"{f['task']:14}{f['engine']:40}{f['items_per_cpu_s']:>12.1f}{f.get('tokens_per_item', ''):>13}")
    met = all(f["items_per_cpu_s"] >= TARGET for f in figures if f["engine"] == "gnomon")
    print(f"target: {TARGET:.0f} items a CPU second; {'met' if met else 'MISSED'}")
    if args.json:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        with open(args.json, "w") as file:
            json.dump({"bench": "local_scoring", "target": TARGET, "peak_bytes": peak, "figures": figures}, file)


def _ours(folder: Path, asked: list[Question], rounds: int) -> dict[str, Any]:
    model = load_checkpoint(folder)
    asyncio.run(_round(model, asked[:16]))
    spent, wall, pushed = [], [], 0
    for _ in range(rounds):
        model.weights_changed()
        scorer = model.engine.scorer
        before, begin, begin_wall = scorer.pushed_tokens, time.process_time(), time.perf_counter()
        asyncio.run(_round(model, asked))
        spent.append(time.process_time() - begin)
        wall.append(time.perf_counter() - begin_wall)
        pushed = scorer.pushed_tokens - before
    return {
        "items_per_cpu_s": len(asked) / statistics.median(spent),
        "items_per_s": len(asked) / statistics.median(wall),
        "tokens_per_item": round(pushed / len(asked)),
    }


async def _round(model: LocalModel, asked: list[Question]) -> None:
    choices = await asyncio.gather(*(model.choose(q.prompt, q.options) for q in asked))
    assert all(abs(sum(c.p) - 1) < 1e-6 for c in choices)


def _peers(folder: Path, asked: list[Question], interpreter: str) -> list[dict[str, Any]]:
    job = folder / "job.json"
    job.write_text(json.dumps({"kind": "scoring", "folder": str(folder), "questions": asked}))
    script = Path(__file__).with_name("local_peer.py")
    done = subprocess.run([interpreter, str(script), str(job)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    main()
