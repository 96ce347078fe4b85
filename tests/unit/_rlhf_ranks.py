"""Trainings by reinforcement that one process and several have to do alike; what came out goes to the folder named.

torchrun --standalone --nproc-per-node 2 tests/unit/_rlhf_ranks.py MODEL REWARD FOLDER
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from gnomon.core.errors import Stopped
from gnomon.learn.parallel import joined, ranks
from gnomon.learn.policy import ppo_step
from gnomon.store.run import Run
from gnomon.train import rlhf
from gnomon.train._running import run_training
from gnomon.train.rlhf import Rlhf

# Odd numbers: neither questions nor answers divide into two.
CASES: dict[str, dict[str, Any]] = {
    "ppo": {"answers": 7, "passes": 2, "parts": 2, "accumulate": 2, "snapshots": 1},
    "rloo": {"algorithm": "rloo", "answers": 6, "per_prompt": 2, "lora": 3, "peak_rate": 3e-3},
}


def configured(model: str, reward: str, name: str) -> Rlhf:
    common = {"rounds": 3, "held_out": 5, "probes": 3, "every": 2, "max_tokens": 12, "budget": 0.0, "peak_rate": 1e-3}
    return Rlhf(**{"reward": reward, "model": model, **common, **CASES[name]})


def logged(root: Path) -> dict[str, float]:
    """What the only run in `root` logged."""
    (folder,) = root.iterdir()
    run = Run.find(str(folder))
    found = {f"{m.step} {m.name}": m.value for m in run.metrics()}
    run.close()
    return found


def weights(root: Path) -> bytes:
    (file,) = root.glob("*/checkpoint/model.safetensors")
    return file.read_bytes()


def tried(config: Rlhf, root: Path) -> str:
    """What a training ends with; the other processes end by leaving."""
    try:
        run_training(config, "rlhf", root=root)
    except SystemExit as left:
        return str(left.code)
    except Stopped as stopped:
        return str(stopped)
    return "0"


def main(model: str, reward: str, folder: Path) -> None:
    """Trains all, and one once more with a stop on the way; the first process writes what came out."""
    with joined() as me:
        for name in CASES:
            tried(configured(model, reward, name), folder / name)
        made = [0]

        def stopping(actor: Any, batch: Any) -> Any:
            made[0] += 1
            if made[0] == 3 and not ranks().rank:
                os.kill(os.getpid(), signal.SIGINT)
            return ppo_step(actor, batch)

        rlhf.ppo_step = stopping
        told = tried(configured(model, reward, "ppo"), folder / "cut")
        rlhf.ppo_step = ppo_step
        tried(configured(model, reward, "ppo"), folder / "cut")
        if not me.rank:
            found = {"size": me.size, "told": told, "same": weights(folder / "cut") == weights(folder / "ppo")}
            (folder / "found.json").write_text(json.dumps({**found, **{n: logged(folder / n) for n in CASES}}))


if __name__ == "__main__":
    main(*sys.argv[1:3], Path(sys.argv[3]))
