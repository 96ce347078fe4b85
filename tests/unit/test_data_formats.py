"""Every published layout read from a file small enough to check by eye, and every bad row named."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.errors import DataError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import MAX_CHOICES, Source, fault, shuffled
from gnomon.data.formats import read_items
from gnomon.data.hub import open_source

Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file: text as it stands, a list as JSON lines, anything else as JSON."""

    def written(name: str, content: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return written


def one(path: Path) -> Item:
    [item] = read_items(path)
    return item


def test_mmlu_csv_without_header_and_with_line_breaks_in_quotes(tmp_path: Path) -> None:
    rows = [["First line\nsecond, line", "1", "2", "3", "4", "C"], ["Plain?", "w", "x", "y", "z", "A"]]
    path = tmp_path / "anatomy_test.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)

    first, second = read_items(path)

    assert (first.question, first.choices, first.gold) == ("First line\nsecond, line", ("1", "2", "3", "4"), 2)
    assert (second.question, second.gold) == ("Plain?", 0)


def test_mmlu_csv_names_the_line_of_a_short_row(write: Write) -> None:
    path = write("bad.csv", '"a\nb",1,2,3,4,A\nshort,1,2\nq,1,2,3,4,B\n')

    with pytest.raises(DataError, match=r"bad\.csv, line 3: 3 columns"):
        read_items(path)


def test_mmlu_csv_names_the_line_of_a_letter_that_is_none(write: Write) -> None:
    with pytest.raises(DataError, match=r"bad\.csv, line 2: .*'E'"):
        read_items(write("bad.csv", "q,1,2,3,4,A\nq,1,2,3,4,E\n"))


def test_mmlu_on_the_hub(write: Write) -> None:
    item = one(write("m.jsonl", [{"question": "q", "subject": "law", "choices": ["a", "b", "c", "d"], "answer": 3}]))

    assert (item.choices, item.gold, item.meta["task"]) == (("a", "b", "c", "d"), 3, "law")


@pytest.mark.parametrize(("labels", "key"), [(["A", "B", "C"], "B"), (["1", "2", "3"], "2")])
def test_arc_with_letters_or_numbers(write: Write, labels: list[str], key: str) -> None:
    row = {"id": "x", "question": "q", "choices": {"text": ["a", "b", "c"], "label": labels}, "answerKey": key}

    item = one(write("arc.jsonl", [row]))

    assert (item.id, item.choices, item.gold) == ("x", ("a", "b", "c"), 1)


def test_truthfulqa_mc1_in_both_layouts(write: Write) -> None:
    local = {"question": "q", "mc1_targets": {"right": 1, "wrong": 0, " ": 0, "worse": 0}}
    hub = {"question": "q", "mc1_targets": {"choices": ["wrong", "right"], "labels": [0, 1]}}

    first, second = read_items(write("t.jsonl", [local, hub]))

    assert (first.choices, first.gold) == (("right", "wrong", "worse"), 0)
    assert (second.choices, second.gold) == (("wrong", "right"), 1)


def test_truthfulqa_table(write: Write) -> None:
    head = "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers,Source\n"

    item = one(write("T.csv", f'{head}A,B,q?,yes,yes; sure,"no; never; ",url\n'))

    assert (item.question, item.choices, item.gold) == ("q?", ("yes", "no", "never"), 0)


def test_logiqa_with_and_without_letters_before_the_options(write: Write) -> None:
    path = write("Test.txt", "\nb\nAll men are mortal.\nWho is?\nA.Zeus\nB. Socrates\nHera\nD.Apollo\n")

    item = one(path)

    assert item.question == "All men are mortal. Who is?"
    assert (item.choices, item.gold) == (("Zeus", "Socrates", "Hera", "Apollo"), 1)


def test_logiqa_cut_short_or_with_a_strange_letter(write: Write) -> None:
    with pytest.raises(DataError, match="7 lines are no whole number"):
        read_items(write("cut.txt", "\nb\nc\nq\na\nb\nc\n"))
    with pytest.raises(DataError, match=r"odd\.txt, line 2: gold letter 'e'"):
        read_items(write("odd.txt", "\ne\nc\nq\na\nb\nc\nd\n"))


def test_big_bench(write: Write) -> None:
    task = {"examples": [{"input": "q", "target_scores": {"a": 0, "b": 1, "c": 0}}], "canary": "x"}

    item = one(write("task.json", task))

    assert (item.question, item.choices, item.gold) == ("q", ("a", "b", "c"), 1)


def test_big_bench_with_two_right_options_is_refused_not_guessed(write: Write) -> None:
    examples = [{"input": f"q{i}", "target_scores": {"a": 0, "b": 1}} for i in range(200)]
    examples[7]["target_scores"] = {"a": 1, "b": 1}

    source = open_source(str(write("task.json", {"examples": examples})), Seed(0))

    assert len(source.items) == 199
    assert len(source.refused) == 1


def test_quality_keeps_an_articles_questions_together(write: Write) -> None:
    def row(number: int) -> dict[str, Any]:
        question = {"question": f"q{number}", "options": ["a", "b", "c", "d"], "gold_label": number}
        return {"article_id": "77", "article": "Long text.", "questions": [question, question]}

    items = read_items(write("quality.jsonl", [row(1), row(4)]))

    assert [i.gold for i in items] == [0, 0, 3, 3]
    assert {i.cluster for i in items} == {"77"}
    assert items[0].note == "Long text."
    assert len({i.id for i in items}) == 4


def test_aqua(write: Write) -> None:
    row = {"question": "q", "options": ["A)1", "B)2", "C)3"], "rationale": "so", "correct": "B"}

    item = one(write("test.json.gz", [row]))

    assert (item.choices, item.gold) == (("1", "2", "3"), 1)


def test_gsm8k_without_calculator_marks(write: Write) -> None:
    item = one(write("g.jsonl", [{"question": "q", "answer": "3 + 4 = <<3+4=7>>7 eggs.\n#### 1,007"}]))

    assert (item.answers, item.meta["solution"]) == (("1,007",), "3 + 4 = 7 eggs.")


def test_triviaqa_from_its_site_and_from_the_hub(write: Write) -> None:
    answer = {"Value": "Mill", "NormalizedAliases": ["mill", "the windmill"], "Aliases": ["Mill"]}
    site = {"Data": [{"Question": "q", "QuestionId": "t1", "Answer": answer}]}
    hub = {"question": "q", "question_id": "t1", "answer": {"aliases": ["Mill"], "normalized_aliases": ["mill"]}}

    assert one(write("site.json", site)).answers == ("mill", "the windmill")
    assert one(write("hub.jsonl", [hub])).answers == ("mill",)


def test_lambada_asks_for_the_last_word(write: Write) -> None:
    item = one(write("l.jsonl", [{"text": "He closed the heavy door\n"}]))

    assert (item.question, item.answers, item.meta["kind"]) == ("He closed the heavy", ("door",), "cloze")


def test_ones_own_questions(write: Write) -> None:
    rows = [
        {"id": "o", "question": "q", "answers": ["a", "b"], "note": "n", "cluster": "k", "kind": "exact"},
        {"question": "c", "choices": ["x", "y"], "gold": 1, "cluster": "k"},
    ]

    free, choice = read_items(write("own.jsonl", rows))

    assert (free.id, free.answers, free.note, free.cluster, free.meta["kind"]) == ("o", ("a", "b"), "n", "k", "exact")
    assert (choice.id, choice.choices, choice.gold, choice.cluster) == ("own-2", ("x", "y"), 1, "k")


def test_a_text_may_hold_unicode_line_separators(write: Write) -> None:
    row = {"question": "one\u2028two\x85three", "choices": ["a\u2029", "b"], "gold": 0}

    assert one(write("u.jsonl", [row])).question == "one\u2028two\x85three"


def test_parquet(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")

    assert one(tmp_path / "p.parquet").gold == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a Git LFS pointer"),
        ("p.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "is a Git LFS pointer"),
        ("j.jsonl", '{"question": "q", "answers": ["a"]}\n{"question": \n', r"j\.jsonl, line 2: is no JSON"),
        ("d.json", "[" * 100_000, r"d\.json, line 1: is no JSON"),
        ("n.json", '[{"answer": ' + "1" * 5000 + "}]", r"n\.json, line 1: is no JSON"),
        ("l.jsonl", "[1, 2]\n", "line 1: holds a list, not an object"),
        ("s.json", '["one", "two"]', "holds a str, not an object"),
        ("n.json", "3", "holds a int"),
        ("b.json", [{"question": "q", "answer": True}], "does not fit its layout"),
        ("k.jsonl", [{"prompt": "q"}], "it has prompt"),
        ("g.jsonl", [{"question": "q", "answer": "no marker"}], "answer has no ####"),
        ("e.jsonl", "\n\n", "holds no items"),
        ("x.xml", "<a/>", r"a file ending in \.xml is not read"),
        ("q.parquet", "PAR1 nonsense", "q.parquet"),
        ("z.jsonl.gz", None, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(
    tmp_path: Path, write: Write, name: str, content: Any, message: str
) -> None:
    path = write(name, content) if content is not None else tmp_path / name
    if content is None:
        path.write_bytes(gzip.compress(b'{"question": "q"}' * 100)[:40])

    with pytest.raises(DataError, match=message) as caught:
        read_items(path)

    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.jsonl: no such file"):
        read_items(tmp_path / "absent.jsonl")


def item_of(choices: Sequence[str], gold: int | None = 0, question: str = "q") -> Item:
    return Item(id="i7", question=question, choices=tuple(choices), gold=gold)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (item_of(["a", "b"], question="  "), "i7: the question is empty"),
        (item_of(["a"]), "i7: only one option"),
        (item_of(["a", " "]), "i7: an option is empty"),
        (item_of(["a", " a "]), "i7: two options have the same text"),
        (item_of(["a", "both (A) and b"]), "i7: an option contains a letter in brackets"),
        (item_of(["a", "choice: b"]), "i7: an option contains a letter in brackets"),
        (item_of(["a", "b"], gold=2), "i7: the right option is number 2 of 2, counted from 0"),
        (item_of(["a", "b"], gold=-1), "i7: the right option is number -1 of 2, counted from 0"),
        (item_of(["a", "b"]), ""),
        (Item(id="o", question="q", answers=("a",)), ""),
    ],
)
def test_an_item_that_cannot_be_asked_says_why(item: Item, message: str) -> None:
    assert fault(item) == message


def test_shuffling_moves_the_right_option_with_its_text() -> None:
    places = set()
    for i in range(60):
        item = Item(id=str(i), question="q", choices=("gold", "b", "c", "d"), gold=0)
        moved = shuffled(item, Seed(0))
        assert moved.gold is not None and moved.choices[moved.gold] == "gold"
        assert sorted(moved.choices) == sorted(item.choices)
        places.add(moved.gold)

    assert places == {0, 1, 2, 3}
    assert shuffled(item, Seed(0)) == shuffled(item, Seed(0)) != shuffled(item, Seed(2))


@pytest.mark.parametrize("gold", [0, 13, None])
def test_of_more_than_ten_options_ten_are_kept_and_the_right_one_among_them(gold: int | None) -> None:
    choices = tuple(f"option {i}" for i in range(14))

    moved = shuffled(Item(id="many", question="q", choices=choices, gold=gold), Seed(0))

    assert len(set(moved.choices)) == MAX_CHOICES
    if gold is not None:
        assert moved.gold is not None and moved.choices[moved.gold] == choices[gold]


@pytest.mark.parametrize(("published", "refused", "fails"), [(False, 2, True), (False, 1, False), (True, 5, False)])
def test_many_bad_rows_are_a_wrong_file(published: bool, refused: int, fails: bool) -> None:
    def made() -> Source:
        items = tuple(Item(id=str(i), question="q") for i in range(100 - refused))
        lines = tuple(f"row {i}" for i in range(refused))
        return Source(
            name="x", where="x.csv", licence="", dialect="plain", items=items, refused=lines, published=published
        )

    if not fails:
        assert len(made().refused) == refused
        return
    with pytest.raises(DataError, match=r"x\.csv: 2 of 100 rows cannot be used; the first: row 0"):
        made()


def test_a_file_is_parsed_once_until_it_changes(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [{"question": f"What is {i}?", "choices": ["one", "two", f"word{i}"], "answer": 0} for i in range(9)]
    path = write("own.jsonl", questions)
    read: list[Path] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: read.append(p) or read_bytes(p))  # type: ignore[func-returns-value]
    parts = ("calibration", "nota", "truefalse", "temperature")

    items = list(SelfKnowledge(data=(str(path),), only=parts, shots=(0, 2)).items(Seed(0)))

    assert len({item.id for item in items}) == len(items) and read.count(path) == 1
    write("own.jsonl", questions[:5])
    assert len(read_items(path)) == 5 and read.count(path) == 2
    assert read_items(path)[0] == Item(
        id="own-1", question="What is 0?", choices=("one", "two", "word0"), gold=0, meta={"task": ""}
    )
