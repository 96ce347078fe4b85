"""Hands a lesson to one of TRL's trainers, and keeps its log and its state as those of any other training.

TRL (github.com/huggingface/trl) is no dependency: it is imported when one of its trainers is asked for, and
`pip install 'gnomon[trl]'` installs it. Its releases remove trainers now and then; this is
its interface 1.x.
"""

from __future__ import annotations

import importlib
import math
import re
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from gnomon.core.errors import RunError, Stopped, UsageError
from gnomon.core.progress import Bar, progress
from gnomon.learn.loop import interruptible

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["Lesson", "package", "quiet", "taught"]

_STATES = "trl"
_SAVE_EVERY_S = 30.0
# Clocks and counters that TRL logs beside what it measured.
_CLOCKS = {"epoch", "num_tokens", "step_time", "total_flos"}
# What every training logs has one name; the rest says whose it is.
_OURS = {"loss": "loss", "grad_norm": "grad_norm", "learning_rate": "rate"}


class Lesson(NamedTuple):
    """What is to be learnt.

    Attributes:
        trainer: what TRL calls it: "Reward", "RLOO", "GRPO", "DPO" or "SFT".
        model: a network of `transformers`, or the folder of one, which a reference model is then read from too.
        tokenizer: of `transformers`.
        rows: the data, in the columns that the trainer reads.
        settings: of the trainer's config.
        more: further arguments of the trainer.
    """

    trainer: str
    model: Any
    tokenizer: Any
    rows: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    more: Mapping[str, Any] = {}


def package(name: str) -> Any:
    """The package called `name`.

    Raises:
        UsageError: it is not installed, or it is a TRL of another interface.
    """
    todo = "pip install 'gnomon[trl]'"
    try:
        found = importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"TRL's trainers need {error.name or name}, which is not installed", todo=todo) from None
    version = str(getattr(found, "__version__", ""))
    if name == "trl" and version.partition(".")[0] != "1":
        raise UsageError(f"TRL {version} is installed, and its interface 1.x is needed", todo=todo)
    return found


def taught(lesson: Lesson, run: Run, *, steps: int, rank: int, seed: int) -> Any:
    """The network after `steps` steps; the same call goes on where an earlier one stopped.

    Args:
        rank: of the update that PEFT learns in place of all weights; 0 learns all.
        seed: of TRL's own order and draws.

    Raises:
        Stopped: Ctrl-C.
        RunError: a loss is not finite.
        UsageError: a package is missing.
    """
    trl, transformers, datasets = (package(name) for name in ("trl", "transformers", "datasets"))
    folder = run.folder / _STATES
    settings = {**_SETTINGS, **lesson.settings, "output_dir": str(folder), "max_steps": steps, "seed": seed}
    more = {**lesson.more, **({"peft_config": _low_rank(rank, lesson.trainer)} if rank else {})}
    begun = _last(folder)
    shown = progress(steps, f"TRL {lesson.trainer}, step", done=_step_of(begun))
    with quiet(), torch.random.fork_rng(), interruptible() as stop, shown as bar:
        trainer = getattr(trl, f"{lesson.trainer}Trainer")(
            lesson.model,
            args=getattr(trl, f"{lesson.trainer}Config")(**settings),
            train_dataset=datasets.Dataset.from_list(list(lesson.rows)),
            processing_class=lesson.tokenizer,
            callbacks=[_callback(transformers.TrainerCallback, run, bar, stop)],
            **more,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train(resume_from_checkpoint=str(begun) if begun else None)
    if trainer.state.global_step < steps:
        todo = "run the same command to go on"
        raise Stopped(f"stopped after step {trainer.state.global_step} of {steps}", todo=todo)
    return trainer.model.merge_and_unload() if rank else trainer.model


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, neither `transformers` nor `datasets` writes over our progress line."""
    transformers, datasets = package("transformers"), package("datasets")
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
        datasets.enable_progress_bars()


# One process, float32, every step logged; states are saved by the callback, when they are due.
_SETTINGS: Mapping[str, Any] = {
    "lr_scheduler_type": "constant_with_warmup",
    "weight_decay": 0.0,
    "max_grad_norm": 1.0,
    "bf16": False,
    "gradient_checkpointing": False,
    "dataloader_pin_memory": False,
    "logging_steps": 1,
    "report_to": "none",
    "save_strategy": "no",
    "save_total_limit": 2,
    "disable_tqdm": True,
}


def _low_rank(rank: int, trainer: str) -> Any:
    return package("peft").LoraConfig(
        r=rank,
        lora_alpha=rank,  # PEFT multiplies the update by lora_alpha / r; ours is not multiplied
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="SEQ_CLS" if trainer == "Reward" else "CAUSAL_LM",
    )


def _callback(base: Any, run: Run, bar: Bar, stop: Event) -> Any:
    class Kept(base):  # type: ignore[misc]  # a class of a package that has no types
        """Writes metrics into the run, and says when to save and when to end."""

        saved_at = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any) -> None:
            if "train_runtime" in logs:
                return
            told = {k: float(v) for k, v in logs.items() if k not in _CLOCKS and isinstance(v, (int, float))}
            found = {_OURS.get(name, f"trl/{name}"): value for name, value in told.items()}
            if not math.isfinite(found.get("loss", 0.0)):
                what = f"the loss of step {state.global_step} is {found['loss']}"
                raise RunError(what, todo="lower the rate and start with --fresh")
            run.add_metrics(state.global_step, found)
            bar.advance(1, estimate=f"loss {found['loss']:.3f}" if "loss" in found else "")

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            late = time.monotonic() - self.saved_at >= _SAVE_EVERY_S
            if stop.is_set() or late:
                control.should_save, self.saved_at = True, time.monotonic()
            control.should_training_stop = control.should_training_stop or stop.is_set()

    return Kept()


def _last(folder: Path) -> Path | None:
    """The newest state that was written whole; TRL writes `trainer_state.json` last."""
    whole = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=_step_of, default=None)


def _step_of(state: Path | None) -> int:
    found = re.search(r"\d+$", state.name) if state else None
    return int(found[0]) if found else 0
