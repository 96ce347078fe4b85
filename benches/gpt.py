"""What a training step of a GPT-2-shaped model costs, a plain loop of nanoGPT's kind beside it.

    python -m benches.gpt [--json FILE] [--rounds 5] [--steps 10]

Context 256, 1,024 tokens, biases, tied embeddings, tanh GELU, 8 rows a step, in float32 and in bfloat16 autocast. The
plain loop is written here: the model in one screen of torch with fused attention, fused AdamW, clipping, batches cut
from an array, and nothing else; it starts at our weights, and its first losses have to be ours. Ours is the product's
model and training loop. One thread; rounds alternate; tokens a second of processor time. Target: 0.95 of the plain
loop's tokens a second or more.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benches.bench import Figure, options, publish
from gnomon.learn.loop import Fit, StepResult, fit
from gnomon.learn.optim import Optim
from gnomon.models.transformer import Transformer, TransformerConfig, num_parameters

TARGET, TOLERANCE = 0.95, {False: 1e-4, True: 3e-2}
VOCABULARY, CONTEXT, ROWS = 1024, 256, 8
RATE, BETAS, DECAY = 1e-3, (0.9, 0.95), 0.1


class Shape(NamedTuple):
    """Layers, heads and width."""

    num_layers: int
    num_heads: int
    d_model: int


SHAPES = (Shape(4, 4, 128), Shape(4, 8, 256))


class PlainBlock(nn.Module):
    """GPT-2's block, written out."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d, self.heads = shape.d_model, shape.num_heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: Tensor) -> Tensor:
        """The residual stream after the block."""
        rows, width, d = x.shape
        q, k, v = (each.view(rows, width, self.heads, -1).transpose(1, 2) for each in self.qkv(self.ln1(x)).split(d, 2))
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(z.transpose(1, 2).contiguous().view(rows, width, d))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class Plain(nn.Module):
    """A decoder of GPT-2's shape with tied embeddings."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed, self.places = nn.Embedding(VOCABULARY, shape.d_model), nn.Embedding(CONTEXT, shape.d_model)
        self.blocks = nn.ModuleList(PlainBlock(shape) for _ in range(shape.num_layers))
        self.norm = nn.LayerNorm(shape.d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits."""
        x = self.embed(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm(x), self.embed.weight)


class Kept(dict[int, dict[str, float]]):
    """Metrics in memory."""

    def add_metrics(self, step: int, values: Any) -> None:
        """Keeps them."""
        self[step] = dict(values)


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__)
    parser.add_argument("--steps", type=int, default=10, help="steps a round")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = [compared(shape, bf16, args.rounds, args.steps) for shape in SHAPES for bf16 in (False, True)]
    rates = {f"{f.name}, tokens a second": round(ROWS * CONTEXT / f.cpu * 1000) for f in figures}
    publish("gpt", figures, args.json, more=rates)


def compared(shape: Shape, bf16: bool, rounds: int, steps: int) -> Figure:
    """One shape in one precision; RuntimeError where the two do not compute the same."""
    ours, plain = ours_of(shape), Plain(shape)
    plain.load_state_dict(renamed(ours.state_dict()))
    tokens = torch.randint(VOCABULARY, (100_000,), generator=torch.Generator().manual_seed(0))
    loops = (product_loop(ours, tokens, bf16), plain_loop(plain, tokens, bf16))
    begun = [loop(3) for loop in loops]
    apart = max(abs(a - b) for a, b in zip(*(losses for losses, _ in begun), strict=True))
    if apart > TOLERANCE[bf16]:
        raise RuntimeError(f"losses of the same steps differ by {apart:.2g}")
    spent = [[1000 * loop(steps)[1] / steps for loop in loops] for _ in range(rounds)]
    mine, theirs = (statistics.median(times) for times in zip(*spent, strict=True))
    size = num_parameters(ours) / 1e6
    return Figure(
        name=f"{size:.1f} M, {'bfloat16' if bf16 else 'float32'}",
        cpu=mine,
        wall=None,
        unit="ms/step",
        peer=theirs,
        peer_name=f"a plain loop, losses equal within {apart:.1g}",
        ratios=[other / own for own, other in spent],
        least_ratio=TARGET,
    )


def ours_of(shape: Shape) -> Transformer:
    """The product's model."""
    config = TransformerConfig(
        vocab_size=VOCABULARY, max_positions=CONTEXT, d_mlp=4 * shape.d_model, norm="layernorm", positions="learned",
        mlp="gelu_tanh", qkv_bias=True, out_bias=True, mlp_bias=True, family="gpt2", **shape._asdict(),
    )  # fmt: skip
    return Transformer(config, generator=torch.Generator().manual_seed(0))


def renamed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our weights under the plain model's names."""
    found = {}
    for name, weight in weights.items():
        name = name.replace(".attn.", ".").replace(".mlp.", ".").replace("pos_embed", "places")
        found[name.replace("ln_f", "norm")] = weight.clone()
    return found


def product_loop(model: Transformer, tokens: Tensor, bf16: bool) -> Callable[[int], tuple[list[float], float]]:
    """So many steps of `learn.loop`: losses, and processor seconds."""

    def step(net: nn.Module, rows: Tensor) -> StepResult:
        logits = net(rows[:, :-1])
        return StepResult(F.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten()))

    def loop(steps: int) -> tuple[list[float], float]:
        drawn = batches(tokens)
        optim = Optim(peak=RATE, final=1.0, warmup_steps=0, betas=BETAS, weight_decay=DECAY)
        losses = Kept()
        begin = time.process_time()
        plan = Fit(num_steps=steps, optim=optim, bf16=bf16, log_every=1)
        fit(step, lambda _: next(drawn), model, fit=plan, log=losses)
        return [values["loss"] for _, values in sorted(losses.items())], time.process_time() - begin

    return loop


def plain_loop(model: Plain, tokens: Tensor, bf16: bool) -> Callable[[int], tuple[list[float], float]]:
    """The same by hand."""

    def loop(steps: int) -> tuple[list[float], float]:
        drawn, losses = batches(tokens), []
        begin = time.process_time()
        matrices = [p for p in model.parameters() if p.ndim > 1]
        others = [p for p in model.parameters() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
        optimiser = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=True)
        for _ in range(steps):
            rows = next(drawn)
            with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
                logits = model(rows[:, :-1])
                loss = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(loss.item())
        return losses, time.process_time() - begin

    return loop


def batches(tokens: Tensor) -> Iterator[Tensor]:
    """Rows cut from the array, the same for everyone who begins."""
    rng = torch.Generator().manual_seed(1)
    while True:
        starts = torch.randint(len(tokens) - CONTEXT - 1, (ROWS,), generator=rng).tolist()
        yield torch.stack([tokens[start : start + CONTEXT + 1] for start in starts])


if __name__ == "__main__":
    main()
