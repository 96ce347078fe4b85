"""Who gives the better answers, and by how much? Models with and without a prompt, compared in pairs, on an Elo scale.

    gnomon study elo --model run:7f3a,brook --prompt brook
    gnomon study elo --model hf:A,hf:B --data questions.jsonl --judge run:19ab

Every model answers the same questions once; any two answers to a question are compared by a judge: a planted rater of
Brook, who errs as people do, or a preference model, which takes the higher reward. Strengths are fitted by maximum
likelihood with the smallest model without a prompt at 0, and intervals resample questions.
Askell et al. 2021 (arXiv 2112.00861), sec. 2, where people compared: there Elo grows with the logarithm of size.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from gnomon.assay.answers import Answers
from gnomon.core.errors import UsageError, closest
from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, require
from gnomon.report.base import Drawn, Estimate, Figure, Report, Table
from gnomon.report.figures import Point, curves, forest
from gnomon.stats.elo import Elo as Ranking
from gnomon.stats.elo import Game, elo
from gnomon.stats.intervals import Interval
from gnomon.study._family import Asked, Sized, Studied, asked, sized, spoken
from gnomon.trial.runner import run_evaluation

__all__ = ["Elo", "games", "judged", "study"]

Judge = Callable[[str, Row, Row, Seed], Awaitable[float]]
"""Credit of the first of two answers to a question."""


@registered
@dataclass(frozen=True, kw_only=True)
class Elo:
    """Compare models' answers to the same questions, with and without a prompt, as an Elo table."""

    model: tuple[str, ...] = ("brook",)
    "The models; several are a ladder of sizes."
    parameters: tuple[float, ...] = ()
    "Their numbers of parameters, in the same order, such as 8e9,70e9; by default they are counted in the weights."
    prompt: str = "brook"
    "What each is asked with too, as for `gnomon assay answers`; an empty one asks without alone."
    data: tuple[str, ...] = ("brook",)
    "Where questions come from, as for `gnomon assay answers`."
    n: int = 200
    "Questions of each source."
    max_tokens: int = 64
    "Most tokens of an answer."
    judge: str = "brook"
    "Who compares: brook or brook:RATER (gold, helpful, harmless, flattered), or a preference model such as run:7f3a."
    resamples: int = 1000
    "Of the questions, for intervals."
    seed: int = 0
    "Seed of questions, answers and judgements."

    def __post_init__(self) -> None:
        if len(self.model) < 2 and not self.prompt:
            raise UsageError("one model without a prompt has nobody to play", todo="--model A,B or --prompt brook")
        if self.judge.partition(":")[0] == "brook" and set(self.data) != {"brook"}:
            raise UsageError(
                "Brook's raters know Brook's questions only", todo="name a preference model: --judge run:ID"
            )


class _Side(NamedTuple):
    """A player: a model with or without the prompt, and its answers."""

    model: Sized
    prompted: bool
    run: Asked

    @property
    def name(self) -> str:
        return self.run.name


def study(cfg: Elo, root: Path | None, workers: int) -> Studied:
    """Has every model answer, every pair of answers compared, and ranks the models.

    Raises:
        UsageError: no such rater, or models whose size is not known.
        AbilityError: the judge gives no reward.
    """
    if cfg.judge.partition(":")[0] == "brook":
        _rater(cfg.judge.partition(":")[2] or "gold")
    family = sized(cfg.model, cfg.parameters, least=1)
    sides = [
        _Side(model, bool(prompt), _answered(cfg, model, prompt, root, workers))
        for model in family
        for prompt in ("", *([cfg.prompt] if cfg.prompt else []))
    ]
    answers = {side.name: side.run.rows for side in sides}
    played = asyncio.run(judged(answers, cfg.judge, Seed(cfg.seed).child("judge")))
    ranking = elo(played, players=[side.name for side in sides], resamples=cfg.resamples, seed=cfg.seed)
    return Studied(_report(cfg, sides, played, ranking), [side.run for side in sides])


