"""Held-out comparisons: groups against a plain count, what is asked of a model, Brook's ceiling, planted scorers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.assay.comparisons import Compared
from gnomon.core.errors import AbilityError, DataError, UsageError
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import world
from gnomon.data.worlds.brook.oracle import RATERS, request
from gnomon.models.base import Ability, Message, Prompt, Score
from gnomon.trial.base import Cast
from gnomon.trial.job import ask
from gnomon.trial.ranked import QUANTILES, Ranked, Told, human_turns, mistakes, where_right
from gnomon.trial.validate import validate

BOTH = frozenset({Ability.SCORE, Ability.REWARD})


class Table:
    """Scores answers by a table of log-probabilities a token, and rewards them by their first one."""

    name, revision = "table", "1"

    def __init__(self, logprobs: dict[str, tuple[float, ...]], can: frozenset[Ability] = BOTH) -> None:
        self.logprobs, self.can, self.seen = logprobs, can, list[Prompt]()

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        self.seen.append(prompt)
        return Score(logprobs=self.logprobs[continuation])

    async def reward(self, prompt: Prompt) -> float:
        text = prompt if isinstance(prompt, str) else prompt[-1].content
        return next(values[0] for answer, values in self.logprobs.items() if text.endswith(answer.strip()))


def asked(config: Compared, model: Any) -> list[Row]:
    async def rows() -> list[Row]:
        cast = Cast({"subject": model})
        return [await ask(config, item, cast, Seed(0)) for item in config.items(Seed(0))]

    found = asyncio.run(rows())
    assert [row.error for row in found if row.error] == []
    return found


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def transcript(*turns: str) -> str:
    return "".join(f"\n\n{('Human', 'Assistant')[i % 2]}: {turn}" for i, turn in enumerate(turns))


@pytest.fixture
def harmless(tmp_path: Path) -> str:
    """Two comparisons as hh-rlhf has them, of one and of two turns."""
    short = {"chosen": transcript("Hi.", "Hello there."), "rejected": transcript("Hi.", "Go.")}
    long = {"chosen": transcript("Hi.", "Yes?", "Why?", "No."), "rejected": transcript("Hi.", "Yes?", "Why?", "Leave.")}
    return written(tmp_path / "harmless.jsonl", short, long)


TABLE = {" Hello there.": (-1.0, -3.0), " Go.": (-2.0,), " No.": (-4.0,), " Leave.": (-0.5, -1.0)}


def test_what_is_reported_is_what_the_model_said(harmless: str) -> None:
    config = Compared(data=harmless)
    model = Table(TABLE)
    rows = asked(config, model)
    assert transcript("Hi.") + "\n\nAssistant:" in model.seen
    first, second = (row.evidence["scores"] for row in rows)
    assert (first["accuracy (sum)"], first["accuracy (mean)"], first["accuracy (reward)"]) == (0.0, 0.5, 1.0)
    assert (second["accuracy (sum)"], second["difference (sum)"]) == (0.0, -2.5)
    report = config.summarise(rows)
    value = {(e.metric, e.group): e.value for e in report.estimates}
    assert value["mean difference (sum)", ""] == pytest.approx((-2.0 - 2.5) / 2)
    assert value["mean value (reward)", ""] == pytest.approx((-1.0 - 2.0 - 4.0 - 0.5) / 4)
    assert value["loss of the chosen", ""] == pytest.approx((4 + 4) / 3)
    assert value["loss of the rejected", ""] == pytest.approx((2 + 1.5) / 3)
    assert value["accuracy (reward)", "turns: 1"] == 1.0 and value["accuracy (reward)", "turns: 2"] == 0.0
    assert value["accuracy (reward)", "the chosen is longer"] == 1.0
    assert value["accuracy of length alone", ""] == 0.5
    assert ("Bayes accuracy", "") not in value


def test_messages_go_to_the_model_as_messages(tmp_path: Path) -> None:
    row = {"prompt": [{"role": "user", "content": "Hi."}], "chosen": "Hello there.", "rejected": "Go."}
    model = Table({answer.strip(): values for answer, values in TABLE.items()})
    (found,) = asked(Compared(data=written(tmp_path / "x.jsonl", row), scores=("sum", "reward")), model)
    assert model.seen[0] == [Message("user", "Hi.")]
    assert found.evidence["prompt"] == transcript("Hi.") + "\n\nAssistant:" and found.evidence["turns"] == 1
    assert found.evidence["bare"] == {"sum": [-4.0, -2.0], "reward": [-1.0, -2.0]}


def test_sources_of_a_mixture_are_told_apart(harmless: str, tmp_path: Path) -> None:
    other = written(tmp_path / "other.jsonl", {"prompt": "Q", "chosen": "Hello there.", "rejected": "Go."})
    config = Compared(data=f"{harmless},{other}", scores=("reward",))
    report = config.summarise(asked(config, Table(TABLE)))
    assert report.estimate("accuracy (reward)", f"source: {other}").n == 1
    assert report.estimate("accuracy (reward)", f"source: {harmless}").value == 0.5


def test_the_errors_it_is_surest_of_are_listed_first(harmless: str) -> None:
    report = Compared(data=harmless).summarise(asked(Compared(data=harmless), Table(TABLE)))
    (table,) = report.tables
    assert table.title == "Confident errors, by reward"
    ((prompt, chosen, rejected, difference),) = table.rows
    assert (chosen, rejected, difference) == ("No.", "Leave.", -3.5) and prompt.endswith("Why?\n\nAssistant:")
    assert len(report.figures) == 3 + 2 + 1


class Rater:
    """Rewards an answer by the utility that Brook's gold rater has for it."""

    name, revision, can = "rater", "1", frozenset({Ability.REWARD})

    async def reward(self, prompt: str) -> float:
        text, mark, answer = prompt.rpartition("Assistant:")
        return RATERS["gold"].utility(world(), request(world(), text + mark), answer.strip())


