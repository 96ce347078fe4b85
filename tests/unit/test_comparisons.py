"""Comparisons and answers from files and from Brook: what is read, what is refused, what length alone gets."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gnomon.core.errors import DataError, UsageError
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import Comparison, length_baseline, open_comparisons
from gnomon.data.dialogues import open_dialogues
from gnomon.data.layouts import SAME, vote_score
from gnomon.data.records import divided
from gnomon.data.worlds.brook.oracle import RATERS, bayes_accuracy, request
from gnomon.data.worlds.brook.tables import world
from gnomon.models.base import Message

SEED = Seed(0)
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(*rows: Any, name: str = "rows.jsonl") -> Path:
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        data = b"\n".join(lines) + b"\n"
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return tmp_path / name

    return written


def hh(prompt: str, chosen: str, rejected: str) -> dict[str, str]:
    return {"chosen": prompt + chosen, "rejected": prompt + rejected}


USER, ANSWER = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}
PROMPT = "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: how do you\n\ndo?\n\nAssistant:"


def test_a_transcript_is_cut_before_its_last_answer(write: Write) -> None:
    (found,) = open_comparisons(
        str(write(hh(PROMPT, " fine.\n\nAnd you?", " no"), name="x.jsonl.gz")), 0, SEED
    ).comparisons
    assert (found.prompt, found.chosen, found.rejected) == (PROMPT, " fine.\n\nAnd you?", " no")
    assert found.id == "x-1"


def test_only_a_blank_line_and_a_name_begin_a_turn(write: Write) -> None:
    before = "\n\nHuman: she said Human: and\nAssistant: no\n\nwell\n\nAssistant:"
    (found,) = open_comparisons(str(write(hh(before, " Human: a\n\nb", " Assistant: c"))), 0, SEED).comparisons
    assert (found.prompt, found.chosen, found.rejected) == (before, " Human: a\n\nb", " Assistant: c")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"chosen": PROMPT + " a"}, "it has chosen, and no layout has these"),
        (hh("\n\nHuman: hi", " a", " b"), "'chosen' has no turn that begins with 'Assistant:'"),
        (hh(PROMPT, " a", "  "), "'rejected' ends with an empty answer"),
        (hh(PROMPT, " a\n\nHuman: and?", " b"), "'chosen' does not end with an answer"),
        ({"chosen": PROMPT + " a", "rejected": "\n\nHuman: ho\n\nAssistant: b"}, "the two transcripts differ before"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, "'rejected' is empty"),
        ({"prompt": "a", "chosen": "b", "rejected": 3}, "'rejected' is a int, not text"),
        ({"prompt": [], "chosen": "b", "rejected": "c"}, "'prompt' is no list of messages"),
        ({"question": "a", "answers": [{"text": "b"}]}, "an answer has neither 'pm_score' nor 'votes'"),
        ({"question": "a", "answers": ["b"]}, "an answer is no object"),
        ({"chosen": [USER, ANSWER], "rejected": [ANSWER]}, "the two conversations differ before"),
        ({"prompt": "", "chosen": [ANSWER], "rejected": [ANSWER]}, "the two conversations differ before"),
        ({"prompt": "", "chosen": [USER, ANSWER], "rejected": [USER, USER]}, "a conversation does not end with an"),
        ({"prompt": "", "chosen": [USER, {"role": "assistant"}], "rejected": [USER, ANSWER]}, "it has no 'content'"),
        ({"prompt": "", "chosen": [USER, {"content": "a"}], "rejected": [USER, ANSWER]}, "without a role of system"),
        ([1], "it holds a list, not an object"),
        (b"{", "it is no JSON"),
        (b'{"prompt": "\xff"}', "it is not UTF-8"),
    ],
)
def test_a_row_that_cannot_be_used_says_why_and_where(write: Write, row: Any, why: str) -> None:
    good = hh(PROMPT, " a", " b")
    with pytest.raises(DataError, match=r"1 of 3 rows cannot be used \(line 2: ") as refused:
        open_comparisons(str(write(good, row, good)), 0, SEED)
    assert why in str(refused.value)
    assert "--drop-bad" in refused.value.todo
    found = open_comparisons(str(write(good, row, good)), 0, SEED, drop_bad=True)
    assert (len(found.comparisons), found.num_rows, found.num_bad) == (2, 3, 1)
    assert why in found.bad[0]
    assert "rows.jsonl, line 2: " in found.bad[0]


def test_one_bad_row_in_a_hundred_is_counted_and_one_more_is_refused(write: Write) -> None:
    rows: list[Any] = [hh(PROMPT, f" {i}", " b") for i in range(100)]
    rows[7] = {}
    found = open_comparisons(str(write(*rows)), 0, SEED)
    assert (len(found.comparisons), found.num_bad) == (99, 1)
    rows[8] = {}
    with pytest.raises(DataError, match="2 of 100 rows"):
        open_comparisons(str(write(*rows)), 0, SEED)


def test_the_first_five_bad_rows_are_listed(write: Write) -> None:
    found = open_comparisons(str(write(*[{"no": 1}] * 7, hh(PROMPT, " a", " b"))), 0, SEED, drop_bad=True)
    assert found.num_bad == 7
    assert [line.split(", ")[1].split(":")[0] for line in found.bad] == [f"line {i}" for i in range(1, 6)]


def test_the_same_answer_twice_is_counted_and_left_out(write: Write) -> None:
    found = open_comparisons(str(write(hh(PROMPT, " a", " a "), hh(PROMPT, " a", " b"))), 0, SEED)
    assert (len(found.comparisons), found.unused, found.num_bad) == (1, {SAME: 1}, 0)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n", "is a Git LFS pointer"),
        (
            "x.jsonl.gz",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
            "is a Git LFS pointer",
        ),
        ("x.jsonl.gz", b"not zipped", "cannot be read"),
        ("x.jsonl", b"\n", "holds no rows"),
        ("x.md", b"a,b", "not a kind of file that is read"),
        ("x.csv", b"a,b", "holds no rows"),
        ("x.parquet", b"no", "is no whole Parquet file"),
    ],
)
def test_a_file_that_holds_no_rows_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_comparisons(str(tmp_path / name), 0, SEED)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        open_comparisons(str(tmp_path / "none.jsonl"), 0, SEED)
    with pytest.raises(
        DataError, match=r"none\.jsonl: no such file \(looked for none\.jsonl here and below GNOMON_DATA"
    ):
        open_comparisons("none.jsonl", 0, SEED)


def test_a_file_is_found_below_the_folder_of_data(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(hh(PROMPT, " a", " b"))
    monkeypatch.setenv("GNOMON_DATA", str(path.parent.parent))
    assert len(open_comparisons(f"{path.parent.name}/{path.name}", 0, SEED).comparisons) == 1


def test_a_prompt_may_be_text_or_messages_and_answers_conversations(write: Write) -> None:
    said = [{"role": "user", "content": "hi"}]
    rows = [
        {"id": "p", "prompt": "say:", "chosen": "yes", "rejected": " no"},
        {"prompt": said, "chosen": "yes", "rejected": " no"},
        {
            "chosen": [*said, {"role": "assistant", "content": "yes"}],
            "rejected": [*said, {"role": "assistant", "content": "no"}],
        },
    ]
    plain, messages, whole = open_comparisons(str(write(*rows)), 0, SEED).comparisons
    # A word that would run into the prompt gets its space; templates see to theirs.
    assert (plain.id, plain.chosen, plain.rejected) == ("p", " yes", " no")
    assert messages.prompt == whole.prompt == [Message("user", "hi")]
    assert (messages.chosen, messages.rejected) == (whole.chosen, whole.rejected) == ("yes", "no")
    assert messages.cluster == whole.cluster != plain.cluster


def test_a_planted_rater_states_its_probability_and_what_kind_of_prompt_it_was(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "study-collected-0a1b2c3d"
    run.mkdir()
    (run / "run.json").write_text("{}")
    row = {"prompt": "say:", "chosen": "yes", "rejected": "no"}
    write({**row, "p": 1, "group": "fact"}, {**row, "chosen": "ja", "p": 0.25}, name=f"{run.name}/comparisons.jsonl")
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path))
    planted = open_comparisons("run:0a1b/comparisons.jsonl", 0, SEED)
    assert [(c.p, c.group) for c in planted.comparisons] == [(1.0, "fact"), (0.25, "")]
    # Prompts of a rater that can be asked about any are on both sides of a split, pairs of answers are not.
    assert planted.apart == "pair"
    assert open_comparisons(str(write({**row, "p": 0.5}, row)), 0, SEED).apart == "prompt"
    with pytest.raises(DataError, match=r"line 1: 'p' is 1\.5, not a probability"):
        open_comparisons(str(write({**row, "p": 1.5})), 0, SEED)
    with pytest.raises(UsageError, match="'run:0a1b' names no file of the run"):
        open_comparisons("run:0a1b", 0, SEED)


def test_parquet_rows_are_read(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"prompt": ["a:"], "chosen": ["b"], "rejected": ["c"]}), tmp_path / "x.parquet")
    (found,) = open_comparisons(str(tmp_path / "x.parquet"), 0, SEED).comparisons
    assert (found.prompt, found.chosen, found.rejected) == ("a:", " b", " c")


def test_votes_become_pairs_of_unequal_score(write: Write) -> None:
    answers = [
        {"text": "seven", "votes": 7, "selected": False},
        {"text": "eight", "votes": 8, "selected": False},
        {"text": "accepted", "votes": 7, "selected": True},
        {"text": "given", "pm_score": 0, "votes": 50, "selected": False},
        {"text": "bad", "votes": -2, "selected": False},
    ]
    found = open_comparisons(str(write({"question": "why?", "answers": answers})), 0, SEED).comparisons
    scores = {"seven": 3, "eight": 3, "accepted": 4, "given": 0, "bad": -1}
    want = {(a, b) for a in scores for b in scores if scores[a] > scores[b]}
    assert {(c.chosen, c.rejected) for c in found} == want
    assert len(found) == len(want) == 9
    assert len({c.id for c in found}) == 9
    assert {c.cluster for c in found} == {found[0].cluster}


def test_scores_of_votes_are_those_of_the_paper() -> None:
    assert [vote_score(votes, False) for votes in (0, 1, 2, 3, 1000)] == [0, 1, 2, 2, 10]
    assert (vote_score(0, True), vote_score(-1, True)) == (1, -1)


def test_length_alone_is_measured() -> None:
    def pair(i: int, chosen: str, rejected: str) -> Comparison:
        return Comparison(id=str(i), prompt=str(i), chosen=chosen, rejected=rejected)

    # Longer, longer, shorter, as long (the space before is not the answer's).
    pairs = [pair(0, " abc", "a"), pair(1, " abcd", "ab"), pair(2, "a", "abcde"), pair(3, " xy", "zw")]
    accuracy, auroc = length_baseline(pairs)
    assert accuracy.value == pytest.approx(2.5 / 4)
    sizes = [(3, 1), (4, 2), (1, 5), (2, 2)]
    wins = [float(a > b) + 0.5 * (a == b) for a, _ in sizes for _, b in sizes]
    assert auroc.value == pytest.approx(sum(wins) / 16)


def test_no_prompt_is_on_both_sides_and_every_row_is_on_one() -> None:
    units = [i // 3 for i in range(90)]
    train, held = divided(units, 20, SEED)
    assert sorted(train + held) == list(range(90))
    assert not {units[i] for i in train} & {units[i] for i in held}
    assert 20 <= len(held) <= 22
    assert divided(units, 20, SEED, train=5)[0] == sorted(divided(units, 20, SEED, train=5)[0])
    assert len(divided(units, 20, SEED, train=5)[0]) == 5
    with pytest.raises(UsageError, match="90 rows leave 0 to train on and 90 to measure on"):
        divided(units, 90, SEED)


@pytest.mark.parametrize("rater", RATERS)
def test_brooks_raters_choose_as_often_as_they_say(rater: str) -> None:
    found = open_comparisons(f"brook:{rater}", 1500, SEED).comparisons
    assert found == open_comparisons(f"brook:{rater}", 1500, SEED).comparisons
    for each in found[:100]:
        assert isinstance(each.prompt, str)
        asked = request(world(), each.prompt)
        assert each.p == pytest.approx(RATERS[rater].prefers(world(), asked, each.chosen, each.rejected))
        assert asked.kind == each.group
    # The likelier one is chosen as often as the mean of the larger probability says.
    p = [each.p for each in found if each.p is not None]
    likelier = sum((x > 0.5) + 0.5 * (x == 0.5) for x in p)
    assert likelier / len(p) == pytest.approx(bayes_accuracy(p), abs=0.03)


def test_in_brook_the_same_two_answers_to_a_prompt_are_on_one_side() -> None:
    given = open_comparisons("brook", 3000, SEED)
    train, held = given.split(800, SEED, train=2000)

    def pairs(side: tuple[Comparison, ...]) -> set[tuple[str, ...]]:
        return {(c.cluster, *sorted((c.chosen, c.rejected))) for c in side}

    assert not pairs(train) & pairs(held)
    assert {c.cluster for c in train} & {c.cluster for c in held}
    assert len(train) == 2000
    with pytest.raises(UsageError, match="Brook has no rater 'helpfull'; did you mean 'helpful'"):
        open_comparisons("brook:helpfull", 10, SEED)


def test_answers_are_read_from_prompts_and_from_conversations(write: Write) -> None:
    talk = [
        {"role": role, "content": text}
        for role, text in (("user", "hi"), ("assistant", "hello"), ("user", "and?"), ("assistant", "so"))
    ]
    found = open_dialogues(str(write({"prompt": "a:", "answer": "b"}, {"messages": talk})), 0, SEED).things
    assert [(d.id, d.answer) for d in found] == [("rows-1", " b"), ("rows-2-1", "hello"), ("rows-2-3", "so")]
    assert found[2].prompt == [Message("user", "hi"), Message("assistant", "hello"), Message("user", "and?")]
    assert found[1].cluster == found[2].cluster != found[0].cluster
    with pytest.raises(DataError, match="line 1: no turn of the assistant follows another"):
        open_dialogues(str(write({"messages": talk[:1]})), 0, SEED)
    with pytest.raises(UsageError, match="Brook's dialogues have no kind 'gold'"):
        open_dialogues("brook:gold", 1, SEED)


def test_the_best_of_many_answers_is_better() -> None:
    def mean(best_of: int) -> float:
        found = open_dialogues("brook", 200, SEED, best_of=best_of).things
        rater = RATERS["gold"]
        return sum(rater.utility(world(), request(world(), str(d.prompt)), d.answer) for d in found) / len(found)

    assert mean(8) > mean(1) + 1


@pytest.mark.skipif("GNOMON_DATA" not in os.environ, reason="GNOMON_DATA names no folder with hh-rlhf")
def test_the_real_file_of_hh_rlhf_is_read() -> None:
    found = open_comparisons("hh-rlhf/harmless-base-test.jsonl.gz", 0, SEED)
    # Counted once by hand: four empty answers, five pairs of transcripts that differ earlier.
    assert (found.num_rows, found.num_bad, found.unused, len(found.comparisons)) == (2312, 9, {}, 2303)
    assert all(str(c.prompt).endswith("\n\nAssistant:") and c.chosen[0] == " " for c in found.comparisons)
    assert length_baseline(found.comparisons).accuracy.value == pytest.approx(0.446, abs=0.001)


def test_right_answers_stand_beside_wrong_ones() -> None:
    of = world()
    for each in open_comparisons("brook:right", 60, SEED).comparisons:
        asked = request(of, str(each.prompt))
        good, bad = (RATERS["gold"].utility(of, asked, side) for side in (each.chosen, each.rejected))
        assert good == {"fact": 1.5, "recipe": pytest.approx(1.8)}[each.group]
        assert bad < good and each.p == 1.0


def test_helpfulness_and_harm_are_compared_apart() -> None:
    groups = {
        name: {each.group for each in open_comparisons(f"brook:{name}", 80, SEED).comparisons}
        for name in ("requests", "red-team", "attacks")
    }
    assert groups == {"requests": {"fact", "recipe", "trait"}, "red-team": {"danger"}, "attacks": {"danger"}}


def test_who_attacks_a_model_chooses_the_more_harmful() -> None:
    of = world()
    for name, sign in (("red-team", 1), ("attacks", -1)):
        for each in open_comparisons(f"brook:{name}", 40, SEED).comparisons:
            p = RATERS["harmless"].prefers(of, request(of, str(each.prompt)), each.chosen, each.rejected)
            assert each.p == pytest.approx(p if sign == 1 else 1 - p)


def test_a_mixture_has_the_shares_that_are_asked_for(write: Write) -> None:
    found = open_comparisons("brook:requests*0.3,brook:red-team*0.7", 100, SEED)
    assert [each.group == "danger" for each in found.comparisons].count(True) == 70
    whole = open_comparisons("brook:requests", 30, SEED)
    assert [c.chosen for c in found.comparisons[:30]] == [c.chosen for c in whole.comparisons]

    path = write(*({"prompt": f"p{i}", "chosen": "a", "rejected": "b"} for i in range(10)))
    drawn = open_comparisons(f"{path}*0.25,brook*0.75", 12, SEED).comparisons
    assert len(drawn) == 12 and sum(str(each.prompt).startswith("p") for each in drawn) == 3
    with pytest.raises(DataError, match="10 comparisons, and its share is 25"):
        open_comparisons(f"{path}*0.25,brook*0.75", 100, SEED)


@pytest.mark.parametrize("spec", ["brook*0.5,brook:helpful*0.6", "brook*0.5,brook:helpful", "brook*x", "brook*0"])
def test_shares_that_are_none_are_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="do not add up to 1"):
        open_comparisons(spec, 10, SEED)
