"""What a multiple-choice question costs the local engine: its letters, and its option texts scored whole.

    python -m benches.local_scoring [--json FILE] [--items 500] [--peer PYTHON]

Random Llama of 2.56 million parameters, 4,096 words, four options behind five answered questions, one thread. A round
is a share of the items, headers forgotten before it; `score` gives every option's log-likelihood, `choose` the options'
probabilities. Targets: 30 items a CPU second; with `--peer`, an interpreter that has lm-eval, 4 times its rate for
letters and 10 times for option texts, at log-likelihoods that differ by less than 1e-4.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from benches.bench import Figure, options, publish
from benches.beside import Worker, worker
from benches.local_world import MEDIUM, Question, made_folder, questions
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel

TARGET_MS = 1000 / 30
LEAST_RATIO = {"letters": 4.0, "option texts": 10.0}
TOLERANCE = 1e-4


class Round(NamedTuple):
    """Milliseconds an item: `score` (CPU, wall), `choose` (CPU), the peer (CPU); the largest difference from it."""

    score: float
    wall: float
    choose: float
    peer: float | None
    difference: float


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__)
    parser.add_argument("--items", type=int, default=500, help="questions of each kind, all rounds together")
    parser.add_argument("--peer", default="", help="interpreter that has lm-eval")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = made_folder(Path(place) / "model", MEDIUM)
        peer = stack.enter_context(worker(args.peer)) if args.peer else None
        loaded = peer.ask(do="load", folder=str(folder), **{"as": "lm-eval"}) if peer else {"reason": "no --peer"}
        if "reason" in loaded:
            peer = None
        model = load_checkpoint(folder)
        for task in LEAST_RATIO:
            asked = questions(args.items + 8, lettered=task == "letters")
            measure(model, peer, asked[:8])
            size = math.ceil(args.items / args.rounds)
            blocks = [asked[begin : begin + size] for begin in range(8, len(asked), size)]
            figures += shown(
                task, loaded.get("name") or loaded["reason"], [measure(model, peer, block) for block in blocks]
            )
    publish("local_scoring", figures, args.json)


def measure(model: LocalModel, peer: Worker | None, asked: Sequence[Question]) -> Round:
    """One round of ours and the peer's; RuntimeError when they disagree."""
    each = 1000 / len(asked)
    choose = asyncio.run(timed_choose(model, asked))
    score, wall, found = asyncio.run(timed_score(model, asked))
    if peer is None:
        return Round(score * each, wall * each, choose * each, None, math.nan)
    theirs = peer.ask(do="score", questions=asked)
    pairs = zip(found, theirs["loglikelihoods"], strict=True)
    difference = max(abs(a - b) for ours, others in pairs for a, b in zip(ours, others, strict=True))
    if difference >= TOLERANCE:
        raise RuntimeError(f"log-likelihoods differ from the peer's by {difference:.2g}")
    return Round(score * each, wall * each, choose * each, theirs["cpu_s"] * each, difference)


async def timed_score(model: LocalModel, asked: Sequence[Question]) -> tuple[float, float, list[list[float]]]:
    """CPU seconds, wall seconds, and every option's log-likelihood in nats."""
    model.weights_changed()
    begin, begin_wall = time.process_time(), time.perf_counter()
    scores = iter(await asyncio.gather(*(model.score(q.prompt, option) for q in asked for option in q.options)))
    spent, wall = time.process_time() - begin, time.perf_counter() - begin_wall
    return spent, wall, [[next(scores).total for _ in q.options] for q in asked]


async def timed_choose(model: LocalModel, asked: Sequence[Question]) -> float:
    """CPU seconds."""
    model.weights_changed()
    begin = time.process_time()
    await asyncio.gather(*(model.choose(q.prompt, q.options) for q in asked))
    return time.process_time() - begin


def shown(task: str, peer: str, rounds: Sequence[Round]) -> list[Figure]:
    """Both ways of asking, beside the same rounds of the peer."""
    theirs = [r.peer for r in rounds if r.peer is not None]
    if theirs:
        peer += f", equal within {max(r.difference for r in rounds):.1g}"

    def figure(name: str, ours: list[float], wall: float | None, **targets: float) -> Figure:
        return Figure(
            name=f"{task}: {name}",
            cpu=statistics.median(ours),
            wall=wall,
            unit="ms/item",
            peer=statistics.median(theirs) if theirs else None,
            peer_name=peer,
            ratios=[b / a for a, b in zip(ours, theirs, strict=bool(theirs))],
            **targets,
        )

    wall = statistics.median(r.wall for r in rounds)
    least = LEAST_RATIO[task]
    return [
        figure("score", [r.score for r in rounds], wall, target=TARGET_MS, least_ratio=least),
        figure("choose", [r.choose for r in rounds], None),
    ]


if __name__ == "__main__":
    main()
