"""The published files themselves, where GNOMON_DATA holds them: counts, places of the right option, refused rows."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.formats import read_items
from gnomon.data.hub import open_source


@pytest.fixture(autouse=True)
def _found(gnomon_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_DATA", str(gnomon_data))


@pytest.mark.parametrize(
    ("name", "asked", "refused"),
    [
        ("truthfulqa", 790, 0),
        ("arc-easy", 2375, 1),
        ("arc-challenge", 1171, 1),
        ("openbookqa", 500, 0),
        ("logiqa", 651, 0),
        ("aqua", 247, 7),
        ("gsm8k", 1319, 0),
    ],
)
def test_counts_and_refused_rows(name: str, asked: int, refused: int) -> None:
    source = open_source(name, Seed(0))

    assert (len(source.items), len(source.refused)) == (asked, refused)
    assert len({item.id for item in source.items}) == asked
    assert source.licence != "unknown"


@pytest.mark.parametrize("name", ["truthfulqa", "arc-easy", "openbookqa", "logiqa", "aqua"])
def test_the_right_option_stands_anywhere(name: str) -> None:
    source = open_source(name, Seed(0))
    by_count: dict[int, Counter[int]] = {}
    for item in source.items:
        assert item.gold is not None
        by_count.setdefault(len(item.choices), Counter())[item.gold] += 1

    for options, places in by_count.items():
        total = places.total()
        if total > 400:
            assert all(abs(places[i] / total - 1 / options) < 0.06 for i in range(options)), (options, places)


def test_truthfulqas_first_revision_and_its_table_agree_with_the_task_file(gnomon_data: Path) -> None:
    folder = gnomon_data / "truthfulqa"
    assert len(read_items(folder / "v1_mc_task.json.gz")) == 817

    tasks = {i.question: i for i in read_items(folder / "mc_task.json.gz")}
    rows = read_items(folder / "TruthfulQA.csv.gz")

    assert len(rows) == 790
    same = sum(tasks[r.question].choices[tasks[r.question].gold or 0] == r.choices[0] for r in rows)
    assert same > 0.99 * len(rows)


def test_the_file_puts_truthfulqas_right_option_first_and_the_source_does_not(gnomon_data: Path) -> None:
    raw = read_items(gnomon_data / "truthfulqa" / "mc_task.json.gz")

    assert {item.gold for item in raw} == {0}


def test_gsm8k_answers_are_numbers_and_solutions_carry_no_marks(gnomon_data: Path) -> None:
    items = read_items(gnomon_data / "gsm8k" / "train.jsonl.gz")

    assert len(items) == 7473
    assert all(float(i.answers[0].replace(",", "")) == float(i.answers[0].replace(",", "")) for i in items)
    assert not any("<<" in i.meta["solution"] or "####" in i.meta["solution"] for i in items)


def test_a_file_of_another_layout_is_refused_in_one_line(gnomon_data: Path) -> None:
    with pytest.raises(DataError, match="line 1: row does not fit its layout"):
        read_items(gnomon_data / "gsm8k" / "example_model_solutions.jsonl.gz")
