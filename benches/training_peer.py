"""The peer of `benches.training`: TRL's trainers, run by an interpreter that has them.

    PYTHON benches/training_peer.py          reads one JSON job a line, prints one JSON answer a line

Jobs: {"do": "load", "folder": …, "things": FILE} answers with the peer's `name`, or the `reason` why it is not there;
{"do": "train", "task": "sft" | "preference", "rate": …, "batch": …, "given": …, "losses": …} with `cpu_s`, `wall_s` and
`losses`. With `given` the batches are those of the file, in its order; else the peer draws its own. With `losses`
every step is logged, else the last alone. One thread, float32; imports nothing of gnomon.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


def answering(
    load: Callable[[dict[str, Any]], tuple[Answer, Callable[[dict[str, Any]], Answer] | None]],
) -> None:
    """Does job after job until there are no more; the one called "load" says what does the others."""
    answers = os.fdopen(os.dup(1), "w")
    # Whatever the peer prints is no answer.
    os.dup2(2, 1)
    train: Callable[[dict[str, Any]], Answer] | None = None
    for line in sys.stdin:
        job = json.loads(line)
        if job["do"] == "load":
            answer, train = load(job)
        else:
            assert train is not None
            answer = train(job)
        print(json.dumps(answer), file=answers, flush=True)


def loaded(job: dict[str, Any]) -> tuple[Answer, Callable[[dict[str, Any]], Answer] | None]:
    """The peer's name and what trains; or the reason why there is none."""
    try:
        import datasets
        import torch
        import transformers
        import trl
    except ImportError as error:
        return {"reason": str(error)}, None
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    things = json.loads(Path(job["things"]).read_text(encoding="utf-8"))
    return {"name": f"TRL {trl.__version__}"}, lambda asked: trained(asked, job["folder"], things[asked["task"]])


def trained(job: dict[str, Any], folder: str, rows: list[Any]) -> Answer:
    """One pass over `rows` from the weights in `folder`."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer, PrinterCallback
    from trl import RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    watch = clock()
    if job["task"] == "sft":
        data = [{"input_ids": ids, "labels": [-100] * start + ids[start:]} for ids, start in rows]
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        trainer, config = SFTTrainer, SFTConfig
    else:
        data = [{"chosen_ids": chosen, "rejected_ids": rejected} for chosen, rejected in rows]
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
        torch.nn.init.zeros_(model.score.weight)
        trainer, config = RewardTrainer, RewardConfig
    with tempfile.TemporaryDirectory() as out:
        made = trainer(
            model,
            args=config(output_dir=out, **settings(job)),
            train_dataset=Dataset.from_list(data),
            processing_class=tokenizer,
            callbacks=[watch],
        )
        made.remove_callback(PrinterCallback)
        made.train()
    losses = [float(row["loss"]) for row in made.state.log_history if "loss" in row]
    return {"cpu_s": watch.cpu, "wall_s": watch.wall, "losses": losses}


def settings(job: dict[str, Any]) -> dict[str, Any]:
    """The optimiser and precision of Gnomon's side, and nothing beside the training."""
    return {
        "per_device_train_batch_size": job["batch"],
        "num_train_epochs": 1,
        "learning_rate": job["rate"],
        "lr_scheduler_type": "constant",
        "weight_decay": 0.05,
        "adam_beta2": 0.98,
        "max_grad_norm": 1.0,
        "bf16": False,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "train_sampling_strategy": "sequential" if job["given"] else "random",
        "logging_strategy": "steps" if job["losses"] else "epoch",
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
    }


def clock() -> Any:
    """A callback that reads the clocks from the first step's beginning to the end of training."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        cpu = wall = 0.0

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.process_time(), time.perf_counter()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            self.cpu, self.wall = time.process_time() - self.begun[0], time.perf_counter() - self.begun[1]

    return Clock()


if __name__ == "__main__":
    answering(loaded)
