"""Tokens decoded per CPU second: one stream, 30 streams of one prompt, and 30 different prompts at once.

    python -m benches.decode [--json FILE] [--tokens 256] [--peer PYTHON]

Random Llama of 1.3 million parameters, one thread, plain sampling. Each figure is the median of five rounds after a
warm-up. Target: 700 tokens a second for one stream. `--peer` names an interpreter with `transformers`.
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

from benches.local_world import SMALL, made_folder, questions
from gnomon.models.base import Sampling
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel

TARGET = 700.0
STREAMS = 30


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file for the figures")
    parser.add_argument("--tokens", type=int, default=256, help="new tokens of a stream")
    parser.add_argument("--rounds", type=int, default=5, help="rounds behind each median")
    parser.add_argument("--peer", default=sys.executable, help="interpreter to run the peer with")
    args = parser.parse_args()
    torch.set_num_threads(1)
    prompts = [q.prompt for q in questions(STREAMS, lettered=False, shots=0)]
    tasks = {"one stream": (prompts[:1], 1), "30 of one prompt": (prompts[:1], STREAMS), "30 prompts": (prompts, 1)}
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = made_folder(Path(place) / "model", SMALL)
        for task, (asked, n) in tasks.items():
            figures.append({"task": task, "engine": "gnomon", **_ours(folder, asked, n, args.tokens, args.rounds)})
            if len(asked) == 1:
                figures += [{"task": task, **f} for f in _peers(folder, asked[0], n, args.tokens, args.peer)]
    print(f"{'task':18}{'engine':26}{'tokens/CPU-s':>13}{'tokens/s':>10}")
    for f in figures:
        print(f"{f['task']:18}{f['engine']:26}{f['tokens_per_cpu_s']:>13.0f}{f.get('tokens_per_s', 0) or '':>10.5}")
    print(f"target: {TARGET:.0f} for one stream; {'met' if figures[0]['tokens_per_cpu_s'] >= TARGET else 'MISSED'}")
    if args.json:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        with open(args.json, "w") as file:
            json.dump({"bench": "decode", "target": TARGET, "peak_bytes": peak, "figures": figures}, file)


def _ours(folder: Path, prompts: list[str], n: int, tokens: int, rounds: int) -> dict[str, float]:
    model = load_checkpoint(folder)
    # An end token would make rounds of different lengths.
    model.tokenizer.eos_ids = ()
    asyncio.run(_round(model, prompts, n, 8, 0))
    spent, wall = [], []
    for number in range(rounds):
        begin, begin_wall = time.process_time(), time.perf_counter()
        asyncio.run(_round(model, prompts, n, tokens, number))
        spent.append(time.process_time() - begin)
        wall.append(time.perf_counter() - begin_wall)
    made = len(prompts) * n * tokens
    return {"tokens_per_cpu_s": made / statistics.median(spent), "tokens_per_s": made / statistics.median(wall)}


async def _round(model: LocalModel, prompts: list[str], n: int, tokens: int, seed: int) -> None:
    found = await asyncio.gather(*(model.sample(p, Sampling(max_tokens=tokens, seed=seed), n) for p in prompts))
    assert all(c.num_tokens == tokens for one in found for c in one)


def _peers(folder: Path, prompt: str, streams: int, tokens: int, interpreter: str) -> list[dict[str, Any]]:
    job = folder / "job.json"
    task = {"kind": "decoding", "folder": str(folder), "prompt": prompt, "streams": streams, "tokens": tokens}
    job.write_text(json.dumps(task))
    script = Path(__file__).with_name("local_peer.py")
    done = subprocess.run([interpreter, str(script), str(job)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


if __name__ == "__main__":
    main()
