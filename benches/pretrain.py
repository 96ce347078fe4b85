"""Pretraining throughput, a plain nanoGPT-style loop of the same shape beside it.

    python -m benches.pretrain [--json FILE] [--steps 20] [--size m]

Ours is the whole product: Brook's corpus generated as it goes, documents kept apart, planted distributions in the
loss, metrics kept. The plain loop holds model and training in 60 lines, reads tokens from an array, and does nothing
else. Both run on one thread in one process, in turns; a figure is the median of five rounds after a warm-up, in
tokens a second of processor time. The target is a ratio of 0.95 or more.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnomon.data.worlds.brook.mix import Corpus
from gnomon.data.worlds.brook.tables import world
from gnomon.learn.loop import Fit, fit
from gnomon.learn.optim import Optim
from gnomon.train.pretrain import SHAPES, Pretrain, Shape, Special, new_model, step

ROUNDS = 5
TARGET = 0.95
VOCABULARY, ROWS, WIDTH = 768, 4, 256


class PlainBlock(nn.Module):
    """Llama's block, written out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d, self.heads = shape.d_model, shape.num_heads
        self.norm1, self.norm2 = nn.RMSNorm(d), nn.RMSNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.up, self.down = nn.Linear(d, 2 * shape.d_mlp, bias=False), nn.Linear(shape.d_mlp, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """The residual stream after the block."""
        rows, width, d = x.shape
        qkv = self.qkv(self.norm1(x)).view(rows, width, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k = (_turned(part, cos, sin) for part in qkv[:2])
        z = F.scaled_dot_product_attention(q, k, qkv[2], is_causal=True)
        x = x + self.out(z.transpose(1, 2).reshape(rows, width, d))
        gate, up = self.up(self.norm2(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Plain(nn.Module):
    """A decoder of Llama's shape with tied embeddings."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, shape.d_model)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.num_layers))
        self.norm = nn.RMSNorm(shape.d_model)
        half = torch.arange(0, shape.d_model // shape.num_heads, 2) / (shape.d_model // shape.num_heads)
        angles = torch.outer(torch.arange(WIDTH).float(), 1e4**-half).repeat(1, 2)
        self.cos, self.sin = angles.cos(), angles.sin()

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x, width = self.embed(tokens), tokens.shape[1]
        for block in self.blocks:
            x = block(x, self.cos[:width], self.sin[:width])
        return F.linear(self.norm(x), self.embed.weight)


class Kept(dict[int, Mapping[str, float]]):
    """Metrics in memory."""

    def add_metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Keeps them."""
        self[step] = values


def main() -> None:
    """Measures and prints both figures and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", default="", help="file for the figures")
    parser.add_argument("--steps", type=int, default=20, help="steps a round")
    parser.add_argument("--size", choices=sorted(SHAPES), default="m")
    args = parser.parse_args()
    torch.set_num_threads(1)
    loops = {"gnomon": _ours(args.size, args.steps), "plain loop": _plain(SHAPES[args.size], args.steps)}
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for round_ in range(ROUNDS + 1):
        for name, loop in loops.items():
            started = time.process_time()
            loop(round_)
            if round_:
                speeds[name].append(args.steps * ROWS * WIDTH / (time.process_time() - started))
    figures = {name: statistics.median(found) for name, found in speeds.items()}
    # Rounds stand side by side, so that what else the machine does hits both.
    ratio = statistics.median(a / b for a, b in zip(speeds["gnomon"], speeds["plain loop"], strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, figure in figures.items():
        print(f"{name:12}{figure:10.0f} tokens/s of processor time")
    print(f"ratio       {ratio:10.2f} (target {TARGET}), peak memory {peak:.0f} MiB")
    if args.json:
        found = {"tokens_per_cpu_s": figures, "ratio": ratio, "target": TARGET, "peak_mib": peak}
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _ours(size: str, steps: int) -> Callable[[int], None]:
    corpus = replace(Corpus.of(world("S", 0), tokens=12_000_000), rows_per_step=ROWS)
    words = corpus.world.vocabulary
    model = new_model(Pretrain(model_size=size), Special(len(words), 1, 2, 0))  # type: ignore[arg-type]  # a key

    def loop(round_: int) -> None:
        plan = Fit(num_steps=steps, optim=Optim(warmup_steps=1))
        fit(
            lambda net, batch: step(net, batch, begin=1),
            lambda i: corpus.batch(round_ * steps + i),
            model,
            fit=plan,
            log=Kept(),
        )

    return loop


def _plain(shape: Shape, steps: int) -> Callable[[int], None]:
    torch.manual_seed(0)
    model = Plain(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.05, fused=True)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, 1_000_000))

    def loop(round_: int) -> None:
        for _ in range(steps):
            starts = torch.randint(len(tokens) - WIDTH, (ROWS,))
            rows = torch.stack([tokens[s : s + WIDTH] for s in starts.tolist()])
            logits = model(rows[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return loop


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat((-second, first), -1) * sin


if __name__ == "__main__":
    main()
