"""What it costs to score every head, and to leave every head out once, TransformerLens beside it.

    python -m benches.heads [--json FILE] [--rounds 3] [--peer PYTHON]

Scores: prefix matching of every head of a model of GPT-2 small's shape, its weights drawn at random, on 8 sequences of
256 tokens (a block of 85, three times). The peer keeps every pattern, or everything, and reads the same score off it;
both have to find the same numbers. Ours in bfloat16 is held against the peer in float32, as its users run it, and a
line says what the peer takes in bfloat16 too. Memory is the most that was held in the course of it beyond the model.

Heads left out, with later patterns computed again (zero) and as they were (frozen): what each head adds to the loss of
the repeated tokens, by a model of 4 layers of 8 heads, width 256 and 1,024 tokens, on the same kind of sequences; and
what it adds to in-context learning, the loss at one late token less that at one early, by a model of GPT-2 small's
shape on one sequence of 127 tokens. The peer runs the whole model once a head.

Products with weights are ours by oneDNN and the peer's in float32 by MKL, as torch does without more ado; `gemm` lines
say what either does on this processor, without anything else.

One thread, processor seconds, rounds alternate. `--peer` is a Python that has TransformerLens.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benches.bench import Figure, options, publish
from benches.beside import Worker, worker
from benches.memory import resident_mib
from gnomon.core.seeds import Seed
from gnomon.explain.induction.attention import looks
from gnomon.explain.induction.sequences import Repeats, repeats
from gnomon.models.ablation import Kind, ablated_losses
from gnomon.models.families import save_folder
from gnomon.models.products import product
from gnomon.models.transformer import Transformer, TransformerConfig

__all__ = ["Round", "main", "rounds_of"]

PERIOD, TIMES, ROWS = 85, 3, 8
# Of the long race of heads left out.
FEW, EARLY, LATE = 42, 12, 124
# The least that the peer's time may be of ours, by what the peer keeps.
PATTERNS, EVERYTHING = {"float32": 1 / 0.8, "bfloat16": 1 / 0.5}, {"float32": 1 / 0.7, "bfloat16": 1 / 0.45}
ABLATIONS = {"float32": 4.0, "bfloat16": 5.0}
TOLERANCE = {"float32": 1e-4, "bfloat16": 2e-3}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Round(NamedTuple):
    """Processor seconds of ours and of the peer's answers by name, and the most that ours and the peer held, in MiB."""

    ours: dict[str, float]
    peer: dict[str, float]
    held: dict[str, float]


class Task(NamedTuple):
    """A model, what it is shown, what to read of it [L, H], and what the peer keeps for that, by precision; where heads
    are left out, what the loss behind each place counts."""

    net: Transformer
    shown: Repeats
    read: Callable[[Transformer, Repeats], Tensor]
    asked: Sequence[tuple[str, str]]
    counts: Mapping[int, float] = {}


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--peer", default="", help="interpreter that has TransformerLens")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures: list[Figure] = []
    held: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        peer = stack.enter_context(worker(args.peer, "heads_peer.py")) if args.peer else None
        for name, task in tasks().items():
            loaded = offered(peer, task, place / name)
            found = rounds_of(task, None if "reason" in loaded else peer, args.rounds)
            figures += shown(name, task, found, loaded.get("name") or loaded["reason"])
            held |= {f"{name}, {what}, most held in MiB": round(mib) for what, mib in found[0].held.items()}
    publish("heads", figures, args.json, more=held | {f"gemm, {name}": rate for name, rate in rates().items()})


def tasks() -> dict[str, Task]:
    """All, by name."""
    large = drawn(TransformerConfig(**_gpt2(50257, 768, 12, 12)))
    small = drawn(TransformerConfig(**_gpt2(1024, 256, 4, 8)))
    keeps = [("patterns", "float32"), ("everything", "float32"), ("patterns", "bfloat16")]
    many, few = sequences(1024), sequences(50257, rows=1, period=FEW)
    repeated = {place - 1: 1 / len(many.places) for place in many.places}
    found = {"scores": Task(large, sequences(50257), scores, keeps)}
    for kind in ("zero", "frozen"):
        # A difference of two tokens' losses is not the same to a thousandth in bfloat16.
        for name, net, shown, counts, dtypes in (
            ("heads left out", small, many, repeated, ("float32", "bfloat16")),
            ("heads left out of GPT-2's shape", large, few, {LATE: 1.0, EARLY: -1.0}, ("float32",)),
        ):
            read = partial(left_out, kind=kind, counts=counts)
            found[f"{name}, {kind}"] = Task(net, shown, read, [(kind, dtype) for dtype in dtypes], counts)
    return found


def rates() -> dict[str, int]:
    """Thousand millions of operations a processor second in the largest product of GPT-2's shape, by library."""
    x_ND, weight_ED = torch.randn(12 * 127, 768), torch.randn(3072, 768)
    found = {}
    for name, way in (("MKL", torch.nn.functional.linear), ("oneDNN", product)):
        spent = []
        for _ in range(5):
            begin = time.process_time()
            way(x_ND, weight_ED)
            spent.append(time.process_time() - begin)
        found[name] = round(2e-9 * x_ND.numel() * len(weight_ED) / min(spent))
    return found


