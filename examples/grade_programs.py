"""Can a model's program be trusted? Three programs for one problem, one of them dishonest.

    python examples/grade_programs.py

The dishonest one returns an object that is equal to everything; it fails, for tests run where it cannot reach them.
"""

from __future__ import annotations

import json
from pathlib import Path

import gnomon

PROBLEM = {
    "task_id": "example/0",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(3) == 6\n    assert candidate(0) == 0\n",
}
COMPLETIONS = (
    "    return x + x\n",
    "    return x ** 2\n",
    "    class Same:\n        def __eq__(self, other): return True\n    return Same()\n",
)


def main() -> None:
    """Writes the files that graders take, grades them, and prints pass@1 and why samples fail."""
    problems, samples = Path("problems.jsonl"), Path("samples.jsonl")
    problems.write_text(json.dumps(PROBLEM) + "\n")
    samples.write_text("".join(json.dumps({"task_id": "example/0", "completion": c}) + "\n" for c in COMPLETIONS))
    report = gnomon.grade(samples, problems, workers=1)
    print(report.summary)
    for estimate in report.estimates:
        print(f"  {estimate.metric} {estimate.group}: {estimate.value:.2f}")


if __name__ == "__main__":
    main()
