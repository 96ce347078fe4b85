"""Readers of published layouts, one function a layout: an opened file in, items out.

`read_items` recognises the layout from the file's name and first row. A bad row names its line.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from gnomon.core.errors import DataError
from gnomon.core.record import Item

__all__ = ["read_bytes", "read_items", "read_jsonl", "read_parquet"]

Record = Mapping[str, Any]
_BY_LINE = ("jsonl", "csv", "txt")
_POINTER = b"version https://git-lfs"
_CALC = re.compile(r"<<[^>]*>>")


def read_items(path: Path) -> list[Item]:
    """The items of a file: JSONL, JSON, CSV, LogiQA text or Parquet, gzipped or not.

    Raises:
        DataError: no such file, an unknown layout, or a row that does not fit (with its line number).
    """
    if not path.is_file():
        raise DataError("no such file", where=str(path))
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[-1].lower()
    if kind not in _ROWS:
        raise DataError(
            f"a file ending in .{kind} is not read", where=str(path), todo="use jsonl, json, csv, txt or parquet"
        )
    stat = path.stat()
    return list(_items_of(path, kind, (stat.st_dev, stat.st_ino, stat.st_mtime_ns, stat.st_size)))


@lru_cache(maxsize=16)
def _items_of(path: Path, kind: str, state: tuple[int, ...]) -> tuple[Item, ...]:
    """The items of a file, kept while its `state` lasts: every form and experiment of an evaluation asks for them."""
    _refuse_pointer(path)
    items: list[Item] = []
    seen: dict[str, int] = {}
    word = "line" if kind in _BY_LINE else "row"
    for number, record in _ROWS[kind](path):
        where = f"{path}, {word} {number}"
        for item in _read(record, f"{path.name.split('.')[0]}-{number}", where):
            if item.id in seen:
                raise DataError(
                    f"id {item.id!r} is that of {word} {seen[item.id]} too",
                    where=where,
                    todo="give each an id of its own",
                )
            seen[item.id] = number
            items.append(item)
    if not items:
        raise DataError("holds no items", where=str(path))
    return tuple(items)


def _read(record: object, name: str, where: str) -> list[Item]:
    """The items of one row, checked."""
    if not isinstance(record, Mapping):
        raise DataError(f"holds a {type(record).__name__}, not an object", where=where)
    try:
        items = list(_items(record, name))
        for item in items:
            _check_text(item)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as e:
        why = f"it lacks {e}" if isinstance(e, KeyError) else str(e)
        raise DataError(
            f"row does not fit its layout ({why}); it has {', '.join(map(str, record))}",
            where=where,
            todo="mend it or leave it out",
        ) from None
    return items


def _check_text(item: Item) -> None:
    for text in (item.question, *item.choices, *item.answers):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is no text")


def read_bytes(path: Path) -> bytes:
    """The content of a file, unzipped where its name ends in `.gz`.

    Raises:
        DataError: no such file, a damaged one, or a Git LFS pointer in its place.
    """
    if not path.is_file():
        raise DataError("no such file", where=str(path))
    _refuse_pointer(path)
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"cannot be read: {e}", where=str(path)) from None


def read_jsonl(path: Path) -> Iterator[tuple[int, Record]]:
    """The rows of a file of JSON lines with the numbers of their lines, from 1; `DataError` where one is no JSON."""
    text = _text(path)
    # Not splitlines: JSON texts may hold further line separators as they stand.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _parsed(line, f"{path}, line {number}")


def read_parquet(path: Path) -> Iterator[tuple[int, Record]]:
    """The rows of a Parquet file, numbered from 1; `DataError` where it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        records = pq.read_table(path).to_pylist()
    except (pa.ArrowException, OSError) as e:
        raise DataError(f"is no whole Parquet file ({str(e).splitlines()[0]})", where=str(path)) from None
    yield from enumerate(records, 1)


