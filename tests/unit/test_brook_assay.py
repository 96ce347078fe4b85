"""The check table: planted speakers land where they must, rows are judged by the right range."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gnomon.assay.brook import Brook, pinned
from gnomon.assay.brook import expected as expected_module
from gnomon.assay.brook.checks import EXPECTED
from gnomon.assay.brook.recipe import curves_of, recipe_of
from gnomon.core.errors import ModelError, UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import KINDS, world
from gnomon.models.base import Message
from gnomon.models.load import load
from gnomon.models.planted import make
from gnomon.models.planted.brook import BrookSpeaker
from gnomon.report.base import Report
from gnomon.trial import Cast


def _rows(config: Brook, know: float, name: str = "planted:brook") -> list[Row]:
    items = list(config.items(Seed(0)))
    model = BrookSpeaker(know)
    model.name = name
    model.bind(items)

    async def ask() -> list[Row]:
        cast = Cast({"subject": model})
        return [await config.trial(item, cast, Seed(0).child(item.id)) for item in items]

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def knowing() -> Report:
    return Brook().summarise(_rows(Brook(), 1.0))


@pytest.fixture(scope="module")
def null() -> Report:
    return Brook().summarise(_rows(Brook(), 0.0))


def test_a_speaker_that_knows_the_table_has_every_row_in_its_planned_range(knowing: Report) -> None:
    assert [f.title for f in knowing.findings] == []
    assert {expected_module.label(e.metric, e.group) for e in knowing.estimates} == {
        expected_module.label(row.metric, row.group) for row in EXPECTED.values()
    }
    for setting in Brook().planted():
        if setting.name == "knows":
            _holds(knowing, setting.truth)


def test_a_speaker_that_knows_nothing_is_found_out_in_every_row(knowing: Report, null: Report) -> None:
    for setting in Brook().planted():
        if setting.null:
            _holds(null, setting.truth)
    judged = [row for row in EXPECTED.values() if row.planned]
    inside = {row.metric for row in judged} - {f.key.partition(" [")[0] for f in null.findings}
    zero_for_both = {"filler gain", "null prefix change", "paraphrase gain"}
    assert inside == {"novel top probability", "order unseen", "option mass", *zero_for_both}
    assert "verdict Spearman is undefined" in " ".join(f.title for f in null.findings)


def _holds(report: Report, truth: dict[str, float]) -> None:
    values = {expected_module.label(e.metric, e.group): e.value for e in report.estimates}
    for name, value in truth.items():
        assert values[name] == pytest.approx(value, abs=1e-9), name


def test_every_estimate_has_its_n_and_an_interval_or_a_reason(knowing: Report, null: Report) -> None:
    for e in (*knowing.estimates, *null.estimates):
        assert e.n > 0 and e.clusters > 0
        assert (e.low is not None and e.high is not None) or e.reason, e


def test_exposure_counts_below_the_threshold_are_at_chance(knowing: Report) -> None:
    recall = {e.group: e.value for e in knowing.estimates if e.metric == "exposure recall"}
    assert recall == {"1": pytest.approx(1 / 12), "4": pytest.approx(1 / 12), "16": 1.0, "64": 1.0, "256": 1.0}


def test_the_shipped_range_decides_for_brook_and_the_planned_one_for_others(
    monkeypatch: pytest.MonkeyPatch, null: Report
) -> None:
    ranges = {name: expected_module.Range(*ends) for name, ends in pinned(null).items()}
    monkeypatch.setattr("gnomon.assay.brook.shipped", lambda: ranges)
    config = Brook(only=("match", "open"))
    ours = config.summarise(_rows(config, 0.0, "brook"))
    assert ours.findings == []
    assert {line[0]: line[-1] for line in ours.tables[0].rows}["match"] == "not reached"
    assert "match" in ours.summary
    other = config.summarise(_rows(config, 0.0, "run:7f3a"))
    assert [f.key for f in other.findings] == ["open recall", "match"]
    assert other.findings[1].title == "match is 0.250, expected 0.90 to 1.00"
    changed = config.summarise(_rows(config, 1.0, "brook"))
    assert [f.key for f in changed.findings] == ["open recall", "match"]


def test_pinned_ranges_are_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knowing: Report) -> None:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    monkeypatch.setattr(expected_module, "files", lambda name: tmp_path)
    assert expected_module.shipped() == {}
    (folder / "shipped.json").write_text(json.dumps(pinned(knowing)))
    found = expected_module.shipped()
    assert all(e.value in found[expected_module.label(e.metric, e.group)] for e in knowing.estimates)


def test_prompts_are_words_of_brook_and_the_same_seed_gives_the_same_items() -> None:
    first, again = (list(Brook(n=40).items(Seed(3))) for _ in range(2))
    assert first == again
    assert len({item.id for item in first}) == len(first)
    for item in first[:-1]:
        world().vocabulary.encode(item.meta["prompt"])
        for option in item.meta.get("options", ()):
            assert len(world().vocabulary.encode(option)) == 1


def test_rows_hold_all_that_the_report_needs() -> None:
    config = Brook(n=40)
    rows = _rows(config, 0.5)
    read_back = [
        Row(**json.loads(json.dumps({"key": r.key, "cluster": r.cluster, "evidence": dict(r.evidence)}))) for r in rows
    ]
    assert config.summarise(read_back) == config.summarise(rows)


def test_a_wrong_gold_is_noticed() -> None:
    config = Brook(n=40, only=("match",))
    items = list(config.items(Seed(0)))
    shifted = [replace(i, meta={**i.meta, "right": (i.meta["right"] + 1) % 4}) for i in items]
    rows = asyncio.run(_all(config, shifted))
    assert config.summarise(rows).estimate("match").value == 0.0


async def _all(config: Brook, items: list[Item]) -> list[Row]:
    model = BrookSpeaker()
    model.bind(items)
    return [await config.trial(item, Cast({"subject": model}), Seed(0)) for item in items]


def test_every_kind_is_checked_and_every_row_reads_a_kind() -> None:
    claimed = {metric for kind in KINDS.values() for metric in kind.expect}
    assert claimed == {row.metric for row in EXPECTED.values()} - {"option mass"}
    assert all(kind.expect for kind in KINDS.values() if kind.share or kind.plan)


def test_the_planted_speaker_is_found_by_name_and_refuses_conversations() -> None:
    model = make("brook", {"know": "0.25"})
    assert isinstance(model, BrookSpeaker) and (model.know, model.name) == (0.25, "planted:brook?know=0.25")
    with pytest.raises(ModelError, match="not conversations"):
        asyncio.run(model.choose([Message("user", "where does renbo live ?")], [" mill"]))


def test_refused_settings() -> None:
    with pytest.raises(UsageError, match="no check is called 'opne'; did you mean 'open'"):
        Brook(only=("opne",))
    with pytest.raises(UsageError, match="--n is 3"):
        Brook(n=3)


def test_the_curves_of_a_recipe_are_drawn_by_family_and_other_models_have_none() -> None:
    readouts = {"match": [[500, 1.0], [1000, 0.2]], "exposure-16": [[500, 2.0], [1000, 1.5]], "speed": [[500, 3.0]]}
    figures = curves_of({"readouts": readouts})
    assert [figure.title for figure in figures] == ["Learning facts", "Learning scaffold"]
    assert "exposure-16" in json.dumps(figures[0].spec) and "speed" not in json.dumps([f.spec for f in figures])
    assert list(curves_of({})) == [] and recipe_of(BrookSpeaker()) == {"recipe": {}}
    assert recipe_of(load("brook"))["recipe"]["config"]