async def games(answers: Mapping[str, Sequence[Row]], judge: Judge, seed: Seed) -> list[Game]:
    """Every two players' answers to each question that both answered, compared; two that are the same are a tie.

    Args:
        answers: rows of `gnomon assay answers` by player.
        judge: compares.
        seed: of the judge's draws, named by question and players, so that another player changes none of them.
    """
    tables = {player: {row.key: row for row in rows} for player, rows in answers.items()}
    found: list[Game] = []
    for first, second in combinations(answers, 2):
        for key, row in tables[first].items():
            other = tables[second].get(key)
            if other is None:
                continue
            same = row.evidence["answer"].split() == other.evidence["answer"].split()
            credit = 0.5 if same else await judge(row.evidence["asked"], row, other, seed.child(key, first, second))
            found.append(Game(first, second, credit, row.cluster))
    return found


def _answered(cfg: Elo, model: Sized, prompt: str, root: Path | None, workers: int) -> Asked:
    config = Answers(data=cfg.data, n=cfg.n, max_tokens=cfg.max_tokens, prompt=prompt)
    name = f"{model.name} prompted" if prompt else model.name
    with progress(None, name) as bar:
        seen = 0

        def on_progress(p: Any) -> None:
            nonlocal seen
            bar.advance(p.done - seen)
            seen = p.done

        finished = asyncio.run(
            run_evaluation(
                config,
                "answers",
                {"subject": model.name},
                seed=cfg.seed,
                workers=workers,
                root=root,
                on_progress=on_progress,
            )
        )
    return asked(name, model.parameters, finished)


async def judged(answers: Mapping[str, Sequence[Row]], name: str, seed: Seed) -> list[Game]:
    """`games` of the judge called `name`: brook, brook:RATER, or a model with a reward.

    Raises:
        UsageError: no such rater.
        AbilityError: the model gives no reward.
    """
    kind, _, rater = name.partition(":")
    if kind == "brook":
        return await games(answers, _rater(rater or "gold"), seed)
    from gnomon.models.load import load

    model = load(name)
    try:
        require(model, Ability.REWARD, why="--judge", todo="name a preference model: run:ID")
        rewards: dict[str, float] = {}

        async def judge(question: str, first: Row, second: Row, draw: Seed) -> float:
            texts = [question + row.evidence["answer"] for row in (first, second)]
            missing = [text for text in texts if text not in rewards]
            found = await asyncio.gather(*(model.reward(text) for text in missing))
            rewards.update(zip(missing, found, strict=True))
            a, b = (rewards[text] for text in texts)
            return 0.5 if a == b else float(a > b)

        return await games(answers, judge, seed)
    finally:
        await model.close()


def _rater(name: str) -> Judge:
    from gnomon.data.worlds.brook import world
    from gnomon.data.worlds.brook.oracle import RATERS, chosen, request

    if name not in RATERS:
        raise UsageError(f"no rater is called {name!r}", where="--judge", todo=closest(name, RATERS))
    rater = RATERS[name]

    async def judge(question: str, first: Row, second: Row, draw: Seed) -> float:
        what = request(world(), question)
        utilities = [
            rater.utility(world(), what, row.evidence["answer"].strip(), row.evidence["ended"])
            for row in (first, second)
        ]
        return float(draw.random().random() < chosen(*utilities))

    return judge


def _report(cfg: Elo, sides: Sequence[_Side], played: Sequence[Game], ranking: Ranking) -> Report:
    table = [Estimate.of("Elo", p.elo, group=p.name, headline=p.name != sides[0].name) for p in ranking.players]
    gains = _gains(cfg, sides, played) if cfg.prompt else []
    rates = [Estimate.of("win rate", player.win_rate, group=player.name) for player in ranking.players]
    pairs = [Estimate.of("wins", won, group=f"{a} against {b}") for (a, b), won in ranking.pairs.items()]
    ends = [
        replace(side.run.report.estimate(metric), group=side.name, headline=False)
        for metric in ("ran on", "did not end")
        for side in sides
    ]
    held = "somebody won or lost every game against the rest, so points are held finite and too close together"
    return Report(
        title=f"Elo of {len(sides)} speakers on the same questions",
        summary=f"{_verdict(sides, ranking, gains)} {len(played)} comparisons by {_judge_named(cfg)}.",
        estimates=[*table, *gains, *rates, *pairs, *ends],
        figures=Drawn(lambda: _figures(sides, ranking)),
        tables=[_table(sides, ranking)],
        notes=[held] if ranking.separated else [],
    )


