"""What a step of fine-tuning and of preference training costs, TRL's trainers beside it.

    python -m benches.training [--json FILE] [--rounds 5] [--steps 20] [--peer PYTHON]

Both begin each round at the weights of the model that ships and go once through the same texts of Brook, 32 a step, by
AdamW in float32 on one thread; the peer's rounds alternate with ours. Before that both take the very same batches, and
every loss has to be the same. Then each puts its batches together as it does: here texts of like length share one, and
the two sides of a comparison share what they begin with. A second line gives the peer our batches even so.

`--peer` is a Python that has TRL. Target: 1.4 times the peer's processor time, on both.
"""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from benches.bench import Figure, options, publish
from benches.beside import Worker, worker
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import open_comparisons
from gnomon.data.dialogues import open_dialogues
from gnomon.learn.batches import Epochs, answer_batch, pair_batch
from gnomon.learn.heads import ScalarHead, Scorer
from gnomon.learn.loop import Fit, fit
from gnomon.learn.optim import Optim
from gnomon.learn.texts import Encoded, Pair, encode
from gnomon.models.load import checkpoint_folder
from gnomon.models.transformer import num_parameters
from gnomon.stats.intervals import Interval, t_interval
from gnomon.train import preference, sft
from gnomon.train._fitting import Start, end_of, start_from

LEAST_RATIO, BATCH, RATE, TOLERANCE = 1.4, 32, 3e-4, 2e-4
PLAIN = Optim(peak=RATE, final=1.0, warmup_steps=0)


class Task(NamedTuple):
    """One kind of training.

    Attributes:
        name: "sft" or "preference".
        batches: the things of every step, in our order.
        begin: a model at its first weights, and the step function.
        lay: puts the things of a step together.
        tokens: in all texts, each side of a comparison counted whole.
    """

    name: str
    batches: Sequence[Sequence[Any]]
    begin: Callable[[], tuple[nn.Module, Callable[..., Any]]]
    lay: Callable[[Sequence[Any]], Any]
    tokens: int


class Round(NamedTuple):
    """Milliseconds a step: ours (CPU, wall), the peer's with its batches and with ours."""

    ours: float
    wall: float
    peer: float | None
    given: float | None


class Losses(dict[int, float]):
    """The loss of every step."""

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps it."""
        self[step] = values["loss"]


def main() -> None:
    """Measures and prints a table, then rates beside the machine's own."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=20, help="steps a round")
    parser.add_argument("--peer", default="", help="interpreter that has TRL")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tasks = [fine_tuning(args.steps), comparing(args.steps)]
    figures: list[Figure] = []
    rates: dict[str, Any] = {"matmul_gflops": round(ceiling(), 1)}
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        peer = stack.enter_context(worker(args.peer, "training_peer.py")) if args.peer else None
        loaded = peer.ask(do="load", **shared(tasks, Path(place))) if peer else {"reason": "no --peer"}
        peer = None if "reason" in loaded else peer
        for task in tasks:
            apart = differing(task, peer)
            rounds = [measure(task, peer) for _ in range(args.rounds + 1)][1:]
            figures += shown(task, rounds, loaded.get("name") or loaded["reason"], apart)
            rates[task.name] = reached(task, rounds, rates["matmul_gflops"])
    publish("training", figures, args.json, more=rates)


def fine_tuning(steps: int) -> Task:
    """Answers of Brook, each the best of two."""
    start = fresh()
    found = open_dialogues("brook", steps * BATCH, Seed(0), best_of=2).things[: steps * BATCH]
    texts = encode(
        start.tokenizer, [(d.prompt, d.answer) for d in found], end=end_of(start.tokenizer, context=False)[0]
    )
    lengths = [len(text.tokens) for text in texts]
    return Task("sft", in_batches(texts, lengths), lambda: (fresh().net, sft.step), answer_batch, sum(lengths))


def comparing(steps: int) -> Task:
    """Comparisons by Brook's gold rater."""
    start = fresh()
    found = open_comparisons("brook", steps * BATCH, Seed(0)).comparisons[: steps * BATCH]
    flat = [(c.prompt, answer) for c in found for answer in (c.chosen, c.rejected)]
    texts = encode(start.tokenizer, flat, end=end_of(start.tokenizer, context=True)[0])
    pairs = [Pair(*both) for both in zip(texts[::2], texts[1::2], strict=True)]
    lengths = [len(pair.chosen.tokens) + len(pair.rejected.tokens) for pair in pairs]

    def begin() -> tuple[nn.Module, Callable[..., Any]]:
        net = fresh().net
        return Scorer(net, ScalarHead(net.config.d_model)), partial(preference.step, objective="ranked")

    return Task("preference", in_batches(pairs, lengths), begin, pair_batch, sum(lengths))


def fresh() -> Start:
    """The model that ships."""
    return start_from("brook", "brook")


