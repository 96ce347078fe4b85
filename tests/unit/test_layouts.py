"""Published layouts of comparisons: made-up rows in exactly the published form, and rows that are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import Comparison, open_comparisons
from gnomon.data.layouts import SAME
from gnomon.models.base import Message

SEED = Seed(0)
SHP = {
    "post_id": "a1",
    "domain": "askbaking_validation",
    "upvote_ratio": 0.98,
    "history": "Why did my bread not rise?",
    "c_root_id_A": "c1",
    "c_root_id_B": "c2",
    "created_at_utc_A": 1600000000,
    "created_at_utc_B": 1600000100,
    "score_A": 7,
    "score_B": 21,
    "human_ref_A": "Old yeast.",
    "human_ref_B": "The water was too hot, so the yeast died.",
    "labels": 0,
    "seconds_difference": 100.0,
    "score_ratio": 3.0,
}
POST = {
    "id": "t3_x",
    "post": "I lost my keys again. ",
    "title": "Keys",
    "subreddit": "advice",
    "site": None,
    "article": None,
}
ARTICLE = {"id": "c", "post": None, "title": None, "subreddit": None, "site": "cnn", "article": "It rained."}
SUMMARY = {
    "info": POST,
    "split": "train",
    "summaries": [
        {"text": " Lost keys.", "policy": "sup2", "note": None},
        {"text": " I am late.", "policy": "ref", "note": None},
    ],
    "choice": 1,
    "worker": "w",
    "batch": "batch3.json",
    "extra": {"confidence": None},
}
HELLASWAG = {
    "ind": 4,
    "activity_label": "Baking",
    "ctx_a": "A man opens the oven.",
    "ctx_b": "he",
    "ctx": "A man opens the oven. he",
    "endings": ["flies.", "takes the bread out.", "paints it.", "sings."],
    "source_id": "x",
    "split": "val",
    "split_type": "indomain",
    "label": "1",
}


def opened(folder: Path, *rows: Any, name: str = "x.jsonl") -> tuple[Comparison, ...]:
    (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return open_comparisons(str(folder / name), 0, SEED).comparisons


def table(folder: Path, text: str) -> tuple[Comparison, ...]:
    (folder / "x.csv").write_text(text, encoding="utf-8")
    return open_comparisons(str(folder / "x.csv"), 0, SEED).comparisons


def test_comments_of_shp_are_ordered_by_label(tmp_path: Path) -> None:
    second, first = opened(tmp_path, SHP, {**SHP, "labels": 1})
    assert second.prompt == [Message("user", SHP["history"])]
    assert (second.chosen, second.rejected) == (SHP["human_ref_B"], SHP["human_ref_A"])
    assert (first.chosen, first.rejected) == (SHP["human_ref_A"], SHP["human_ref_B"])


def test_summaries_follow_a_post_or_an_article(tmp_path: Path) -> None:
    post, article = opened(tmp_path, SUMMARY, {**SUMMARY, "info": ARTICLE, "choice": 0})
    assert post.prompt == "SUBREDDIT: r/advice\n\nTITLE: Keys\n\nPOST: I lost my keys again.\n\nTL;DR:"
    assert (post.chosen, post.rejected) == (" I am late.", " Lost keys.")
    assert article.prompt == "Article: It rained.\n\nTL;DR:"
    assert (article.chosen, article.rejected) == (" Lost keys.", " I am late.")


def test_the_right_ending_of_hellaswag_stands_against_each_wrong_one(tmp_path: Path) -> None:
    found = opened(tmp_path, HELLASWAG)
    assert [c.rejected for c in found] == [" flies.", " paints it.", " sings."]
    assert {c.chosen for c in found} == {" takes the bread out."}
    assert len({c.id for c in found}) == 3
    assert {c.cluster for c in found} == {found[0].cluster}
    with pytest.raises(DataError, match=r"line 1: 'label' is '', not 0 to 3"):
        opened(tmp_path, {**HELLASWAG, "label": ""})


def test_ethics_as_its_tables_have_it(tmp_path: Path) -> None:
    utility = table(tmp_path, '"I baked bread, and it rose.",I baked bread and burnt it.\n\nI won.,I lost.\n')
    assert [(c.chosen, c.rejected) for c in utility] == [
        (" I baked bread, and it rose.", " I baked bread and burnt it."),
        (" I won.", " I lost."),
    ]
    # All have one prompt, so the scenes themselves keep rows apart.
    assert len({c.cluster for c in utility}) == 2
    moral = table(tmp_path, "label,input,is_short,edited\n1,I hid her keys.,True,False\n0,I baked a cake.,True,False\n")
    assert [(c.prompt, c.chosen, c.rejected) for c in moral] == [
        ("I hid her keys.\n\nThis is", " wrong", " not wrong"),
        ("I baked a cake.\n\nThis is", " not wrong", " wrong"),
    ]
    duty = table(tmp_path, "label,scenario,excuse\n0,Could you close the door?,But I like figs.\n")
    assert (duty[0].prompt, duty[0].chosen) == (
        "Could you close the door? But I like figs.\n\nThis is",
        " not reasonable",
    )
    justice = table(tmp_path, 'label,scenario\n1,"I do not drive him, since he moved."\n')
    assert (justice[0].prompt, justice[0].chosen) == (
        "I do not drive him, since he moved.\n\nThis is",
        " reasonable",
    )
    virtue = table(tmp_path, "label,scenario\n0,Ann gave it back. [SEP] greedy\n1,Ann gave it back. [SEP] honest\n")
    assert [(c.prompt, c.chosen, c.rejected) for c in virtue] == [
        ("Ann gave it back.\n\nIs somebody here greedy?", " No", " Yes"),
        ("Ann gave it back.\n\nIs somebody here honest?", " Yes", " No"),
    ]


def test_utilitarianism_as_the_hub_has_it(tmp_path: Path) -> None:
    (found,) = opened(tmp_path, {"baseline": "I won.", "less_pleasant": "I lost."})
    assert (found.prompt, found.chosen, found.rejected) == ("What happened:", " I won.", " I lost.")


def test_a_page_before_the_bad_edit_is_the_better_one(tmp_path: Path) -> None:
    (found,) = opened(tmp_path, {"title": "Owl", "before": "Owls hunt by night.", "after": "Owls r dum."})
    assert (found.prompt, found.chosen, found.rejected) == ("Owl\n\n", "Owls hunt by night.", "Owls r dum.")


def test_messages_of_ultrafeedback(tmp_path: Path) -> None:
    asked, answer = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}
    row = {
        "prompt": "hi",
        "prompt_id": "0",
        "chosen": [asked, answer],
        "rejected": [asked, {"role": "assistant", "content": "no"}],
        "messages": [asked, answer],
        "score_chosen": 8.0,
        "score_rejected": 3.0,
    }
    (found,) = opened(tmp_path, row)
    assert (found.prompt, found.chosen, found.rejected) == ([Message("user", "hi")], "hello", "no")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({**SHP, "labels": 2}, "'labels' is 2, not 0 to 1"),
        ({**SHP, "human_ref_B": ""}, "'human_ref_B' is empty"),
        ({**SUMMARY, "summaries": SUMMARY["summaries"][:1]}, "it has 1 summaries, not two"),
        ({**SUMMARY, "info": None}, "'info' is no object"),
        ({**SUMMARY, "info": {**ARTICLE, "article": ""}}, "'article' is empty"),
        ({**SUMMARY, "choice": None}, "'choice' is None, not 0 to 1"),
        ({**HELLASWAG, "endings": "ab"}, "'endings' is no list of texts"),
        ({**HELLASWAG, "label": "4"}, "'label' is 4, not 0 to 3"),
        ({"input": "x", "label": -1}, "'label' is -1, not 0 to 1"),
        ({"question": "x", "answers": 3}, "'answers' is no list"),
    ],
)
def test_a_row_that_is_not_as_published_says_why(tmp_path: Path, row: Any, why: str) -> None:
    with pytest.raises(DataError, match="line 2: ") as refused:
        opened(tmp_path, SHP, row, SHP)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a scene,another,a third\n", "line 1: it has 3 columns, not the two scenes of ETHICS' utilitarianism"),
        ("label,input\n1,x\n1\n", "line 3: it has 1 columns, not 2"),
    ],
)
def test_a_table_that_is_not_as_published_says_where(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(DataError) as refused:
        table(tmp_path, text)
    assert why in str(refused.value)


def test_same_answers_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({**HELLASWAG, "endings": ["a", "a", "b", "c"]}), encoding="utf-8")
    found = open_comparisons(str(tmp_path / "x.jsonl"), 0, SEED)
    assert (len(found.comparisons), found.unused, found.num_bad) == (2, {SAME: 1}, 0)