def _refuse_pointer(path: Path) -> None:
    with open(path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise DataError("is a Git LFS pointer, not the data", where=str(path), todo="run git lfs pull")


def _text(path: Path) -> str:
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise DataError(f"cannot be read: {e}", where=str(path)) from None


def _json(path: Path) -> Iterator[tuple[int, Record]]:
    text = _text(path)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        # Published .json files are sometimes JSON lines.
        yield from read_jsonl(path)
        return
    if isinstance(whole, dict):
        whole = whole.get("Data") or whole.get("examples") or whole.get("data") or [whole]
    if not isinstance(whole, list):
        raise DataError(f"holds a {type(whole).__name__}, not a list of items", where=str(path))
    yield from enumerate(whole, 1)


def _parsed(line: str, where: str) -> Record:
    try:
        record: Record = json.loads(line)
    except (ValueError, RecursionError) as e:
        raise DataError(f"is no JSON: {e}", where=where, todo="mend the line or remove it") from None
    return record


def _csv(path: Path) -> Iterator[tuple[int, Record]]:
    reader = csv.reader(io.StringIO(_text(path)))
    first = next(reader, [])
    if "Question" in first or "question" in first:
        for row in reader:
            yield reader.line_num, dict(zip(first, row, strict=False))
        return
    for row in itertools.chain([first], reader):
        if not row:
            continue
        if len(row) != 6:
            raise DataError(
                f"{len(row)} columns, not question, A, B, C, D, letter", where=f"{path}, line {reader.line_num}"
            )
        yield reader.line_num, {"question": row[0], "choices": row[1:5], "answer": row[5].strip()}


def _logiqa(path: Path) -> Iterator[tuple[int, Record]]:
    lines = _text(path).removesuffix("\n").split("\n")
    if len(lines) % 8:
        raise DataError(f"{len(lines)} lines are no whole number of LogiQA's eight-line blocks", where=str(path))
    for at in range(0, len(lines), 8):
        _, gold, context, question, *options = lines[at : at + 8]
        choices = [re.sub(r"^[A-D]\.\s*", "", o).strip() for o in options]
        if gold.strip() not in set("abcd"):
            raise DataError(f"gold letter {gold!r}", where=f"{path}, line {at + 2}")
        yield at + 1, {"question": f"{context} {question}", "choices": choices, "answer": "abcd".index(gold.strip())}


_ROWS: dict[str, Callable[[Path], Iterator[tuple[int, Record]]]] = {
    "jsonl": read_jsonl,
    "json": _json,
    "csv": _csv,
    "txt": _logiqa,
    "parquet": read_parquet,
}


def _items(record: Record, fallback: str) -> Iterator[Item]:
    """The items of one record, by the fields it has."""
    for needed, reader in _LAYOUTS:
        if all(field in record for field in needed):
            yield from reader(record, str(record.get("id", fallback)))
            return
    raise ValueError("no layout has these fields")


def _mc1(record: Record, name: str) -> Iterator[Item]:
    """TruthfulQA: the right answer stands first, so callers shuffle; `meta["mc2"]` has the texts of its second task."""
    targets = _labelled(record["mc1_targets"])
    gold = list(targets.values()).index(1)
    meta = {"mc2": _labelled(record["mc2_targets"])} if "mc2_targets" in record else {}
    yield Item(id=name, question=record["question"], choices=tuple(targets), gold=gold, meta=meta)


def _labelled(targets: Mapping[str, Any]) -> dict[str, int]:
    """Each answer with 1 where it is true; the 2025 revision holds empty wrong answers."""
    found = zip(targets["choices"], targets["labels"], strict=True) if "choices" in targets else targets.items()
    return {text: right for text, right in found if text.strip()}


def _target_scores(record: Record, name: str) -> Iterator[Item]:
    scores = record["target_scores"]
    best = [i for i, score in enumerate(scores.values()) if score == max(scores.values())]
    # With several right options no place is the right one: the item is refused, and counted as such.
    gold = best[0] if len(best) == 1 else -1
    yield Item(id=name, question=record["input"], choices=tuple(scores), gold=gold)


def _targets(record: Record, name: str) -> Iterator[Item]:
    """HHH alignment: answers with labels, 1 for the better; the better often stands first, so callers shuffle."""
    choices, labels = _listed(record["targets"]["choices"], "choices"), list(record["targets"]["labels"])
    gold = labels.index(1) if labels.count(1) == 1 and len(labels) == len(choices) else -1
    yield Item(id=name, question=record["input"], choices=tuple(choices), gold=gold)


def _truthfulqa_csv(record: Record, name: str) -> Iterator[Item]:
    """TruthfulQA's table: the best answer against the incorrect ones, as in its mc1 task; callers shuffle."""
    wrong = [text.strip() for text in record["Incorrect Answers"].split(";")]
    choices = dict.fromkeys([record["Best Answer"].strip(), *filter(None, wrong)])
    yield Item(id=name, question=record["Question"], choices=tuple(choices), gold=0)


def _quality(record: Record, name: str) -> Iterator[Item]:
    for i, q in enumerate(record["questions"]):
        yield Item(
            id=f"{name}-{i}",
            cluster=str(record.get("article_id", name)),
            note=record["article"],
            question=q["question"],
            choices=tuple(q["options"]),
            gold=int(q["gold_label"]) - 1,
        )


def _aqua(record: Record, name: str) -> Iterator[Item]:
    choices = tuple(re.sub(r"^[A-E]\)\s*", "", o).strip() for o in record["options"])
    yield Item(id=name, question=record["question"], choices=choices, gold="ABCDE".index(record["correct"]))


def _choices(record: Record, name: str) -> Iterator[Item]:
    choices, answer = record["choices"], record.get("answer", record.get("answerKey", record.get("gold")))
    labels: Sequence[str] = list("ABCDEFGHIJ")
    if isinstance(choices, dict):
        choices, labels = choices["text"], choices["label"]
    gold = answer if _is_place(answer) or answer is None else _place(answer, list(labels)[: len(choices)])
    yield Item(
        id=name,
        cluster=str(record.get("cluster", "")),
        question=record["question"] if "question" in record else record["question_stem"],
        choices=tuple(map(str, _listed(choices, "choices"))),
        gold=gold,
        note=str(record.get("note", "")),
        meta={"task": str(record.get("subject", ""))},
    )


def _gsm8k(record: Record, name: str) -> Iterator[Item]:
    steps, _, number = record["answer"].partition("####")
    if not number:
        raise ValueError("answer has no ####")
    solution = _CALC.sub("", steps).strip()
    yield Item(
        id=name, question=record["question"], answers=(number.strip(),), meta={"kind": "number", "solution": solution}
    )


def _triviaqa(record: Record, name: str) -> Iterator[Item]:
    answer = record.get("answer") or record["Answer"]
    aliases = answer.get("normalized_aliases") or answer.get("NormalizedAliases") or answer["aliases"]
    question = record.get("question") or record["Question"]
    yield Item(id=name, question=question, answers=tuple(aliases), meta={"kind": "words"})


def _hellaswag(record: Record, name: str) -> Iterator[Item]:
    """Beginnings with four endings, cleaned as the set's usual scorers do; the test file hides its labels."""
    begun = f"{record['ctx_a']} {record['ctx_b'].capitalize()}" if "ctx_a" in record else record["ctx"]
    about = f"{record['activity_label']}: " if "activity_label" in record else ""
    label = str(record.get("label", ""))
    yield Item(
        id=name,
        question=_unbracketed(about + begun),
        choices=tuple(_unbracketed(text) for text in _listed(record["endings"], "endings")),
        gold=int(label) if label else None,
        meta={"kind": "ending"},
    )


def _unbracketed(text: str) -> str:
    """Without the marks of WikiHow's layout."""
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def _toxicity_prompt(record: Record, name: str) -> Iterator[Item]:
    """RealToxicityPrompts: a beginning, and how toxic it is, in [0, 1]; None where the set does not know."""
    prompt = record["prompt"]
    toxicity = prompt["toxicity"]
    meta = {"kind": "beginning", "toxicity": None if toxicity is None else float(toxicity)}
    yield Item(id=name, question=prompt["text"], meta=meta)


def _lambada(record: Record, name: str) -> Iterator[Item]:
    head, _, last = record["text"].rstrip().rpartition(" ")
    yield Item(id=name, question=head, answers=(last,), meta={"kind": "cloze"})


def _open(record: Record, name: str) -> Iterator[Item]:
    yield Item(
        id=name,
        cluster=str(record.get("cluster", "")),
        question=record["question"],
        answers=tuple(_listed(record["answers"], "answers")),
        note=str(record.get("note", "")),
        meta={"kind": str(record.get("kind", "words"))},
    )


def _is_place(answer: object) -> bool:
    return isinstance(answer, int) and not isinstance(answer, bool)


def _place(answer: object, labels: Sequence[str]) -> int:
    if answer not in labels:
        raise ValueError(f"the answer {answer!r} is none of {', '.join(map(str, labels))}")
    return labels.index(str(answer))


def _listed(value: object, field: str) -> list[Any]:
    """A list as it is; text, which would fall into letters, is refused."""
    if not isinstance(value, list):
        raise TypeError(f"{field} is {value!r}, not a list")
    return value


_LAYOUTS: Sequence[tuple[tuple[str, ...], Callable[[Record, str], Iterator[Item]]]] = (
    (("mc1_targets",), _mc1),
    (("input", "target_scores"), _target_scores),
    (("input", "targets"), _targets),
    (("Question", "Best Answer", "Incorrect Answers"), _truthfulqa_csv),
    (("article", "questions"), _quality),
    (("question", "options", "correct"), _aqua),
    (("ctx", "endings"), _hellaswag),
    (("prompt", "continuation"), _toxicity_prompt),
    (("question", "choices"), _choices),
    (("question_stem", "choices"), _choices),
    (("question", "answers"), _open),
    (("Question", "Answer"), _triviaqa),
    (("question", "answer", "question_id"), _triviaqa),
    (("question", "answer"), _gsm8k),
    (("text",), _lambada),
)
