"""How often does a model put the chosen of two answers above the other, and where does it fail?

    gnomon assay comparisons --model brook
    gnomon assay comparisons --model run:ID --data brook:forum
    gnomon assay comparisons --model hf:FOLDER --data hh-rlhf/harmless-base-test.jsonl.gz --n 0

Answers are compared by log-probability, whole or a token, and where the model has a scalar by its reward. Reported are
accuracy against the best that can be where the rater is planted and against picking the longer answer; by how much the
chosen answer is above (on a forum's answers, popular less unpopular); accuracy by the size of the difference, where
both scores are high, by turns, source and length; a scalar's calibration and its mean, which is free; what the chosen
answers cost a language model; and the errors that the model is surest of.
Source: Bai et al. 2022a, arXiv 2204.05862, secs. 3 and 4: accuracy above a threshold of both scores, the policy's
log-probabilities against the preference model, answers of StackExchange, outliers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnomon.assay._scored import SAID, Way, confident_errors, histograms, offered, ranked, scored
from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.assistants import as_dialogue, as_turns
from gnomon.data.comparisons import Comparison, Comparisons, open_comparisons, sources
from gnomon.models.base import Message, Prompt
from gnomon.models.planted.ranker import GAP, TOKENS
from gnomon.report.base import Drawn, Estimate, Figure, Report
from gnomon.report.figures import Point, curves
from gnomon.report.words import in_words
from gnomon.stats.clusters import Vector
from gnomon.stats.intervals import Interval, clustered_mean
from gnomon.trial import Cast, Planted, evaluation
from gnomon.trial.ranked import (
    QUANTILES,
    Ranked,
    accuracy,
    against_planted,
    calibration,
    credits,
    gained_over_length,
    human_turns,
    length_alone,
    mean_difference,
    mean_value,
    reliability_of,
    where_right,
)

__all__ = ["Compared"]

_WAYS: tuple[Way, ...] = ("sum", "mean", "reward")
_MADE = "synthetic"


@evaluation
@dataclass(frozen=True, kw_only=True)
class Compared:
    """How often a model puts the chosen of two answers above the other, by likelihood or reward, and where it fails."""

    data: str = "brook"
    "Comparisons: brook, brook:RATER, brook:forum or another of its sources, a file, or several with commas."
    n: int = 400
    "Most comparisons; 0 takes all of a file."
    scores: tuple[Way, ...] = ()
    "What answers are compared by; empty takes all that the model offers, but for pmi."
    drop_bad: bool = False
    "Go on without bad rows of a file even if they are more than one in a hundred."

    def __post_init__(self) -> None:
        endless = any(name.startswith(("brook", _MADE)) for name in sources(self.data))
        if self.n < 0 or (self.n == 0 and endless):
            raise UsageError(f"--n is {self.n}", todo="give 1 or more; 0 takes all there is of a file")

    def items(self, seed: Seed) -> Iterator[Item]:
        """Comparisons drawn from the seed; the chosen answer is the first of the two."""
        if self.data == _MADE:
            yield from _made(self.n, seed)
            return
        given = open_comparisons(self.data, self.n, seed, drop_bad=self.drop_bad)
        total = len(given.comparisons)
        drawn = seed.child("select").random().sample(range(total), min(self.n or total, total))
        left_out = {"left_out": told} if (told := _left_out(given)) else {}
        for place in sorted(drawn):
            yield _item(given.comparisons[place], self.data, left_out)
            # Rows are all that a report is made of, so the first one carries what was left out.
            left_out = {}

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """Scores both answers in every way."""
        ways = offered(cast.subject, self.scores, _WAYS)
        found, tokens = await scored(cast.subject, _prompt(item), item.choices, ways)
        scores = {f"accuracy ({way})": float(credits(good - bad)) for way, (good, bad) in found.items()}
        scores |= {f"difference ({way})": good - bad for way, (good, bad) in found.items()}
        if "sum" in found:
            scores["loss of the chosen"] = -found["sum"][0] / max(1, tokens[0])
        kept = {key: value for key, value in item.meta.items() if key != "messages"}
        evidence = {**kept, "answers": list(item.choices), "gold": 0, "bare": found, "tokens": tokens}
        return Row(key=item.id, cluster=item.cluster, evidence={**evidence, "scores": scores})

    def summarise(self, rows: Sequence[Row]) -> Report:
        """Accuracy and what it is read against, the mean difference, where it fails, the errors it is surest of."""
        found = ranked(rows)
        estimates = [e for r in found for e in _main(r)]
        estimates += _losses(rows)
        estimates += [e for r in found for e in where_right(r)]
        estimates += [e for r in found[:1] for e in length_alone(r)]
        estimates += [e for r in found for e in _more(r)]
        # The best that can be is the same whatever the way.
        once = {(e.metric, e.group): e for e in estimates}
        return Report(
            title="Does it put the chosen answer above the other?",
            summary=_summary(once, found),
            estimates=list(once.values()),
            tables=confident_errors(rows),
            figures=Drawn(lambda: [*histograms(rows), *_curves(found, once), *_reliability(found)]),
            notes=[note for row in rows for note in row.evidence.get("left_out", ())],
        )

    def planted(self) -> Iterable[Planted]:
        """A scorer that is right more often where its scores are further apart and less where they are high; a coin."""
        right, by_gap, by_level = 0.7, 0.3, 0.2
        apart = GAP * ((2 * right - 1) / 2 + by_gap / 6)
        truth = {"mean value (reward)": 0.5, "mean difference (reward)": apart, "mean difference (sum)": 10 * apart}
        truth["loss of the chosen"] = 15 / TOKENS - 5 * apart / TOKENS
        for way in ("sum", "reward"):
            truth[f"accuracy ({way})"] = right
            for quarter in range(1, 5):
                group = f"difference, quarter {quarter}"
                truth[f"accuracy ({way}) [{group}]"] = right + by_gap * ((quarter - 0.5) / 4 - 0.5)
            for share in QUANTILES[:3]:
                truth[f"accuracy ({way}) [both above quantile {share:g}]"] = right - by_level * share / 2
        config = {"data": _MADE, "n": 240}
        yield Planted(name="knows", cast={"subject": "planted:ranker"}, truth=truth, config=config)
        groups = ("", " [difference, quarter 4]", " [both above quantile 0.75]")
        flat = {f"accuracy ({way}){group}": 0.5 for way in ("sum", "reward") for group in groups}
        yield Planted(
            name="null",
            cast={"subject": "planted:ranker?right=0.5&by_gap=0&by_level=0"},
            truth={**flat, "mean value (reward)": 0.5, "mean difference (reward)": 0.0},
            config=config,
            null=True,
        )


def _made(n: int, seed: Seed) -> Iterator[Item]:
    """Numbered questions with two words, of which one is right."""
    from gnomon.data.worlds.synthetic import synthetic

    for item in synthetic("choice", n, seed, options=2).items:
        meta = {"prompt": as_dialogue(item.question), "turns": 1}
        right = item.choices[item.gold or 0]
        other = next(word for word in item.choices if word != right)
        yield Item(id=item.id, question=item.question, choices=(right, other), gold=0, source=_MADE, meta=meta)


def _left_out(given: Comparisons) -> list[str]:
    """What of the data is not asked, a line each."""
    bad = [f"{given.num_bad} of {given.num_rows} rows cannot be used: {'; '.join(given.bad)}"] if given.num_bad else []
    return [*bad, *(f"{count} left out: {why}" for why, count in given.unused.items())]


def _item(each: Comparison, spec: str, left_out: Mapping[str, Any]) -> Item:
    text, messages = each.prompt, {}
    if not isinstance(text, str):
        messages = {"messages": [list(message) for message in text]}
        text = as_turns(text)
    meta = {"prompt": text, "turns": human_turns(each.prompt), "source": each.source}
    return Item(
        id=each.id,
        cluster=each.cluster,
        question=text,
        choices=(each.chosen, each.rejected),
        gold=0,
        source=spec,
        meta={**meta, **messages, "p": each.p, "group": each.group, **left_out},
    )


def _prompt(item: Item) -> Prompt:
    """What both answer, as it was in the data: text, or messages."""
    if "messages" in item.meta:
        return [Message(role, content) for role, content in item.meta["messages"]]
    prompt: str = item.meta["prompt"]
    return prompt


def _main(r: Ranked) -> list[Estimate]:
    """What is shown first of one way of scoring."""
    found = [
        Estimate.of(r.named("accuracy"), accuracy(r), null=0.5, headline=True),
        Estimate.of(r.named("mean difference"), mean_difference(r), headline=True),
    ]
    if r.way == "reward":
        found.append(Estimate.of(r.named("mean value"), mean_value(r), headline=True))
    return found


def _more(r: Ranked) -> list[Estimate]:
    """What accuracy is read against: length, the best that can be, and of a scalar what its differences are worth."""
    scalar = r.way == "reward"
    found = [gained_over_length(r)]
    if r.planted is not None:
        found += against_planted(r, r.planted, scalar=scalar)
    return [*found, *calibration(r)] if scalar else found


def _losses(rows: Sequence[Row]) -> list[Estimate]:
    """Nats a token of all chosen answers, and of all rejected ones."""
    if not rows or "sum" not in rows[0].evidence["bare"]:
        return []
    nats = -np.array([row.evidence["bare"]["sum"] for row in rows])
    tokens = np.array([row.evidence["tokens"] for row in rows], dtype=np.float64)
    clusters = [row.cluster for row in rows]
    return [
        Estimate.of(f"loss of the {side}", _ratio(nats[:, i], tokens[:, i], clusters), headline=side == "chosen")
        for i, side in enumerate(("chosen", "rejected"))
    ]


def _ratio(of: Vector, to: Vector, clusters: Sequence[str]) -> Interval:
    """The ratio of two sums, with the interval of its linearisation."""
    ratio = of.sum() / to.sum()
    return clustered_mean(ratio + (of - ratio * to) / to.mean(), clusters)


def _curves(found: Sequence[Ranked], estimates: Mapping[tuple[str, str], Estimate]) -> list[Figure]:
    """Accuracy by size of the difference, and where both answers score high."""
    quarters = {quarter: f"difference, quarter {quarter}" for quarter in range(1, 5)}
    shares = {0.0: "", **{share: f"both above quantile {share:g}" for share in QUANTILES}}
    drawn = []
    for groups, x, title in (
        (quarters, "quarter of the differences, smallest first", "Accuracy by the size of the difference"),
        (shares, "share of all scores that are below", "Accuracy where both answers score high"),
    ):
        points = [
            Point(at, e.value, e.low, e.high, SAID[r.way])
            for r in found
            for at, group in groups.items()
            if (e := estimates.get((r.named("accuracy"), group))) and e.value is not None
        ]
        caption = "Bands are 95 % intervals, clustered by prompt; the line is a scorer to whom both are alike."
        drawn.append(curves(points, x=x, y="accuracy", title=title, caption=caption, reference=0.5))
    return drawn


def _reliability(found: Sequence[Ranked]) -> list[Figure]:
    return [reliability_of(r) for r in found if r.way == "reward"]


def _summary(estimates: Mapping[tuple[str, str], Estimate], found: Sequence[Ranked]) -> str:
    told = {metric: in_words(e) for (metric, group), e in estimates.items() if not group}
    said = [f"By {SAID[r.way]} the chosen answer is above on {told[r.named('accuracy')]}." for r in found]
    if found:
        said.append(f"Picking the longer one is right on {told['accuracy of length alone']}.")
    if "Bayes accuracy" in told:
        said.append(f"The best that can be is {told['Bayes accuracy']}.")
    if "loss of the chosen" in told:
        said.append(f"A token of the chosen answers costs {told['loss of the chosen']} nats.")
    return " ".join(said)
