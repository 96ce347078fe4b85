"""Small trainings that one process and several have to do alike; under torchrun, its results go to the folder named.

torchrun --standalone --nproc-per-node 2 tests/unit/_ranks.py FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from gnomon.core.errors import UsageError
from gnomon.learn import policy
from gnomon.learn.batches import answer_batch, pair_batch
from gnomon.learn.distill import Teacher
from gnomon.learn.heads import ScalarHead, Scorer
from gnomon.learn.loop import Fit, fit
from gnomon.learn.lora import add_low_rank
from gnomon.learn.optim import Optim
from gnomon.learn.parallel import joined, split
from gnomon.learn.texts import Encoded, Pair
from gnomon.models.transformer import Transformer, TransformerConfig
from gnomon.train import distill, preference, sft
from gnomon.train.distill import DistillBatch

# The last batch of five is a single text: one of two processes then has none.
BATCHES = (7, 8, 6, 5, 1)
ALGORITHMS = ("ppo", "ppo-shared", "ppo-lora", "reinforce", "rloo", "grpo")
KINDS = ("sft", "ranked", "lora", "distill", *ALGORITHMS)
PLAN = Fit(num_steps=2 * len(BATCHES), optim=Optim(warmup_steps=2, peak=1e-2), log_every=1, save_every_s=0.0)


class Killed(Exception):
    """Stands for a process that ends between two steps."""


class Log(dict[int, dict[str, float]]):
    """Metrics in memory."""

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        self[step] = dict(values)


def network() -> Transformer:
    config = TransformerConfig(vocab_size=30, d_model=16, num_layers=2, num_heads=2, d_mlp=24)
    return Transformer(config, generator=torch.Generator().manual_seed(0))


def texts(index: int) -> list[Encoded]:
    draw = np.random.default_rng(index)
    lengths = draw.integers(4, 12, size=2 * BATCHES[index % len(BATCHES)])
    return [Encoded(draw.integers(3, 30, size=n), int(draw.integers(1, n - 2))) for n in lengths]


def pairs(index: int) -> list[Pair]:
    both = texts(index)
    sides = zip(both[::2], both[1::2], strict=True)
    return [Pair(a, Encoded(np.append(a.tokens[: a.start], b.tokens), a.start)) for a, b in sides]


class Drawn(NamedTuple):
    """One answer of a round: its number, and what is known of all."""

    row: int
    e: policy.Episodes
    a: policy.Advantages


def answers(index: int, kind: str) -> list[Drawn]:
    """The answers of a round, two to a prompt where there are as many, each with a value."""
    said, draw = texts(index), torch.Generator().manual_seed(index)
    text_N = torch.tensor([i for i, text in enumerate(said) for _ in text.tokens[text.start :]])
    logps = [-3 + 0.3 * torch.randn(len(text_N), generator=draw) for _ in range(3)]
    reward_B, group_B = torch.randn(len(said), generator=draw), torch.arange(len(said)) // 2
    e = policy.Episodes(said, *logps, reward_B=reward_B, group_B=group_B, text_N=text_N)
    advantages: Callable[..., policy.Advantages] = getattr(policy, f"{kind.partition('-')[0]}_advantages")
    return [Drawn(row, e, advantages(e, 0.1)) for row in range(len(said))]


def laid(part: Sequence[Drawn], of: Sequence[Drawn]) -> policy.PolicyBatch:
    rows, whole = ([each.row for each in things] for things in (part, of))
    return policy.policy_batch(of[0].e, of[0].a, rows, on_policy=False, facts={"kl": 2.0}, of=whole)


def make_actor(kind: str, net: Transformer) -> tuple[nn.Module, Callable[..., Any]]:
    algorithm, _, more = kind.partition("-")
    if more == "lora":
        torch.manual_seed(3)
        add_low_rank(net, 3)
    value: Any = "none" if algorithm != "ppo" else "shared" if more == "shared" else "copy"
    step = getattr(policy, f"{algorithm}_step")
    return policy.Actor(net, value), partial(step, kl=0.1) if algorithm == "grpo" else step


def make(kind: str) -> tuple[nn.Module, Callable[..., Any], Callable[..., Any], Callable[[int], list[Any]]]:
    """Model, step function, how things are laid out, and the things of a step."""
    net = network()
    if kind in ALGORITHMS:
        return *make_actor(kind, net), laid, partial(answers, kind=kind)
    if kind == "ranked":
        torch.manual_seed(3)
        return Scorer(net, ScalarHead(16)), partial(preference.step, objective="ranked", mu=0.5), pair_batch, pairs
    if kind == "lora":
        torch.manual_seed(3)
        add_low_rank(net, 3)
    if kind == "distill":
        wise = network()
        with torch.no_grad():
            wise.embed.weight.mul_(20)
        teacher = Teacher(wise, [1, 9, 9, 4], begins=False)
        return (
            net,
            partial(distill.step, teacher=teacher),
            lambda part, of: DistillBatch(answer_batch(part, of=of), None),
            texts,
        )
    return net, sft.step, answer_batch, texts


def train(kind: str, state: Path, *, accumulate: int = 1, kill_at: int = -1, plan: Fit = PLAN) -> tuple[Log, nn.Module]:
    """What was logged, a row a step, and the trained model."""
    model, step, lay, things = make(kind)

    def batches(index: int) -> list[Any]:
        if index == kill_at:
            raise Killed
        whole = things(index)
        return [lay(part, of=whole) for part in split(whole, accumulate)]

    log = Log()
    fit(step, batches, model, fit=plan, log=log, state=state)
    return log, model


def resumed(state: Path) -> nn.Module:
    """The model of a training that ended at step 4 and was begun again."""
    try:
        train("ranked", state, kill_at=4)
    except Killed:
        return train("ranked", state)[1]
    raise AssertionError("nothing ended it")


def total(model: nn.Module) -> float:
    """The sum of all matrices: the gradient of a scalar's bias, that of a difference, is nothing but rounding."""
    return sum(float(p.detach().double().sum()) for p in model.parameters() if p.dim() > 1)


def refusal(state: Path) -> str:
    """What is said to a training whose batches come whole."""
    try:
        fit(sft.step, lambda i: answer_batch(texts(i)), network(), fit=PLAN)
    except UsageError as error:
        return str(error)
    return ""


def main(folder: Path) -> None:
    """Trains all, twice in parts, once cut off; the first process writes what came out."""
    with joined() as me:
        # Only the first one's folder counts.
        root = folder if me.rank == 0 else folder / "nowhere"
        found: dict[str, Any] = {"size": me.size, "refusal": refusal(root / "no.safetensors")}
        models = {}
        for kind in KINDS:
            found[kind], models[kind] = train(kind, root / f"{kind}.safetensors")
        found["parts"], _ = train("sft", root / "parts.safetensors", accumulate=3)
        again = resumed(root / "cut.safetensors")
        kept = zip(models["ranked"].parameters(), again.parameters(), strict=True)
        found["same"] = all(torch.equal(a, b) for a, b in kept)
        found["sum"] = {kind: total(m) for kind, m in models.items()}
        (folder / f"{me.rank}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
