"""Ability's numbers equal those of lm-evaluation-harness's own task types on the same rows and checkpoint.

The harness runs in an environment of its own; `tests.contract.peers` says which. Without one the test is skipped.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.ability import Ability
from gnomon.core.seeds import Seed
from gnomon.models.load import load_checkpoint
from gnomon.report.base import Report
from gnomon.trial.base import Cast
from gnomon.trial.job import ask
from tests.contract.parity import made_folder, questions
from tests.contract.peers import peer_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HARNESS = """
import json, sys
import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks.truthfulqa.utils import process_results_mc2
folder, choices, truths, passages = sys.argv[1:5]
def rows(file):
    return {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": file}}, "test_split": "test"}
asked = "Question: {{question}}\\nAnswer:"
tasks = [
    {"task": "choices", **rows(choices), "output_type": "multiple_choice", "doc_to_text": asked,
     "doc_to_target": "answer", "doc_to_choice": "choices",
     "metric_list": [{"metric": m} for m in ("acc", "acc_norm", "acc_bytes")]},
    {"task": "mc1", **rows(truths), "output_type": "multiple_choice", "doc_to_text": asked, "doc_to_target": 0,
     "doc_to_choice": "{{mc1_targets.choices}}", "metric_list": [{"metric": "acc"}]},
    {"task": "mc2", **rows(truths), "output_type": "multiple_choice", "doc_to_text": asked, "doc_to_target": 0,
     "doc_to_choice": "{{mc2_targets.choices}}", "process_results": process_results_mc2,
     "metric_list": [{"metric": "acc"}]},
    {"task": "passages", **rows(passages), "output_type": "loglikelihood",
     "doc_to_text": "{{text.split(' ')[:-1]|join(' ')}}", "doc_to_target": "{{' '+text.split(' ')[-1]}}",
     "metric_list": [{"metric": "acc"}, {"metric": "perplexity"}]},
]
lm = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=8)
found = lm_eval.simple_evaluate(model=lm, tasks=tasks, bootstrap_iters=0)["results"]
print(json.dumps({name: {k: v for k, v in of.items() if isinstance(v, float)} for name, of in found.items()}))
"""


def _rows() -> dict[str, list[dict[str, Any]]]:
    """Choices of unequal length, truths in TruthfulQA's layout, and passages; the right option stands anywhere."""
    asked = [
        (q.prompt.rpartition("Question: ")[2].removesuffix("\nAnswer:"), q.options) for q in questions(lettered=False)
    ]
    choices = [
        {"question": text, "choices": [o.strip() for o in options], "answer": number % len(options)}
        for number, (text, options) in enumerate(asked)
    ]
    truths = [
        {
            "question": text,
            "mc1_targets": {"choices": [o.strip() for o in options], "labels": [1] + [0] * (len(options) - 1)},
            "mc2_targets": {"choices": [o.strip() for o in options], "labels": [1, 1] + [0] * (len(options) - 2)},
        }
        for text, options in asked
        if len(options) > 2
    ]
    passages = [{"text": f"{text} {options[0].strip()}"} for text, options in asked]
    return {"choices": choices, "truths": truths, "passages": passages}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ability")
    made_folder(folder / "model")
    for name, rows in _rows().items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def harness(files: Path) -> dict[str, dict[str, float]]:
    python = peer_python("lm_eval", "torch", "datasets", "accelerate")
    paths = [files / "model", *(files / f"{name}.jsonl" for name in ("choices", "truths", "passages"))]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(files / "cache")}
    done = subprocess.run([python, "-c", HARNESS, *map(str, paths)], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _ours(files: Path, name: str, **settings: Any) -> tuple[Report, str]:
    config = Ability(tasks=(str(files / f"{name}.jsonl"),), n=0, **settings)

    async def rows() -> list[Any]:
        cast = Cast({"subject": load_checkpoint(files / "model")})
        return list(await asyncio.gather(*(ask(config, item, cast, Seed(0)) for item in config.items(Seed(0)))))

    found = asyncio.run(rows())
    return config.summarise(found), found[0].evidence["series"]


def test_accuracies_by_texts_are_the_harness_s(files: Path, harness: dict[str, dict[str, float]]) -> None:
    report, series = _ours(files, "choices")
    for ours, theirs in (("sum", "acc"), ("character", "acc_norm"), ("byte", "acc_bytes")):
        assert report.estimate(f"accuracy ({ours})", series).value == pytest.approx(
            harness["choices"][f"{theirs},none"]
        )


def test_truthfulqas_two_tasks_are_the_harness_s(files: Path, harness: dict[str, dict[str, float]]) -> None:
    report, series = _ours(files, "truths", by="sum")
    assert report.estimate("accuracy", series).value == pytest.approx(harness["mc1"]["acc,none"])
    assert report.estimate("MC2", series).value == pytest.approx(harness["mc2"]["acc,none"], abs=1e-5)


def test_last_words_are_the_harness_s(files: Path, harness: dict[str, dict[str, float]]) -> None:
    report, series = _ours(files, "passages")
    assert report.estimate("accuracy", series).value == pytest.approx(harness["passages"]["acc,none"])
    assert report.estimate("perplexity", series).value == pytest.approx(
        harness["passages"]["perplexity,none"], rel=1e-4
    )