def rounds_of(task: Task, peer: Worker | None, count: int) -> list[Round]:
    """The rounds, after one that is not counted but for memory; RuntimeError where the peer finds other numbers."""
    first = measure(task, peer)
    return [measure(task, peer)._replace(held=first.held) for _ in range(count)]


def measure(task: Task, peer: Worker | None) -> Round:
    """Every way once."""
    ours, theirs, held, found = {}, {}, {}, {}
    for name, dtype in DTYPES.items():
        net = task.net if name == "float32" else deepcopy(task.net).to(dtype)
        before = resident_mib(fresh=True)
        begin = time.process_time()
        found[name] = task.read(net, task.shown).float()
        ours[name] = time.process_time() - begin
        held[f"ours in {name}"] = resident_mib(most=True) - before
    for keeps, dtype in task.asked if peer else ():
        assert peer is not None
        answer = peer.ask(do="read", keeps=keeps, dtype=dtype)
        theirs[f"{keeps}, {dtype}"], held[f"peer, {keeps} in {dtype}"] = answer["cpu_s"], answer["held_mib"]
        apart = float((found[dtype] - torch.tensor(answer["found"])).abs().max())
        if apart > TOLERANCE[dtype]:
            raise RuntimeError(f"{keeps} in {dtype}: the peer's numbers differ from ours by {apart:.2g}")
    return Round(ours, theirs, held)


def shown(name: str, task: Task, found: Sequence[Round], peer: str) -> list[Figure]:
    """Ours in both precisions beside the peer in float32, and in bfloat16 where it was asked."""
    pairs = [(dtype, keeps) for dtype in DTYPES for keeps, of in task.asked if of == "float32"]
    figures = [figure(f"{name}, {dtype}", dtype, f"{keeps}, float32", found, peer) for dtype, keeps in pairs]
    for keeps, of in task.asked:
        if of != "float32":
            figures.append(figure(f"{name}, {of}", of, f"{keeps}, {of}", found, peer))
    return figures


def figure(name: str, dtype: str, theirs: str, found: Sequence[Round], peer: str) -> Figure:
    """One line."""
    keeps = theirs.partition(",")[0]
    least = {"patterns": PATTERNS, "everything": EVERYTHING, "zero": ABLATIONS, "frozen": ABLATIONS}[keeps].get(dtype)
    there = [each.peer[theirs] for each in found if each.peer]
    return Figure(
        name=name,
        cpu=statistics.median(each.ours[dtype] for each in found),
        wall=None,
        unit="s",
        peer=statistics.median(there) if there else None,
        peer_name=f"{peer}, {theirs}" if there else peer,
        ratios=[each.peer[theirs] / each.ours[dtype] for each in found if each.peer],
        least_ratio=None if theirs.endswith("bfloat16") else least,
    )


def scores(net: Transformer, of: Repeats) -> Tensor:
    """Prefix matching of each head, [L, H]."""
    return looks(net, of)["prefix matching"].mean(0)


def left_out(net: Transformer, of: Repeats, kind: Kind, counts: Mapping[int, float]) -> Tensor:
    """What leaving out each head adds to losses, each as much as it counts, [L, H] in nats."""
    found = ablated_losses(net, of.tokens_NT, kind, at=list(counts))
    return ((found.without_LHBT - found.whole_BT) @ torch.tensor(list(counts.values()))).mean(-1)


def sequences(num_tokens: int, rows: int = ROWS, period: int = PERIOD) -> Repeats:
    """Sequences of a block of tokens, three times over."""
    return repeats(range(1, num_tokens), rows, Seed(0), bos=0, period=period, times=TIMES)


def drawn(config: TransformerConfig) -> Transformer:
    """A model with weights large enough for attention to prefer something."""
    net = Transformer(config, generator=torch.Generator().manual_seed(0)).requires_grad_(False).eval()
    for name, parameter in net.named_parameters():
        if parameter.ndim == 2 and "embed" not in name:
            parameter.mul_(3)
    return net


def offered(peer: Worker | None, task: Task, folder: Path) -> dict[str, Any]:
    """What the peer says when it has loaded the model and the sequences."""
    if peer is None:
        return {"reason": "no --peer"}
    save_folder(task.net, folder)
    told = {"tokens": task.shown.tokens_NT.tolist(), "places": task.shown.places, "period": task.shown.period}
    told |= {"at": list(task.counts), "counts": list(task.counts.values())}
    (folder / "shown.json").write_text(json.dumps(told), encoding="utf-8")
    return peer.ask(do="load", folder=str(folder))


def _gpt2(vocab_size: int, d_model: int, num_layers: int, num_heads: int) -> dict[str, Any]:
    return {
        "vocab_size": vocab_size, "d_model": d_model, "num_layers": num_layers, "num_heads": num_heads,
        "d_mlp": 4 * d_model, "max_positions": 1024, "norm": "layernorm", "positions": "learned", "mlp": "gelu_tanh",
        "qkv_bias": True, "out_bias": True, "mlp_bias": True, "family": "gpt2",
    }  # fmt: skip


if __name__ == "__main__":
    main()
