"""Wrong words, files and data on the command line: one line that says what, where and what to do, and an exit code."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from faults import SMALL, estimates, fails, jsonl, run

PLANTED = [*SMALL, "--model", "planted:calibrated"]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def question(number: int) -> dict[str, Any]:
    return {"question": f"What is {number}?", "choices": ["one", "two", f"word{number}"], "answer": "B"}


WRONG_USE = {
    "part": (["--only", "calibrated"], ["'calibrated' is none of its values", "did you mean 'calibration'?"]),
    "data": (["--data", "trivia"], ["no data set is called 'trivia'", "did you mean 'triviaqa'?"]),
    "preset": (["--data", "brook:XXL"], ["Brook has no variant 'XXL'", "known:"]),
    "hub": (["--data", "org/name"], ["'org/name' names no file", "write org/name:"]),
    "n": (["--n", "0"], ["--n is 0", "give 1 or more"]),
    "permute": (["--permute", "0"], ["--permute is 0", "give 1 or more"]),
    "samples": (["--samples", "0"], ["--samples is 0", "give 2 or more"]),
    "max-errors": (["--max-errors", "7"], ["--max-errors is 7.0", "give a share from 0 to 1"]),
    "workers": (["--workers", "0"], ["--workers is 0", "give at least 1"]),
    "kind": (["--model", "planted:calibrate"], ["no planted model is called", "did you mean 'calibrated'?"]),
    "parameter": (["--model", "planted:calibrated?c=1"], ["has no parameter 'c'", "known: a, b, t"]),
    "value": (["--model", "planted:calibrated?a=x"], ["planted:calibrated?a: 'x' is no float"]),
    "scheme": (["--model", "openia:gpt"], ["no model is called 'openia:gpt'", "did you mean 'openai:'?"]),
    "nothing": (["--model", "hf:"], ["'hf:' says nothing after the colon"]),
    "no-name": (["--model", "http://127.0.0.1:9/v1"], ["does not say which model", "#NAME"]),
    "run": (["--model", "run:abc"], ["no run is called 'abc'", "there are no runs yet"]),
}


@pytest.mark.parametrize("case", WRONG_USE)
def test_wrong_use(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags, said = WRONG_USE[case]
    kept = SMALL[:2] + SMALL[4:] if case == "part" else SMALL
    named = [] if "--model" in flags else ["--model", "planted:calibrated"]
    fails(capsys, 2, [*kept, *named, *(["--data", "synthetic"] if "--data" not in flags else []), *flags], *said)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("samplez = 3", "c.toml: unknown key 'samplez'; did you mean 'samples'?"),
        ("[self-knowledge]\nsamplez = 3", "c.toml: unknown key 'samplez'; did you mean 'samples'?"),
        ('permute = "3"', "c.toml: permute: expected an integer, got str '3'"),
        ("permute = true", "c.toml: permute: expected an integer, got bool True"),
        ('data = ["brook", 3]', "c.toml: data[1]: expected text, got int 3"),
        ('readout = "best"', "c.toml: readout: 'best' is none of its values"),
        ("workers = 1.5", "c.toml: workers is 1.5; give int"),
        ("n = ", "c.toml: "),
    ],
)
def test_wrong_configs(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.toml").write_text(text)
    fails(capsys, 2, ["assay", "self-knowledge", "--model", "planted:calibrated", "--config", "c.toml"], said)


@pytest.mark.parametrize("command", [["compare", "aa", "bb"], ["export", "aa"]])
def test_runs_that_do_not_exist(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, 2, command, "no run is called 'aa'", "there are no runs yet")
    assert run(capsys, *PLANTED, "--data", "synthetic", "--n", "20", "--json", "x.json").code == 0
    run_id = json.loads(Path("x.json").read_text())["run"].rpartition("-")[2]
    fails(capsys, 2, command, "no run is called 'aa'", "`gnomon runs` lists them")
    fails(capsys, 3, [*SMALL, "--model", f"run:{run_id}"], "the run has no checkpoint", "only finished training runs")


MISFITS: dict[str, tuple[object, str]] = {
    "cut": ('{"question": ', "line 3: is no JSON: Expecting value"),
    "list": ([1], "line 3: holds a list, not an object"),
    "letter": ({**question(1), "answer": "Z"}, "the answer 'Z' is none of A, B, C"),
    "fraction": ({**question(1), "answer": 1.5}, "the answer 1.5 is none of A, B, C"),
    "truth": ({**question(1), "answer": True}, "the answer True is none of A, B, C"),
    "null": ({**question(1), "question": None}, "None is no text"),
    "text": ({**question(1), "choices": "ab"}, "choices is 'ab', not a list"),
    "answers": ({"question": "q", "answers": "ab"}, "answers is 'ab', not a list"),
    "layout": ({"prompt": "x", "completion": "y"}, "no layout has these fields); it has prompt, completion"),
    "labels": ({"question": "q", "choices": {"text": ["a", "b"]}, "answer": 0}, "it lacks 'label'"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_a_bad_line_is_named(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, said = MISFITS[case]
    path = jsonl(tmp_path / "items.jsonl", question(1), question(2), record)
    fails(capsys, 3, [*PLANTED, "--data", str(path)], f"{path}, line 3: ", said)
    jsonl(path, question(1), question(2), question(3))
    assert run(capsys, *PLANTED, "--data", str(path), "--json", "x.json").code == 0
    assert estimates("x.json")[0]["n"] == 3


def test_an_id_used_twice_names_both_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = jsonl(tmp_path / "items.jsonl", *({**question(n), "id": f"q{n % 3}"} for n in range(4)))
    fails(capsys, 3, [*PLANTED, "--data", str(path)], f"{path}, line 4: id 'q0' is that of line 1 too; give each an id")


@pytest.mark.parametrize("name", ["i.jsonl", "i.json", "i.csv", "i.txt", "i.parquet", "i.jsonl.gz"])
def test_a_pointer_is_not_the_data(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text(POINTER)
    fails(capsys, 3, [*PLANTED, "--data", f"./{name}"], f"{name}: is a Git LFS pointer", "run git lfs pull")


UNREADABLE: dict[str, tuple[str, bytes, str]] = {
    "absent": ("nowhere.jsonl", b"", "nowhere.jsonl: no such file"),
    "empty": ("i.jsonl", b"\n", "i.jsonl: holds no items"),
    "kind": ("i.xyz", b"a", "a file ending in .xyz is not read; use jsonl, json, csv, txt or parquet"),
    "number": ("i.json", b"3", "i.json: holds a int, not a list"),
    "numbers": ("i.json", b"[3]", "i.json, row 1: holds a int, not an object"),
    "columns": ("i.csv", b"a,b,c\n", "i.csv, line 1: 3 columns, not question, A, B, C, D, letter"),
    "gold": ("i.csv", b"q,a,b,c,d,E\n", "i.csv, line 1: row does not fit its layout (the answer 'E' is none of A"),
    "blocks": ("i.txt", b"a\nb\n", "2 lines are no whole number of LogiQA's eight-line blocks"),
    "parquet": ("i.parquet", b"PAR1 and more", "i.parquet: is no whole Parquet file"),
    "latin": ("i.jsonl", b'{"question": "\xe9"}', "i.jsonl: cannot be read: 'utf-8' codec"),
    "zip": ("i.jsonl.gz", b"{}", "i.jsonl.gz: cannot be read: Not a gzipped file"),
    "cut-zip": ("i.jsonl.gz", gzip.compress(b"{}" * 99)[:-9], "i.jsonl.gz: cannot be read: "),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_an_unreadable_file_is_named(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, data, said = UNREADABLE[case]
    if case != "absent":
        (tmp_path / name).write_bytes(data)
    fails(capsys, 3, [*PLANTED, "--data", f"./{name}"], said)


def test_rows_that_cannot_be_asked_are_told_and_too_many_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {**question(9), "answer": 7}
    path = jsonl(tmp_path / "items.jsonl", *map(question, range(5)), bad)
    said = run(capsys, *PLANTED, "--data", str(path))
    assert said.code == 0 and "1 rows of the data cannot be used: items-6" in " ".join(said.out.split())
    jsonl(path, *map(question, range(5)), bad, {**bad, "question": "Again?"})
    fails(capsys, 3, [*PLANTED, "--data", str(path)], "2 of 7 rows cannot be used; the first: items-6")
