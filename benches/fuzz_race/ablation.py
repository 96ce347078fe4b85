"""What each part of the fuzzer finds: the whole and the whole without one part, on the shop, at equal requests.

A budget in requests, one connection and an application in this process make the load of the machine irrelevant. The
searches of one condition run side by side, since much of their time is waiting for a second look at an answer.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from benches.fuzz_race.racing import explained_by
from benches.fuzz_race.verdict import median_interval, verdict, wilcoxon
from gnomon.data.worlds.shop import DEFECTS, TOKENS, make_app
from gnomon.fuzz.config import Fuzzing, Technique
from gnomon.fuzz.identities import Credentials
from gnomon.fuzz.searching import Search
from gnomon.fuzz.targets import mounted
from gnomon.stats.paired import holm, paired_difference

__all__ = ["PARTS", "WHOLE", "ablated", "ablation_table", "met_by"]

WHOLE = "nothing"
PARTS = (WHOLE, *get_args(Technique))
_PLANTED = frozenset(each.id for each in DEFECTS)
_SECONDS = 3600.0
Run = Mapping[str, Any]


def ablated(part: str, requests: int, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A run a seed without a part: planted defects by the request that met them, and those that a finding tells of."""

    async def together() -> list[dict[str, Any]]:
        return await asyncio.gather(*(_search(part, requests, seed) for seed in seeds))

    return asyncio.run(together())


async def _search(part: str, requests: int, seed: int) -> dict[str, Any]:
    without: Any = () if part == WHOLE else (part,)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "triggered.ndjson"
        app = make_app(log_file=log)
        config = Fuzzing(max_time=_SECONDS, max_requests=requests, connections=1, seed=seed, without=without)
        target = mounted(app, None, config)
        callers = Credentials(bearer=TOKENS["alice"], other_bearer=TOKENS["bob"]).callers(target.api)
        search = Search(target, config, callers)
        async for _ in search.defects():
            pass
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    told = [explained_by(*each.violation.key[:2]) for each in search.found().certain]
    return {
        "without": part,
        "seed": seed,
        "requests": search.sender.requests,
        "repeats": search.sender.repeats,
        "met": {line["id"]: line["request"] for line in lines if line["id"] in _PLANTED},
        "told": sorted({name for names in told for name in names}),
        "alarms": sum(not names for names in told),
    }


def met_by(run: Run, requests: int) -> int:
    """Planted defects that were met by a request."""
    return sum(at <= requests for at in run["met"].values())


def ablation_table(runs: Sequence[Run], marks: Sequence[int]) -> str:
    """For each part left out, defects met by so many requests beside those of the whole, seed by seed."""
    return "\n\n".join(_at_mark(runs, mark) for mark in marks)


def _at_mark(runs: Sequence[Run], mark: int) -> str:
    counts = {
        part: [met_by(run, mark) for run in sorted(runs, key=lambda run: run["seed"]) if run["without"] == part]
        for part in PARTS
    }
    counts = {part: found for part, found in counts.items() if found}
    whole = counts[WHOLE]
    others = [part for part in counts if part != WHOLE]
    raw = [wilcoxon(list(zip(whole, counts[part], strict=True))) for part in others]
    adjusted = dict(zip(others, holm([1.0 if p != p else p for p in raw]), strict=True))
    lines = [
        f"planted defects of {len(_PLANTED)} met by {mark:,} requests, {len(whole)} seeds",
        "| without | median (95 % interval) | less than the whole, a seed | p | A12 |",
        "|---|---|---|---|---|",
        f"| {WHOLE} | {_median(whole)} | | | |",
    ]
    for part in others:
        paired = paired_difference(whole, counts[part]).difference
        span = "" if paired.low is None else f" ({paired.low:.1f} to {paired.high:.1f})"
        a12 = verdict(whole, counts[part]).a12
        lines.append(
            f"| {part} | {_median(counts[part])} | {paired.value:.1f}{span} | {adjusted[part]:.3f} | {a12:.2f} |"
        )
    return "\n".join(lines)


def _median(values: Sequence[int]) -> str:
    low, high = median_interval(values)
    return f"{statistics.median(values):g} ({low:g} to {high:g})"