def in_batches(things: Sequence[Any], lengths: Sequence[int]) -> list[list[Any]]:
    """One epoch as the trainers draw it."""
    order = Epochs(len(things), BATCH, Seed(0).child("order"), lengths=lengths)
    return [[things[place] for place in order(step)] for step in range(order.per_epoch)]


def shared(tasks: Sequence[Task], folder: Path) -> dict[str, str]:
    """The weights, and a file of all things in our order."""
    rows = {task.name: [plain(thing) for batch in task.batches for thing in batch] for task in tasks}
    (folder / "things.json").write_text(json.dumps(rows), encoding="utf-8")
    return {"folder": str(checkpoint_folder("brook")), "things": str(folder / "things.json")}


def plain(thing: Encoded | Pair) -> list[Any]:
    """Token ids and where the answer begins, or the token ids of both sides."""
    if isinstance(thing, Pair):
        return [thing.chosen.tokens.tolist(), thing.rejected.tokens.tolist()]
    return [thing.tokens.tolist(), thing.start]


def measure(task: Task, peer: Worker | None) -> Round:
    """One round of ours and of the peer's, twice."""
    model, step = task.begin()
    each, plan = 1000 / len(task.batches), Fit(num_steps=len(task.batches), optim=PLAIN)
    cpu, wall = time.process_time(), time.perf_counter()
    fit(step, lambda i: task.lay(task.batches[i]), model, fit=plan)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    theirs = [asked(task, peer, given=given)["cpu_s"] * each if peer else None for given in (False, True)]
    return Round(cpu * each, wall * each, *theirs)


def differing(task: Task, peer: Worker | None) -> float:
    """The largest difference of a step's loss from the peer's on the same batches; RuntimeError where it is large."""
    if peer is None:
        return math.nan
    model, step = task.begin()
    losses = Losses()
    plan = Fit(num_steps=len(task.batches), optim=PLAIN, log_every=1)
    fit(step, lambda i: task.lay(task.batches[i]), model, fit=plan, log=losses)
    theirs = asked(task, peer, given=True, losses=True)["losses"]
    found = max(abs(a - b) for a, b in zip(losses.values(), theirs, strict=True))
    if found >= TOLERANCE:
        raise RuntimeError(f"{task.name}: losses differ from the peer's by {found:.2g}")
    return found


def asked(task: Task, peer: Worker, *, given: bool, losses: bool = False) -> dict[str, Any]:
    """What the peer says of one round."""
    return peer.ask(do="train", task=task.name, rate=RATE, batch=BATCH, given=given, losses=losses)


def shown(task: Task, rounds: Sequence[Round], peer: str, apart: float) -> list[Figure]:
    """Ours beside the peer's own batches, which the target is for, and beside the peer with ours."""
    ours, wall = (statistics.median(values) for values in zip(*((r.ours, r.wall) for r in rounds), strict=True))
    figures = []
    for name, theirs, least in (
        (task.name, [r.peer for r in rounds], LEAST_RATIO),
        (f"{task.name}, peer given our batches", [r.given for r in rounds], None),
    ):
        there = [value for value in theirs if value is not None]
        ratios = [b / r.ours for r, b in zip(rounds, there, strict=True)] if there else []
        between = f", ratio {of_rounds(ratios)}, losses equal within {apart:.1g}" if len(ratios) > 1 else ""
        figures.append(
            Figure(
                name=name,
                cpu=ours,
                wall=wall,
                unit="ms/step",
                peer=statistics.median(there) if there else None,
                peer_name=peer + between,
                ratios=ratios,
                least_ratio=least,
            )
        )
    return figures


def of_rounds(ratios: Sequence[float]) -> str:
    """Mean and Student's interval over rounds."""
    found = mean_of(ratios)
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def mean_of(values: Sequence[float]) -> Interval:
    """The mean of `values` with Student's interval."""
    n = len(values)
    return t_interval(statistics.fmean(values), statistics.stdev(values) / n**0.5, n=n, clusters=n, method="t")


def reached(task: Task, rounds: Sequence[Round], gflops: float) -> dict[str, float]:
    """Things and real tokens a second of processor time; 6N operations a token as a share of the matmul's rate."""
    seconds = statistics.median(r.ours for r in rounds) * len(task.batches) / 1000
    a_second = {
        "things_per_cpu_s": round(sum(map(len, task.batches)) / seconds, 1),
        "tokens_per_cpu_s": round(task.tokens / seconds),
    }
    parameters = num_parameters(fresh().net)
    return {**a_second, "share_of_matmul": round(6 * parameters * task.tokens / seconds / (gflops * 1e9), 3)}


def ceiling() -> float:
    """GFLOP/s of a product of 4096 x 128 and 128 x 512 in float32, the best of 20."""
    a, b = torch.randn(4096, 128), torch.randn(128, 512)
    best = math.inf
    for _ in range(20):
        begin = time.process_time()
        for _ in range(4):
            a @ b
        best = min(best, time.process_time() - begin)
    return 4 * 2 * 4096 * 128 * 512 / best / 1e9


if __name__ == "__main__":
    main()
