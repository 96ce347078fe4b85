"""Which prompts are helpful and harmful, who is seen when, and which files can serve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.ood import Ood
from gnomon.assay.ood.prompts import open_prompts, some
from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from tests.unit._prompts import flagged, written


def test_what_is_asked_for_alone_tells_harmful_prompts_of_brook() -> None:
    """Marks and preambles come with both kinds: a recipe's words become another kind's by changing the thing."""
    prompts = open_prompts(("brook",), ())
    harmful = prompts.harmful(Seed(0))
    things = {item.meta["topic"] for item in (*some(prompts, "tested", 300, Seed(0)), *prompts.new)} - {""}

    def frames(items: Sequence[Item]) -> set[str]:
        return {item.question.replace(f" {item.meta['topic']} ", " * ") for item in items if item.meta["topic"]}

    assert len(harmful) == len({item.question for item in harmful}) == 8 * 18
    assert things == {"lamp", "kite", "basket", "candle", "broom", "raft", "bowl", "chair"}
    assert frames(harmful) == frames([*some(prompts, "tested", 3000, Seed(0)), *prompts.new])


def test_a_prompt_has_one_role_and_new_topics_have_none() -> None:
    prompts = open_prompts(("brook",), ())
    by_role = {r: some(prompts, r, 400, Seed(s)) for s, r in enumerate(("fit", "reference", "tested"))}  # type: ignore[arg-type]
    texts = {role: {item.question for item in items} for role, items in by_role.items()}
    assert not texts["fit"] & texts["tested"] and not texts["fit"] & texts["reference"]
    assert not texts["reference"] & texts["tested"]
    new = {item.meta["topic"] for item in prompts.new}
    assert len(new) == 2 and len(prompts.new) == 36
    assert not new & {item.meta["topic"] for items in by_role.values() for item in items}
    shares = [sum(item.meta["topic"] == "" for item in items) / 400 for items in by_role.values()]
    assert shares == pytest.approx([0.5] * 3, abs=0.12)


def test_items_are_a_function_of_the_seed_and_name_their_prompt() -> None:
    config = Ood(n=30)
    first, again, other = (list(config.items(Seed(s))) for s in (1, 1, 2))
    assert first == again and first != other
    assert len({item.id for item in first}) == len(first) == 90
    by_id = {item.id: item.question for item in first}
    shared = [item for item in other if item.id in by_id]
    assert shared and all(by_id[item.id] == item.question for item in shared)


def test_a_file_of_flagged_prompts(tmp_path: Path) -> None:
    path = written(tmp_path / "flagged.jsonl", [*flagged(), {"prompt": "bake cake 0", "harmful": "true"}])
    prompts = open_prompts((path,), ())
    assert {item.gold for item in prompts.harmful(Seed(0))} == {1} and len(prompts.harmful(Seed(0))) == 80
    assert len({item.meta["topic"] for item in prompts.new}) == 1 and len(prompts.new) in (19, 20)
    roles = [item for role in ("fit", "reference", "tested") for item in some(prompts, role, 99, Seed(0))]  # type: ignore[arg-type]
    assert len(roles) + len(prompts.new) == 79
    assert prompts.notes == ("1 prompts are called helpful and harmful, and are left out",)


def test_transcripts_give_their_first_turn_and_the_file_says_which_kind(tmp_path: Path) -> None:
    talk = "\n\nHuman: {} \nHuman: quoted\n\nAssistant: sure\n\nHuman: more\n\nAssistant: no"
    helpful = written(tmp_path / "helpful.jsonl.gz", [{"chosen": talk.format("a cake?"), "rejected": "x"}] * 2)
    harmful = written(tmp_path / "harmful.jsonl", [{"chosen": "\n\nHuman: a bomb?", "rejected": "x"}])
    prompts = open_prompts((helpful,), (harmful,))
    [cake], [bomb] = list(prompts.helpful(Seed(0))), prompts.harmful(Seed(0))
    assert cake.meta["prompt"] == "\n\nHuman: a cake? \nHuman: quoted\n\nAssistant:" and cake.gold == 0
    assert bomb.meta["prompt"] == "\n\nHuman: a bomb?\n\nAssistant:" and bomb.gold == 1


def test_messages_go_through_the_template(tmp_path: Path) -> None:
    talk = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "a cake?"}]
    rows = [{"prompt": talk, "harmful": False}, {"prompt": "a bomb?", "harmful": True}]
    [cake] = open_prompts((written(tmp_path / "talks.jsonl", rows),), ()).helpful(Seed(0))
    assert cake.meta["prompt"] == [["system", "Be kind."], ["user", "a cake?"]]


def test_the_shared_harmless_file_is_read(gnomon_data: Path, tmp_path: Path) -> None:
    helpful = written(tmp_path / "helpful.jsonl", [{"prompt": "a cake?"}])
    prompts = open_prompts((helpful,), (str(gnomon_data / "hh-rlhf/harmless-base-test.jsonl.gz"),))
    texts = [item.question for item in prompts.harmful(Seed(0))]
    assert len(texts) == len(set(texts)) > 2000
    assert not any("\n\nAssistant:" in text for text in texts)


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        ([{"prompt": "a"}], {}, "line 1: it has no 'harmful'"),
        ([{"prompt": "a", "harmful": "maybe"}], {}, "'harmful' is 'maybe', not true or false"),
        ([{"prompt": "a", "harmful": True}], {}, "no prompt is helpful"),
        ([{"prompt": "a", "harmful": False}], {}, "no prompt is harmful"),
        ([{"chosen": "Assistant: hi", "harmful": True}], {}, "does not begin with a human turn"),
        ([{"prompt": "a", "harmful": True}], {"outliers": ("FILE",)}, "flagged harmful in a file of helpful prompts"),
        ([{"prompt": "a", "harmful": False}], {"data": ("FILE", "brook")}, "of its own"),
    ],
)
def test_files_that_cannot_serve_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], settings: dict[str, Any], said: str
) -> None:
    path = written(tmp_path / "rows.jsonl", rows)
    named = {key: tuple(path if spec == "FILE" else spec for spec in value) for key, value in settings.items()}
    with pytest.raises((DataError, UsageError), match=said):
        list(Ood(**{"data": (path,), **named}).items(Seed(0)))
