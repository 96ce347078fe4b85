"""One run of the race: a fresh service, a relay, a fuzzer; and what it comes to."""

from __future__ import annotations

import json
import sys
import time
from bisect import bisect
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benches.fuzz_race.counting import Count, OpenApi, bodies_of, lines_of
from benches.fuzz_race.entrants import FOUND, TARGETS, command, document
from benches.fuzz_race.processes import Tree, free_port, ready, start
from gnomon.data.worlds.shop import DEFECTS, explained

__all__ = ["Envs", "count", "explained_by", "race", "reported"]

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_GRACE_SECONDS = 30


class Envs(NamedTuple):
    """Interpreters: of the service, and of the peer."""

    service: str
    peer: str


def race(target: str, fuzzer: str, seconds: int, seed: int, envs: Envs, folder: Path) -> dict[str, Any]:
    """Runs a fuzzer against a fresh service for so many seconds and counts; everything is kept in `folder`."""
    kept, known = folder / "kept", TARGETS[target]
    kept.mkdir(parents=True)
    with ExitStack() as trees:
        service, base = _service(target, envs, folder, trees)
        schema = document(known, base, folder)
        relay, relayed = _relay(base, folder, trees)
        idle = [tree.looked() for tree in (service, relay)]
        words = command(fuzzer, known, schema, relayed, seconds, seed, envs.peer)
        # What a fuzzer learnt in another run is not to help it in this one.
        learnt = {"HOME": str(kept), "GNOMON_RUNS": str(kept / "runs")}
        began = time.time()
        running = start(words, out=folder / "fuzzer.txt", cwd=kept, env=learnt)
        trees.callback(running.end)
        in_time = running.wait(seconds + _GRACE_SECONDS)
        took = time.time() - began
        spent = [tree.looked() - before for tree, before in zip((service, relay), idle, strict=True)]
    figures = {
        "target": target,
        "fuzzer": fuzzer,
        "seed": seed,
        "seconds": seconds,
        "began": began,
        "took": round(took, 1),
        "ended_by_itself": in_time,
        "exit_code": running.process.returncode,
        "cpu": {"fuzzer": running.cpu, "service": spent[0], "relay": spent[1]},
        "peak_mib": {"fuzzer": running.peak >> 20, "service": service.peak >> 20},
    }
    (folder / "run.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return count(folder)


def _service(target: str, envs: Envs, folder: Path, trees: ExitStack) -> tuple[Tree, str]:
    """A fresh service that answers, and its address."""
    python = sys.executable if target.startswith("shop") else envs.service
    port, kept = free_port(), folder / "kept"
    words = [python, str(_HERE / "served.py"), target.partition("-")[0], "--port", str(port)]
    words += ["--crashes", str(folder / "crashes.ndjson"), "--folder", str(kept)]
    service = start(words, out=folder / "service.txt", cwd=kept)
    trees.callback(service.end)
    base = f"http://127.0.0.1:{port}"
    ready(base + TARGETS[target].document, service)
    return service, base


def _relay(base: str, folder: Path, trees: ExitStack) -> tuple[Tree, str]:
    """A relay to a service, and its address."""
    words = [sys.executable, "-m", "benches.fuzz_race.relay", "--upstream", base.rpartition(":")[2]]
    relay = start([*words, "--out", str(folder)], out=folder / "relay.txt", cwd=_ROOT, piped=True)
    trees.callback(relay.end)
    assert relay.process.stdout is not None
    return relay, f"http://127.0.0.1:{int(relay.process.stdout.readline())}"


def count(folder: Path) -> dict[str, Any]:
    """What a run comes to; pure, from its folder."""
    run: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    judge, counted, bodies = _judge(folder), Count(), bodies_of(folder)
    for line in lines_of(folder / "crashes.ndjson"):
        at = line["at"] - run["began"]
        if 0 <= at <= run["seconds"]:
            counted.defects.crash(at, line["type"], line["frames"])
    lines = sorted(lines_of(folder / "exchanges.ndjson"), key=lambda line: float(line["at"]))
    in_time = [line for line in lines if line["at"] <= run["began"] + run["seconds"]]
    for line in in_time:
        judge.judge(line, bodies, line["at"] - run["began"], counted)
    times = [line["at"] - run["began"] for line in in_time]
    kinds = Counter(key[0] for key in counted.defects.first)
    figures = {
        **{name: value for name, value in run.items() if name != "began"},
        "requests": counted.requests,
        "distinct_requests": len(counted.distinct),
        "statuses": dict(sorted(Counter(f"{line['status'] // 100}xx" for line in in_time).items())),
        "operations": judge.size,
        "hit": len(counted.hit),
        "good": len(counted.good),
        "cpu_ms_per_request": {name: round(1000 * s / max(1, len(lines)), 2) for name, s in run["cpu"].items()},
        "kinds": dict(kinds),
        "by_stack": sum(n for kind, n in kinds.items() if kind != "frame"),
        "by_frame": sum(n for kind, n in kinds.items() if kind != "stack"),
        # Second, number of the request, kind and key.
        "defects": sorted([round(at, 2), bisect(times, at), *key] for key, at in counted.defects.first.items()),
    }
    if not run["target"].startswith("shop"):
        return figures
    return {**figures, "triggered": list(lines_of(folder / "kept" / "triggered.ndjson")), **reported(folder)}


def reported(folder: Path) -> dict[str, list[str]]:
    """Planted defects that our own fuzzer told of, and its findings that are none; nothing for another fuzzer."""
    file = folder / "kept" / FOUND
    if not file.exists():
        return {}
    told: set[str] = set()
    alarms = []
    for finding in json.loads(file.read_text(encoding="utf-8"))["findings"]:
        check, where = finding["key"].split(" | ")[:2]
        ids = explained_by(check, where)
        told.update(ids)
        if not ids:
            alarms.append(finding["key"])
    return {"reported": sorted(told), "alarms": alarms}


def explained_by(check: str, where: str) -> tuple[str, ...]:
    """Planted defects that a finding of a check at an operation tells of.

    One about a resource as such names its path alone: what is planted at a list of it counts.
    """
    if " " in where:
        return explained(where, check)
    collection = where.rpartition("/")[0]
    return tuple(d.id for d in DEFECTS if check in d.checks and d.operation.split()[1] in (where, collection))


def _judge(folder: Path) -> Any:
    if (folder / "schema.graphql").exists():
        from benches.fuzz_race.counting_graphql import GraphQl

        return GraphQl(folder / "schema.graphql")
    from gnomon.fuzz.loading import load

    return OpenApi(load(folder / "openapi.json"))
