"""What grading HumanEval+ costs a sample beside evalplus, as commands, and on how many programs the two disagree.

    python -m benches.grade_plus --problems HumanEval.jsonl.gz --peer PYTHON [--json FILE] [--rounds 3]

HumanEval+'s own inputs are not needed: a file of its form is made from HumanEval, with the inputs of the published
tests and changed ones that the reference takes. Costs are those of the references; verdicts are compared on them, on
empty solutions, and on two faulty versions of each.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from benches.bench import Figure, median, once, options, publish
from benches.grade import gnomon, in_turns, read
from gnomon.core.seeds import Seed
from gnomon.data.code_mutants import mutants

_MOST = 30
# Its tolerance there; equality is asked for elsewhere.
_CLOSE = {"HumanEval/32": 1e-4}


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__, rounds=3)
    parser.add_argument("--problems", required=True, help="HumanEval.jsonl.gz")
    parser.add_argument("--peer", required=True, help="interpreter that has evalplus")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [tabled(row) for row in read(Path(args.problems))]
        table = _lines(folder / "plus.jsonl", rows)
        right = _lines(folder / "right.jsonl", [_sample(row, _source(row)) for row in rows])
        every = _lines(folder / "every.jsonl", [_sample(row, text) for row in rows for text in _versions(row)])
        commands = [gnomon(table, right, folder), evalplus(args.peer, table, right, folder)]
        once(commands[1])  # it keeps the answers that it wants from here on
        ours, theirs = in_turns(commands, args.rounds)
        differ = _differing(table, every, folder, args.peer)
    per_sample, spent = 1e3 / len(rows), median(ours)
    figure = Figure(
        name="grade HumanEval+",
        cpu=spent.cpu * per_sample,
        wall=spent.wall * per_sample,
        unit="ms/sample",
        peer=median(theirs).cpu * per_sample,
        peer_name="evalplus",
        ratios=[b.cpu / a.cpu for a, b in zip(ours, theirs, strict=True)],
    )
    publish("grade_plus", [figure], args.json, children=True, more=differ)


def tabled(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of HumanEval in the form of HumanEval+."""
    names: dict[str, Any] = {}
    source = row["prompt"] + row["canonical_solution"]
    exec(f"{source}\n{row['test']}", names)
    reference, base = names[row["entry_point"]], []

    def recorder(*args: Any) -> Any:
        base.append(json.loads(json.dumps(args)))
        return reference(*args)

    random.seed(0)
    names["check"](recorder)
    base = [args for i, args in enumerate(base) if args not in base[:i]][:_MOST]
    more = [args for args in map(_changed, base) if args not in base and _takes(reference, args)]
    kept = {key: row[key] for key in ("task_id", "prompt", "entry_point", "canonical_solution")}
    return {**kept, "base_input": base, "plus_input": more, "contract": "", "atol": _CLOSE.get(row["task_id"], 0)}


def evalplus(python: str, table: Path, samples: Path, folder: Path) -> list[str]:
    """The peer's command, with one worker."""
    call = (
        "import sys; from pathlib import Path; from evalplus.evaluate import evaluate; "
        "Path(sys.argv[1].replace('.jsonl', '_eval_results.json')).unlink(missing_ok=True); "
        "evaluate('humaneval', sys.argv[1], parallel=1)"
    )
    return ["env", f"HUMANEVAL_OVERRIDE_PATH={table}", f"XDG_CACHE_HOME={folder}", python, "-c", call, str(samples)]


def _differing(table: Path, samples: Path, folder: Path, peer: str) -> dict[str, Any]:
    mine = folder / "mine.json"
    once([*gnomon(table, samples, folder), "--results", str(mine)])
    once(evalplus(peer, table, samples, folder))
    theirs = samples.with_name(f"{samples.stem}_eval_results.json")
    found, wanted = (json.loads(path.read_text())["eval"] for path in (mine, theirs))
    # a sample counts for evalplus where both halves of its tables passed
    pairs = [
        (task, a["plus_status"] == "pass", b["base_status"] == b["plus_status"] == "pass")
        for task in wanted
        for a, b in zip(found[task], wanted[task], strict=True)
    ]
    told = ", ".join(f"{task} (ours {'pass' if a else 'fail'})" for task, a, b in pairs if a != b)
    return {"programs": len(pairs), "pass here": sum(a for _, a, _ in pairs), "verdicts that differ": told or "none"}


def _versions(row: Mapping[str, Any]) -> Iterator[str]:
    source = _source(row)
    yield source
    yield f"{row['prompt']}    pass\n"
    yield from mutants(source, row["entry_point"], 2, Seed(0))


def _changed(args: list[Any]) -> list[Any]:
    """The inputs with one more at the end of each list or text, and every number one higher."""

    def change(value: Any) -> Any:
        if isinstance(value, str):
            return value + value[-1:]
        if isinstance(value, list):
            return value + value[-1:]
        return value + 1 if type(value) in (int, float) else value

    return [change(deepcopy(value)) for value in args]


def _takes(reference: Any, args: list[Any]) -> bool:
    try:
        return not isinstance(reference(*deepcopy(args)), complex)
    except Exception:
        return False


def _source(row: Mapping[str, Any]) -> str:
    return str(row["prompt"] + row["canonical_solution"])


def _sample(row: Mapping[str, Any], source: str) -> dict[str, str]:
    return {"task_id": row["task_id"], "solution": source}


def _lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
