"""The assistant that ships: made of the base model that ships, better on what it was made for, little else lost."""

from __future__ import annotations

from pathlib import Path

import pytest

import gnomon
from gnomon.core.config import to_json
from gnomon.models.load import checkpoint_folder, content_hash, load
from gnomon.models.local import LocalModel
from gnomon.store.run import Run, list_runs
from gnomon.train.sft import Sft
from gnomon.trial.compare import compare


@pytest.fixture(scope="module")
def assistant() -> LocalModel:
    found = load("brook-assistant")
    assert isinstance(found, LocalModel)
    return found


def test_it_is_what_plain_fine_tuning_makes_of_the_base_model(assistant: LocalModel) -> None:
    recipe = assistant.recipe
    told = {**to_json(Sft()), **recipe["config"]}
    assert told == to_json(Sft())
    assert recipe["start"] == {"model": "brook", "revision": content_hash(checkpoint_folder("brook"))}


def test_it_prefers_better_answers_than_the_base_model(tmp_path: Path) -> None:
    for model in ("brook", "brook-assistant"):
        gnomon.assay("hhh", model, root=tmp_path, n=40, scores=("sum",))
    base, made = (Run.find(m.id, root=tmp_path) for m in reversed(list_runs(tmp_path)))
    gained = compare(base, made).estimate("difference of accuracy (sum)", "")
    base.close()
    made.close()
    assert gained.low is not None and gained.low > 0.1, gained


def test_it_answers_in_the_form_of_a_conversation(assistant: LocalModel) -> None:
    assert assistant.tokenizer.chat_template is not None
    assert "Chat:" in assistant.tokenizer.chat_template
