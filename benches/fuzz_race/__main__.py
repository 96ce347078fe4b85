"""Which fuzzer finds more? Both against the same fresh service for the same time, counted by the same rules.

    python -m benches.fuzz_race race TARGET FUZZER [--seconds 60] [--seed 0] [--runs 1] --service PYTHON --peer PYTHON
    python -m benches.fuzz_race compare [FIRST SECOND]
    python -m benches.fuzz_race ablate [--requests 10000] [--seeds 10] [--without PART...]
    python -m benches.fuzz_race inside [--requests 10000] [--seeds 3]

`race` adds its results to build/fuzz_race/results.json; `compare` reads them. `--service` is the interpreter that has
the service (pip install httpbin flasgger waitress; kinto; dagster-webserver; the shop needs none), `--peer` the one
that has schemathesis. Each run keeps every exchange and exception in its folder, from which `recount` counts again.
`ablate` searches the shop in this process, whole and without one part of our fuzzer at a time; its results are in
ablations.json beside this file. `inside` searches the shop in this process and through a socket by turns, and keeps
inside.json there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.fuzz_race.ablation import PARTS, ablated, ablation_table
from benches.fuzz_race.curves import curve
from benches.fuzz_race.entrants import FUZZERS, TARGETS
from benches.fuzz_race.inside import inside_table, searched
from benches.fuzz_race.racing import Envs, count, race
from benches.fuzz_race.verdict import grouped, table, verdict, wilcoxon


def main() -> None:
    """From the command line."""
    args = _parser().parse_args()
    args.out = args.out.resolve()
    if args.verb == "race":
        for seed in range(args.seed, args.seed + args.runs):
            folder = _folder(args.out, args.target, args.fuzzer, args.seconds, seed)
            found = race(args.target, args.fuzzer, args.seconds, seed, Envs(args.service, args.peer), folder)
            _keep(args.out, found)
            print(table([found]), flush=True)
    elif args.verb == "ablate":
        _ablate(args.to, args.without or PARTS, args.requests, args.seeds)
    elif args.verb == "inside":
        runs = searched(args.requests, range(args.seeds), args.connections)
        _write(args.to, runs)
        print(inside_table(runs))
    elif args.verb == "recount":
        for folder in sorted(p.parent for p in args.out.glob("*/run.json")):
            _keep(args.out, count(folder))
        print(table(_results(args.out)))
    else:
        _compare(_results(args.out), *args.fuzzers)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/fuzz_race"), help="folder of the runs and the results")
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("race", help="run a fuzzer against a target")
    one.add_argument("target", choices=TARGETS)
    one.add_argument("fuzzer", choices=FUZZERS)
    one.add_argument("--seconds", type=int, default=60)
    one.add_argument("--seed", type=int, default=0, help="of the first run; each further run has the next")
    one.add_argument("--runs", type=int, default=1)
    one.add_argument("--service", default="", help="interpreter that has the service")
    one.add_argument("--peer", default="", help="interpreter that has schemathesis")
    two = verbs.add_parser("compare", help="table of all results, and a verdict on two fuzzers")
    two.add_argument("fuzzers", nargs="*", default=["schemathesis", "gnomon"])
    parts = verbs.add_parser("ablate", help="what each part of our fuzzer finds")
    parts.add_argument("--requests", type=int, default=10_000, help="of one search")
    parts.add_argument("--seeds", type=int, default=10, help="searches of each condition")
    parts.add_argument("--without", nargs="*", choices=PARTS, default=[], help="only these conditions, by default all")
    parts.add_argument(
        "--to", type=Path, default=Path(__file__).with_name("ablations.json"), help="file of the results"
    )
    within = verbs.add_parser("inside", help="what calling an application in this process is worth")
    within.add_argument("--requests", type=int, default=10_000, help="of one search")
    within.add_argument("--seeds", type=int, default=3, help="searches of each way")
    within.add_argument("--connections", type=int, nargs="*", default=[1, 16])
    within.add_argument("--to", type=Path, default=Path(__file__).with_name("inside.json"), help="file of the results")
    verbs.add_parser("recount", help="count every run again from what it kept")
    return parser


def _ablate(file: Path, parts: Sequence[str], requests: int, seeds: int) -> None:
    runs: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    for part in parts:
        found = ablated(part, requests, range(seeds))
        runs = [*(run for run in runs if run["without"] != part), *found]
        _write(file, runs)
        print(f"without {part}: {[len(run['met']) for run in found]}", flush=True)
    least = min(run["requests"] for run in runs)
    print(ablation_table(runs, (least // 4, least)))


def _write(file: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Runs, one a line."""
    file.write_text("[\n" + ",\n".join(json.dumps(run) for run in runs) + "\n]\n", encoding="utf-8")


def _folder(out: Path, target: str, fuzzer: str, seconds: int, seed: int) -> Path:
    import shutil

    folder = out / f"{target}-{fuzzer}-{seconds}s-{seed}"
    if folder.exists():
        shutil.rmtree(folder)
    return folder


def _results(out: Path) -> list[dict[str, Any]]:
    file = out / "results.json"
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
    return found


def _keep(out: Path, found: dict[str, Any]) -> None:
    def same(other: dict[str, Any]) -> bool:
        return all(other[name] == found[name] for name in ("target", "fuzzer", "seconds", "seed"))

    results = [*(r for r in _results(out) if not same(r)), found]
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _compare(results: list[dict[str, Any]], first: str, second: str) -> None:
    print(table(results))
    groups = grouped(results)
    for (target, fuzzer, seconds), runs in groups.items():
        print(f"{target}, {fuzzer}, {seconds} s: {curve(runs)}")
    for seconds in sorted({seconds for _, _, seconds in groups}):
        medians = []
        for target in TARGETS:
            sides = [groups.get((target, fuzzer, seconds), []) for fuzzer in (first, second)]
            if all(sides):
                counts = [[run["by_stack"] for run in runs] for runs in sides]
                found = verdict(counts[0], counts[1])
                medians.append(found.medians)
                print(
                    f"{target}, {seconds} s: {second} {found.medians[1]:g} to {first} {found.medians[0]:g}, ratio of "
                    f"medians {found.low:.2f}..{found.high:.2f}, U test p {found.p:.3g}, A12 {found.a12:.2f}"
                )
        if medians:
            print(f"over {len(medians)} targets, {seconds} s: Wilcoxon p {wilcoxon(medians):.3g}")


if __name__ == "__main__":
    main()
