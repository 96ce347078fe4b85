"""What trainers of models that exist share: where they start, a progress line, the folder they leave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from torch import nn

from gnomon.core.config import to_json
from gnomon.core.errors import ModelError, UsageError
from gnomon.core.progress import progress
from gnomon.core.seeds import Seed
from gnomon.data.hub import files_hash
from gnomon.data.mixtures import sources
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.learn.batches import Epochs
from gnomon.learn.checkpoint import saved_step
from gnomon.learn.heads import ScalarHead, save_head
from gnomon.learn.loop import Fit, StepResult, fit
from gnomon.learn.lora import add_low_rank, merge_low_rank, save_adapter
from gnomon.learn.optim import Optim
from gnomon.models.families import load_folder, save_folder
from gnomon.models.load import checkpoint_folder, content_hash
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, num_parameters

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = [
    "STATE",
    "Start",
    "Thrifty",
    "at_least",
    "context_of",
    "end_of",
    "identity",
    "keep",
    "low_rank",
    "plan_of",
    "shown_fit",
    "start_from",
    "write_recipe",
]

Batch = TypeVar("Batch")

_END_OF_CONTEXT = "<eoc>"

STATE = "state.safetensors"
"""Where in its run's folder a training goes on from."""


@dataclass(frozen=True, kw_only=True)
class Thrifty:
    """Settings of every training that is to fit into less memory."""

    accumulate: int = 1
    "Forwards that a step is cut into: so much less memory, the same gradient."
    recompute: bool = False
    "Compute activations again for the gradient: much less memory, one more forward, the same numbers."
    lora: int = 0
    "Rank of an update to learn in place of all weights, for large models; 0 learns all weights."

    def __post_init__(self) -> None:
        at_least(1, accumulate=self.accumulate)
        at_least(0, lora=self.lora)


class Start(NamedTuple):
    """The model that training starts from: its network, its tokenizer, and the hash of its weights."""

    net: Transformer
    tokenizer: Tokenizer
    revision: str


def start_from(model: str, data: str) -> Start:
    """The model called `model`, about to learn from `data`.

    Raises:
        UsageError: its weights are not on this machine.
        ModelError: it cannot be found or read, is none that our transformer computes, or has no token to end a text.
    """
    folder = checkpoint_folder(model)
    net, tokenizer = load_folder(folder), Tokenizer.load(folder)
    if tokenizer.eos_id is None:
        raise ModelError("the tokenizer has no end-of-text token", where=str(folder), todo="set eos_token")
    if any(name.partition(":")[0] == "brook" for name in sources(data)):
        from gnomon.data.worlds.brook.rated import CHAT_TEMPLATE

        tokenizer.chat_template = CHAT_TEMPLATE
    return Start(net, tokenizer, content_hash(folder))


def identity(cfg: Any) -> dict[str, str]:
    """What decides a run's numbers beside its config: hashes of the first weights, of the data's file, of Brook."""
    found = {"model": content_hash(checkpoint_folder(cfg.model)), **in_identity([cfg.data])}
    files = [name for name in sources(cfg.data) if name.partition(":")[0] != "brook"]
    if files:
        found["data"] = files_hash(files)
    return found


def end_of(tokenizer: Tokenizer, *, context: bool) -> tuple[int, str]:
    """The token that ends a text, as id and text: with `context` the one made for reading a value, if there is one."""
    added = tokenizer.backend.token_to_id(_END_OF_CONTEXT) if context else None
    end = tokenizer.eos_ids[0] if added is None else added
    return end, str(tokenizer.backend.id_to_token(end))


def context_of(net: Transformer, asked: int) -> int:
    """Longest text in tokens: `asked`, or what the model has positions for where that is 0."""
    limit = net.config.max_positions
    if asked > limit:
        raise UsageError(f"--context is {asked}, and the model has {limit} positions", todo=f"give at most {limit}")
    return asked or limit


def at_least(least: int, **fields: int) -> None:
    """Raises `UsageError` for a field of a config that is below `least`."""
    for name, value in fields.items():
        if value < least:
            raise UsageError(f"--{name.replace('_', '-')} is {value}", todo=f"give {least} or more")


def plan_of(cfg: Any, order: Epochs) -> Fit:
    """How a config is fitted in so many epochs: the rate rises for a few steps to its peak, and then falls."""
    steps = cfg.epochs * order.per_epoch
    optim = Optim(peak=cfg.peak_rate, warmup_steps=min(20, steps // 5))
    seed = Seed(cfg.seed).child("fit").value
    return Fit(num_steps=steps, optim=optim, seed=seed, bf16=cfg.bf16, recompute=cfg.recompute)


def shown_fit(
    step: Callable[[nn.Module, Batch], StepResult],
    batches: Callable[[int], Batch | list[Batch] | None],
    model: nn.Module,
    *,
    plan: Fit,
    run: Run,
    label: str,
    watch: Callable[[nn.Module], Mapping[str, float]] | None = None,
) -> None:
    """`learn.loop.fit` with its log and its state in the run's folder, and a progress line that shows the loss."""
    state = run.folder / STATE
    shown = saved_step(state)
    with progress(plan.num_steps, f"{label}, step", done=shown) as bar:

        def on_log(done: int, row: Mapping[str, float]) -> None:
            nonlocal shown
            bar.advance(done - shown, estimate=f"loss {row['loss']:.3f}" if "loss" in row else "")
            shown = done

        fit(step, batches, model, fit=plan, log=run, state=state, watch=watch, on_log=on_log)


@contextmanager
def low_rank(cfg: Any, run: Run, start: Start) -> Iterator[None]:
    """Where `cfg.lora` is a rank, only an update of that rank learns inside; afterwards it is in the weights.

    It is kept beside them too, as a PEFT adapter in `adapter/` of the run's folder.
    """
    if not cfg.lora:
        yield
        return
    with torch.random.fork_rng():
        torch.manual_seed(Seed(cfg.seed).child("lora").value)
        add_low_rank(start.net, cfg.lora)
    yield
    save_adapter(start.net, run.folder / "adapter", base=cfg.model.removeprefix("hf:"))
    merge_low_rank(start.net)


def keep(
    cfg: Any,
    run: Run,
    start: Start,
    facts: Mapping[str, Any],
    *,
    head: ScalarHead | None = None,
    read_at: str = "",
) -> Path:
    """Writes what was trained to `checkpoint/` in the run's folder, with a recipe, and returns that folder."""
    folder = run.folder / "checkpoint"
    save_folder(start.net, folder, tokenizer=start.tokenizer)
    if head is not None:
        save_head(head, folder, read_at=read_at)
    write_recipe(cfg, folder, start, facts)
    return folder


def write_recipe(cfg: Any, folder: Path, start: Start, facts: Mapping[str, Any]) -> None:
    """Writes `recipe.json` into the folder of a model: how it was made."""
    recipe = {
        "config": to_json(cfg),
        "start": {"model": cfg.model, "revision": start.revision},
        "parameters": num_parameters(start.net),
        **facts,
    }
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
