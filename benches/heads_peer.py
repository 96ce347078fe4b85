"""The peer of `benches.heads`: TransformerLens, run by an interpreter that has it.

    PYTHON benches/heads_peer.py             reads one JSON job a line, prints one JSON answer a line

Jobs: {"do": "load", "folder": …} answers with the peer's `name`, or the `reason` why it is not there; the folder has a
model and `shown.json`. {"do": "read", "keeps": "patterns" | "everything" | "zero" | "frozen", "dtype": …} answers with
`found` [L, H], `cpu_s` and `held_mib`. One thread; imports nothing of gnomon.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benches.memory import resident_mib
from benches.training_peer import Answer, answering


def loaded(job: dict[str, Any]) -> tuple[Answer, Callable[[dict[str, Any]], Answer] | None]:
    """The peer's name and what reads; or the reason why there is none."""
    try:
        from importlib.metadata import version

        import torch
        import transformers
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError as error:
        return {"reason": str(error)}, None
    torch.set_num_threads(1)
    folder = Path(job["folder"])

    @cache
    def model(dtype: str) -> Any:
        how = {"attn_implementation": "eager", "dtype": getattr(torch, dtype)}
        inner = transformers.AutoModelForCausalLM.from_pretrained(folder, **how)
        return TransformerBridge.boot_transformers(str(folder), hf_model=inner, device="cpu").to(how["dtype"])

    told = json.loads((folder / "shown.json").read_text(encoding="utf-8"))
    return {"name": f"TransformerLens {version('transformer-lens')}"}, lambda asked: measured(
        model(asked["dtype"]), told, asked
    )


def measured(model: Any, told: dict[str, Any], job: dict[str, Any]) -> Answer:
    """One reading, with what it costs."""
    import torch

    tokens = torch.tensor(told["tokens"])
    read = left_out if job["keeps"] in ("zero", "frozen") else scores
    before = resident_mib(fresh=True)
    begin = time.process_time()
    with torch.no_grad():
        found = read(model, tokens, told, job["keeps"])
    cpu = time.process_time() - begin
    return {"found": found.float().tolist(), "cpu_s": cpu, "held_mib": resident_mib(most=True) - before}


def scores(model: Any, tokens: Any, told: dict[str, Any], keeps: str) -> Any:
    """Prefix matching of every head, off the patterns that were kept."""
    import torch

    patterns = None if keeps == "everything" else (lambda name: name.endswith("hook_pattern"))
    _, read = model.run_with_cache(tokens, names_filter=patterns)
    length, places, period = tokens.shape[1], told["places"], told["period"]
    mask = torch.zeros(length, length)
    for place in places:
        mask[place, [key + 1 for key in range(place - period, 0, -period)]] = 1.0 / len(places)
    kept = [read[f"blocks.{layer}.attn.hook_pattern"] for layer in range(model.cfg.n_layers)]
    return torch.stack([torch.einsum("bhts,ts->h", pattern, mask.to(pattern)) / len(tokens) for pattern in kept])


def left_out(model: Any, tokens: Any, told: dict[str, Any], kind: str) -> Any:
    """What leaving out each head adds to losses, each as much as it counts: one run of the whole model a head."""
    import torch

    counts = torch.tensor(told["counts"])

    def without(head: int) -> Callable[..., Any]:
        def silence(z: Any, hook: Any) -> Any:
            z[:, :, head] = 0
            return z

        return silence

    def loss(**hooks: Any) -> Any:
        found = model.run_with_hooks(tokens, return_type="loss", loss_per_token=True, **hooks)
        return (found[:, told["at"]].float() @ counts).mean()

    forced: list[Any] = []
    if kind == "frozen":
        _, taken = model.run_with_cache(tokens, names_filter=lambda name: name.endswith("hook_pattern"))
        names = [f"blocks.{layer}.attn.hook_pattern" for layer in range(model.cfg.n_layers)]
        forced = [(name, lambda pattern, hook, kept=taken[name]: kept) for name in names]
    whole, layers, heads = loss(), range(model.cfg.n_layers), range(model.cfg.n_heads)
    found = [
        [loss(fwd_hooks=[*forced, (f"blocks.{i}.attn.hook_z", without(h))]) - whole for h in heads] for i in layers
    ]
    return torch.tensor(found)


if __name__ == "__main__":
    answering(loaded)