def _gains(cfg: Elo, sides: Sequence[_Side], played: Sequence[Game]) -> list[Estimate]:
    """What the prompt adds to each model: its points with the same model without the prompt at 0."""
    names, found = [side.name for side in sides], []
    for bare, prompted in zip(sides[::2], sides[1::2], strict=True):
        ranked = elo(played, players=names, fixed=bare.name, resamples=cfg.resamples, seed=cfg.seed)
        points = ranked.players[names.index(prompted.name)].elo
        found.append(Estimate.of("Elo gained by the prompt", points, group=bare.name, headline=True))
    return found


def _interval(e: Estimate) -> Interval:
    return Interval(value=e.value, low=e.low, high=e.high, n=e.n, clusters=e.clusters, reason=e.reason)


def _judge_named(cfg: Elo) -> str:
    kind, _, rater = cfg.judge.partition(":")
    return f"Brook's {rater or 'gold'} rater" if kind == "brook" else cfg.judge


def _verdict(sides: Sequence[_Side], ranking: Ranking, gains: Sequence[Estimate]) -> str:
    best = max(ranking.players, key=lambda player: player.elo.value if player.elo.value is not None else -math.inf)
    told = (
        f"{best.name} is ahead: {_points(best.elo)} points above {sides[0].name}, and it wins {_share(best.win_rate)}."
    )
    for gain in gains:
        told += f" The prompt gives {gain.group} {_points(_interval(gain))} points."
    return told


def _points(found: Interval) -> str:
    if found.value is None or found.low is None or found.high is None:
        return f"an unknown number of ({found.reason})"
    return f"{found.value:.0f} ({found.low:.0f} to {found.high:.0f})"


def _share(found: Interval) -> str:
    return f"{100 * (found.value or 0.0):.0f} of 100 games"


def _table(sides: Sequence[_Side], ranking: Ranking) -> Table:
    columns = ("player", "parameters", "prompted", "Elo", "low", "high", "win rate", "games", "ran on", "run")
    rows = [
        [
            player.name,
            side.model.parameters,
            "yes" if side.prompted else "no",
            player.elo.value,
            player.elo.low,
            player.elo.high,
            player.win_rate.value,
            player.games,
            side.run.report.estimate("ran on").value,
            side.run.run,
        ]
        for side, player in zip(sides, ranking.players, strict=True)
    ]
    return Table(title="Elo", columns=columns, rows=rows)


def _figures(sides: Sequence[_Side], ranking: Ranking) -> list[Figure]:
    """Elo against size where every model has its own; else the players one below the other."""
    smallest = f"{sides[0].name} ({spoken(sides[0].model.parameters)})"
    caption = f"Points above {smallest}, with 95 % intervals over questions."
    family = {side.model for side in sides}
    if len({model.parameters for model in family}) < max(2, len(family)):
        table = [Estimate.of("Elo", player.elo, group=player.name) for player in ranking.players]
        return [forest(table, x="Elo", title="Elo", caption=caption)]
    points = [
        Point(
            side.model.parameters,
            player.elo.value or 0.0,
            player.elo.low,
            player.elo.high,
            "prompted" if side.prompted else "bare",
        )
        for side, player in zip(sides, ranking.players, strict=True)
    ]
    title = "Elo by the size of the model"
    return [curves(points, x="parameters", y="Elo", title=title, caption=caption, log_x=True, reference=0.0)]
