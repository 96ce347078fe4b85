"""The peer of `benches.harness`: inspect-ai asking its mock model, run by an interpreter that has it.

    PYTHON benches/harness_peer.py [SAMPLES]        prints one JSON object

Imports nothing of gnomon. The mock's outputs state their token usage, as a real endpoint's do: without it inspect-ai
downloads a tokenizer's table to estimate it. So it runs offline, and is spared that estimate.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time

import inspect_ai
from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import choice
from inspect_ai.solver import multiple_choice

ROUNDS = 3


def main() -> None:
    """Median processor time a sample, logs written to a folder that goes away."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as logs:
        spent(20, logs)
        cpu = statistics.median(spent(count, logs) for _ in range(ROUNDS)) / count
    print(json.dumps({"name": f"inspect-ai {inspect_ai.__version__}", "cpu_ms": 1e3 * cpu}))


def spent(count: int, logs: str) -> float:
    """Processor seconds of one evaluation."""
    begin = time.process_time()
    (log,) = inspect_ai.eval(
        Task(dataset=MemoryDataset(samples(count)), solver=multiple_choice(), scorer=choice()),
        model=get_model("mockllm/model", custom_outputs=[output() for _ in range(count)]),
        log_dir=logs,
        display="none",
    )
    used = time.process_time() - begin
    if log.status != "success":
        raise RuntimeError(f"the evaluation ended as {log.status}: {log.error.message if log.error else ''}")
    return used


def output() -> ModelOutput:
    """An answer that the scorer can read."""
    found = ModelOutput.from_content("mockllm/model", "ANSWER: A")
    found.usage = ModelUsage(input_tokens=80, output_tokens=4, total_tokens=84)
    return found


def samples(count: int) -> list[Sample]:
    """Questions about nothing, with four options each."""
    rng = random.Random(0)
    texts = [f"word{i}" for i in range(60)]
    return [
        Sample(f"Which word goes with number {i}.{rng.randrange(10**9)}?", rng.sample(texts, 4), rng.choice("ABCD"))
        for i in range(count)
    ]


if __name__ == "__main__":
    main()