def test_brooks_own_rater_reaches_the_best_that_can_be() -> None:
    config = Compared(n=150)
    report = config.summarise(asked(config, Rater()))
    assert report.estimate("lost to Bayes (reward)").value == pytest.approx(0.0, abs=1e-9)
    best, reached = report.estimate("Bayes accuracy"), report.estimate("accuracy (reward)")
    assert best.value is not None and reached.low is not None and reached.high is not None
    assert reached.low < best.value < reached.high
    assert report.estimate("ECE (reward)").null is not None
    assert {e.group for e in report.estimates} >= {"danger", "fact", "recipe", "trait"}


VALUES = st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4), st.integers(1, 6)), min_size=8, max_size=40)


@settings(max_examples=60)
@given(VALUES)
def test_groups_are_what_a_plain_count_gives(drawn: list[tuple[int, int, int]]) -> None:
    good, bad, turns = zip(*drawn, strict=True)
    r = Ranked(
        chosen=np.array(good, dtype=float),
        rejected=np.array(bad, dtype=float),
        clusters=[str(i) for i in range(len(drawn))],
        characters=np.array([[n, 3] for n in turns], dtype=float),
        kinds=["odd" if n % 2 else "even" for n in turns],
        turns=turns,
        sources=[""] * len(drawn),
    )
    credit = [0.5 if g == b else float(g > b) for g, b in zip(good, bad, strict=True)]
    found = {e.group: (e.value, e.n) for e in where_right(r)}
    every = sorted((*good, *bad))

    def check(group: str, kept: list[float]) -> None:
        assert found.get(group) == ((pytest.approx(sum(kept) / len(kept)), len(kept)) if kept else None)

    for share in QUANTILES:
        at = share * (len(every) - 1)
        level = every[int(at)] + (at - int(at)) * (every[min(int(at) + 1, len(every) - 1)] - every[int(at)])
        check(
            f"both above quantile {share:g}",
            [c for c, (g, b, _) in zip(credit, drawn, strict=True) if min(g, b) >= level],
        )
    check("the chosen is shorter", [c for c, n in zip(credit, turns, strict=True) if n < 3])
    check("odd", [c for c, n in zip(credit, turns, strict=True) if n % 2])
    check(
        "turns: 4 or more",
        [c for c, n in zip(credit, turns, strict=True) if n > 3] if len({min(n, 4) for n in turns}) > 1 else [],
    )
    quarters = [found[f"difference, quarter {q}"] for q in range(1, 5)]
    assert sum(n for _, n in quarters) == len(drawn)
    assert sum((v or 0) * n for v, n in quarters) == pytest.approx(sum(credit))


def test_human_turns_are_counted_where_they_begin() -> None:
    assert human_turns(transcript("He said Human: no.", "So?", "Yes.")) == 2
    assert human_turns("Chat: Human: where is it ? Assistant:") == 1
    assert human_turns([Message("system", "Be kind."), Message("user", "Hi.")]) == 1
    assert human_turns("Known:") == 0


def test_a_scorer_that_never_errs_has_no_list_of_errors() -> None:
    zeros = np.zeros((1, 2))
    r = Ranked(
        chosen=np.ones(1), rejected=np.ones(1), clusters=["a"], characters=zeros, kinds=[""], turns=[1], sources=[""]
    )
    assert mistakes(r, [Told("p", "a", "b")], "reward") is None


@pytest.mark.parametrize("given", [{"n": -1}, {"n": 0}, {"data": "a.jsonl,brook", "n": 0}])
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--n is"):
        Compared(**given)


def test_a_model_that_can_neither_and_bad_rows_are_refused(harmless: str, tmp_path: Path) -> None:
    with pytest.raises(AbilityError, match="comparing answers needs"):
        asked(Compared(data=harmless), Table(TABLE, frozenset({Ability.SAMPLE})))
    bad = written(
        tmp_path / "bad.jsonl", {"prompt": "Q", "chosen": "a"}, {"prompt": "Q", "chosen": "a", "rejected": "b"}
    )
    with pytest.raises(DataError, match="1 of 2 rows cannot be used"):
        list(Compared(data=bad).items(Seed(0)))
    config = Compared(data=bad, drop_bad=True, scores=("sum",))
    report = config.summarise(asked(config, Table({" a": (-1.0,), " b": (-2.0,)})))
    assert report.notes[0].startswith("1 of 2 rows cannot be used: ")


@pytest.mark.parametrize("setting", ["knows", "null"])
def test_what_is_planted_is_recovered(setting: str) -> None:
    """As `gnomon validate` has it, with fewer replications and so with wider bands."""
    for found in validate(Compared(), replications=20, settings=(setting,), second_look=0, seed=2):
        assert abs(found.bias) < 0.8 and (found.coverage or 0.0) >= 0.7, found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_setting_is_recovered_in_200_replications() -> None:
    assert [found for found in validate(Compared(), replications=200) if not found.ok] == []
