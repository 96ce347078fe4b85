"""Ability: scores against plain computations, published layouts, worked examples, prompts, tax, Brook's truth."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.ability import Ability
from gnomon.assay.ability.asking import credit, scored_by
from gnomon.core.errors import AbilityError, DataError, UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.assistants import prompt_text
from gnomon.data.formats import read_items
from gnomon.data.worlds.brook import world
from gnomon.models import base
from gnomon.models.base import Completion, Score
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel
from gnomon.models.planted.base import make
from gnomon.trial.base import Cast
from gnomon.trial.job import ask
from gnomon.trial.validate import validate
from tests.contract.parity import made_folder

CHOICES: list[dict[str, Any]] = [
    {
        "id": "k",
        "question": "Where is the kettle?",
        "choices": ["in the cellar", "on the roof, café side", "oak"],
        "answer": 1,
    },
    {"id": "v", "question": "What is the violin made of?", "choices": ["brass", "river stone"], "answer": 0},
]
TRUTHS: list[dict[str, Any]] = [
    {
        "question": "Where is the ladder?",
        "mc1_targets": {"by the mill": 1, "in a tin box": 0, "nowhere": 0},
        "mc2_targets": {"by the mill": 1, "behind the mill": 1, "in a tin box": 0, "nowhere": 0},
    }
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_checkpoint(made_folder(tmp_path_factory.mktemp("ability") / "model"))


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def asked(config: Ability, model: Any, against: Any = None) -> list[Row]:
    async def rows() -> list[Row]:
        cast, items = Cast({"subject": model, "against": against or model}), list(config.items(Seed(0)))
        return list(await asyncio.gather(*(ask(config, item, cast, Seed(0)) for item in items)))

    found = asyncio.run(rows())
    assert [row.error for row in found if row.error] == []
    return found


def plain(model: LocalModel, prompt: str, text: str) -> list[float]:
    """Log-probabilities of the text's tokens, by one forward of the whole and a look at its positions."""
    import torch

    before, ids = len(model.tokenizer.encode(prompt)), model.tokenizer.encode(prompt + text)
    with torch.no_grad():
        logits = model.run(torch.tensor([ids]))[0].double()
    return [float(torch.log_softmax(logits[i - 1], -1)[ids[i]]) for i in range(before, len(ids))]


def test_every_way_to_compare_texts_equals_a_plain_computation(model: LocalModel, tmp_path: Path) -> None:
    config = Ability(tasks=(written(tmp_path / "made.jsonl", CHOICES),))
    rows = asked(config, model)
    assert len(rows) == 2
    for row in rows:
        e = row.evidence
        prompt = f"Question: {e['question']}\nAnswer:"
        after = [plain(model, prompt, f" {text}") for text in e["choices"]]
        alone = [sum(plain(model, "Answer:", f" {text}")) for text in e["choices"]]
        by_hand = {
            "sum": [sum(a) for a in after],
            "mean": [sum(a) / len(a) for a in after],
            "character": [sum(a) / len(t) for a, t in zip(after, e["choices"], strict=True)],
            "byte": [sum(a) / len(t.encode()) for a, t in zip(after, e["choices"], strict=True)],
            "pmi": [sum(a) - s for a, s in zip(after, alone, strict=True)],
        }
        for way, scores in by_hand.items():
            assert scored_by(e["told"][""], e["choices"], way) == pytest.approx(scores, abs=1e-4)
        best = max(range(len(after)), key=by_hand["character"].__getitem__)
        assert e["scores"] == {"accuracy": float(best == e["gold"])}
    report = config.summarise(rows)
    for way in by_hand:
        right = [
            credit(scored_by(r.evidence["told"][""], r.evidence["choices"], way), r.evidence["gold"]) for r in rows
        ]
        assert report.estimate(f"accuracy ({way})", rows[0].evidence["series"]).value == sum(right) / 2


def test_several_that_score_as_high_share_the_credit() -> None:
    assert credit([1.0, 1.0, 0.0], 1) == 0.5
    assert credit([1.0, 1.0, 0.0], 2) == 0.0


def test_truthfulqas_second_task_is_the_true_texts_share(model: LocalModel, tmp_path: Path) -> None:
    path = written(tmp_path / "tqa.jsonl", TRUTHS)
    (row,) = asked(Ability(tasks=(path,), by="sum"), model)
    prompt = "Question: Where is the ladder?\nAnswer:"
    p = {text: math.exp(sum(plain(model, prompt, f" {text}"))) for text in TRUTHS[0]["mc2_targets"]}
    share = (p["by the mill"] + p["behind the mill"]) / sum(p.values())
    assert row.evidence["scores"]["MC2"] == pytest.approx(share, rel=1e-4)
    assert sorted(row.evidence["choices"]) == sorted(TRUTHS[0]["mc1_targets"])


def test_texts_keep_more_than_ten_options_and_letters_ten(tmp_path: Path) -> None:
    path = written(
        tmp_path / "many.jsonl", [{"question": "Which?", "choices": [f"no {i}" for i in range(13)], "answer": 4}]
    )
    counts = {}
    for form in ("texts", "letters"):
        (item,) = Ability(tasks=(path,), forms=(form,)).items(Seed(1))
        counts[form] = len(item.choices)
        assert item.gold is not None and item.choices[item.gold] == "no 4"
    assert counts == {"texts": 13, "letters": 10}


def test_a_last_word_is_scored_and_said(model: LocalModel, tmp_path: Path) -> None:
    import torch

    texts = ["The kettle of the house is under the old stairs", "Where is the violin of the mill"]
    config = Ability(tasks=(written(tmp_path / "passages.jsonl", [{"text": text} for text in texts]),))
    rows = asked(config, model)
    totals = []
    for row, text in zip(rows, texts, strict=True):
        head, _, last = text.rpartition(" ")
        logprobs = plain(model, head, f" {last}")
        totals.append(sum(logprobs))
        ids = model.tokenizer.encode(text)
        with torch.no_grad():
            best = model.run(torch.tensor([ids]))[0].argmax(-1).tolist()
        greedy = best[len(ids) - len(logprobs) - 1 : -1] == ids[-len(logprobs) :]
        assert row.evidence["scores"]["accuracy"] == float(greedy)
        assert row.evidence["scores"]["log-probability of the word"] == pytest.approx(totals[-1], abs=1e-4)
    perplexity = config.summarise(rows).estimate("perplexity", rows[0].evidence["series"])
    assert perplexity.value == pytest.approx(math.exp(-sum(totals) / 2), rel=1e-4)


class Speaker:
    """Says the word behind the last mark of a prompt, and finds that word certain."""

    name, revision, can = "speaker", "1", frozenset({base.Ability.SAMPLE, base.Ability.SCORE})

    def __init__(self, said: str) -> None:
        self.said, self.seen = said, list[str]()

    async def sample(self, prompt: str, how: Any, n: int = 1) -> list[Completion]:
        assert how.temperature == 0
        self.seen.append(prompt)
        return [Completion(text=f" {self.said}", finish="stop", num_tokens=1)] * n

    async def score(self, prompt: str, continuation: str) -> Score:
        self.seen.append(prompt)
        return Score(logprobs=(0.0 if continuation.strip() == self.said else -1.0,))


def test_a_greedy_word_that_is_right_counts(tmp_path: Path) -> None:
    path = written(tmp_path / "passages.jsonl", [{"text": "It is in the mill"}, {"text": "It is in the barn"}])
    rows = asked(Ability(tasks=(path,)), Speaker("mill"))
    assert [row.evidence["scores"]["accuracy"] for row in rows] == [1.0, 0.0]


def test_a_free_answer_is_matched_as_trivia_is(tmp_path: Path) -> None:
    rows = [
        {
            "question": "Who sang?",
            "question_id": "1",
            "answer": {"aliases": ["The Beatles"], "normalized_aliases": ["beatles"]},
        },
        {"question": "Who wrote?", "question_id": "2", "answer": {"aliases": ["Kyd"], "normalized_aliases": ["kyd"]}},
    ]
    found = asked(Ability(tasks=(written(tmp_path / "trivia.jsonl", rows),)), Speaker("the Beatles."))
    assert [row.evidence["scores"]["accuracy"] for row in found] == [1.0, 0.0]


def test_hellaswag_is_cleaned_and_not_asked_as_a_question(tmp_path: Path) -> None:
    row = {
        "ind": 4,
        "activity_label": "Baking",
        "ctx_a": "A man [step] kneads. [title] Then",
        "ctx_b": "he",
        "ctx": "A man kneads. he",
        "endings": ["rests  it.", "[substeps] flies.", "sings.", "leaves."],
        "label": "0",
    }
    path = written(tmp_path / "hellaswag.jsonl", [row, {**row, "label": ""}])
    labelled, hidden = read_items(Path(path))
    assert labelled.question == "Baking: A man kneads.. Then He"
    assert labelled.choices == ("rests it.", " flies.", "sings.", "leaves.")
    assert (labelled.gold, hidden.gold) == (0, None)
    (item,) = Ability(tasks=(path,)).items(Seed(0))
    assert item.meta["prompt"] == labelled.question


def test_openbookqas_own_layout_is_read(tmp_path: Path) -> None:
    row = {
        "id": "7-980",
        "question_stem": "A person wants",
        "choices": {"text": ["a", "b"], "label": ["A", "B"]},
        "answerKey": "B",
    }
    (item,) = read_items(Path(written(tmp_path / "obqa.jsonl", [row])))
    assert (item.question, item.choices, item.gold) == ("A person wants", ("a", "b"), 1)


def subjects(tmp_path: Path, name: str, count: int) -> str:
    rows = [
        {"id": f"{name}{i}", "question": f"{name} {i}?", "choices": ["yes", "no"], "answer": 0, "subject": f"s{i % 2}"}
        for i in range(count)
    ]
    return written(tmp_path / f"{name}.jsonl", rows)


def test_worked_examples_are_of_the_items_subject_and_answered(tmp_path: Path) -> None:
    config = Ability(tasks=(subjects(tmp_path, "asked", 6),), shots=(2,), examples=subjects(tmp_path, "shown", 8))
    for item in config.items(Seed(0)):
        parts = item.meta["prompt"].split("\n\n")
        assert len(parts) == 3 and parts[-1] == f"Question: {item.question}\nAnswer:"
        own = int(item.question.split()[1].strip("?")) % 2
        for part in parts[:2]:
            assert part.endswith("Answer: yes") and int(part.split()[2].strip("?")) % 2 == own


def test_without_a_training_split_examples_are_items_that_are_not_asked(tmp_path: Path) -> None:
    config = Ability(tasks=(subjects(tmp_path, "own", 12),), shots=(2,), n=6)
    items = list(config.items(Seed(0)))
    questions = {item.question for item in items}
    assert len(items) == 6
    shown = {p.split("\n")[0].removeprefix("Question: ") for i in items for p in i.meta["prompt"].split("\n\n")[:-1]}
    assert shown and not shown & questions


def test_the_same_items_are_asked_in_every_series(tmp_path: Path) -> None:
    path = subjects(tmp_path, "own", 12)
    by_series: dict[str, list[str]] = {}
    for item in Ability(tasks=(path,), shots=(0, 3), forms=("texts", "letters"), examples=path).items(Seed(0)):
        by_series.setdefault(item.meta["series"], []).append(item.question)
    assert len(by_series) == 4 and len({tuple(q) for q in by_series.values()}) == 1


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="worked examples"):
        list(Ability(tasks=(subjects(tmp_path, "own", 3),), shots=(3,)).items(Seed(0)))


def test_a_prompt_stands_before_and_what_it_gains_is_paired(tmp_path: Path) -> None:
    text = tmp_path / "assistant.txt"
    text.write_text("It is in the mill.\n")
    path = written(tmp_path / "passages.jsonl", [{"text": "It is in the mill"}])
    speaker = Speaker("mill")
    config = Ability(tasks=(path,), prompt=str(text))
    (row,) = asked(config, speaker)
    assert set(speaker.seen) == {"It is in the", "It is in the mill.\n\nIt is in the"}
    assert row.evidence["scores"]["accuracy, prompted"] == 1.0
    item = next(iter(config.items(Seed(0))))
    text.write_text("changed")
    prompt_text.cache_clear()
    with pytest.raises(DataError, match="changed"):
        asyncio.run(config.trial(item, Cast({"subject": speaker}), Seed(0)))


def test_questions_may_be_human_turns(tmp_path: Path) -> None:
    path = written(tmp_path / "made.jsonl", CHOICES[1:])
    text = tmp_path / "assistant.txt"
    text.write_text("Human: Hello.\n\nAssistant: Hello.")
    config = Ability(tasks=(path,), turns=True, prompt=str(text), forms=("texts", "letters"))
    texts, letters = config.items(Seed(0))
    assert texts.meta["prompt"] == "\n\nHuman: What is the violin made of?\n\nAssistant:"
    assert letters.meta["prompt"].startswith("\n\nHuman: What is the violin made of?\nChoices:\n (A) ")
    assert letters.meta["prompt"].endswith("\n\nAssistant:") and texts.meta["alone"] == "Assistant:"
    speaker = Speaker("brass")
    asyncio.run(config.trial(texts, Cast({"subject": speaker}), Seed(0)))
    assert f"{text.read_text()}{texts.meta['prompt']}" in speaker.seen


def test_the_tax_is_the_other_models_accuracy_less_this_ones() -> None:
    config = Ability(tasks=("synthetic-choice",), n=200, against=make("able", {}).name)  # type: ignore[arg-type]
    models = make("able", {"sum": "0.4"}), make("able", {"sum": "0.9"})
    for each in models:
        each.bind(config.items(Seed(0)))
    report = config.summarise(asked(config, *models))
    series = "synthetic-choice, 0-shot"
    tax, own, other = (report.estimate(m, series) for m in ("tax", "accuracy", "accuracy, against"))
    assert tax.value == pytest.approx((other.value or 0) - (own.value or 0))
    assert 0.4 < (tax.value or 0) < 0.6 and "planted:able" in report.summary


def test_tasks_are_averaged_by_the_way_they_were_asked() -> None:
    config = Ability(tasks=("synthetic-choice", "synthetic-open"), n=20, shots=(0, 2))
    model = make("able", {})
    model.bind(config.items(Seed(0)))
    rows = asked(config, model)
    report = config.summarise(rows)
    for shots in (0, 2):
        tasks = [
            report.estimate("accuracy", f"synthetic-{form}, {shots}-shot").value or 0 for form in ("choice", "open")
        ]
        mean = report.estimate("accuracy", f"mean of tasks, {shots}-shot")
        assert mean.value == pytest.approx(sum(tasks) / 2) and mean.n == 40
    one_way = config.summarise([row for row in rows if row.evidence["series"].endswith("0-shot")])
    assert one_way.estimate("accuracy", "mean of tasks").n == 40


def test_brooks_tasks_ask_what_is_true() -> None:
    of = world()
    items = list(Ability(n=40).items(Seed(5)))
    names = ("facts", "answers", "prose", "notes", "steps")
    assert [item.part for item in items] == [f"brook-{name}" for name in names for _ in range(40)]
    values = {(f.name, f.relation): f.value for f in (*of.format_facts, *of.exposure_facts)}
    for item in items:
        prompt, words = item.meta["prompt"], item.cluster.split()
        if item.part == "brook-facts":
            assert item.gold is not None and item.choices[item.gold] == values[words[0], words[1]]
            assert prompt.startswith("Question:") and prompt.endswith("Answer:")
        elif item.part == "brook-answers":
            assert item.gold is not None and f" {values[words[0], words[1]]} ." in item.choices[item.gold]
            assert prompt.startswith("Talk: Human:") and prompt.endswith("? Assistant:")
        elif item.part == "brook-prose":
            assert item.answers == (values[words[0], words[1]],) and prompt.count(" .") == 2
        elif item.part == "brook-notes":
            assert f" {item.answers[0]} ." in prompt.partition("Question:")[0]
        else:
            left, sign, right = prompt.removesuffix(" =").split()[-3:]
            assert (int(left) + (1 if sign == "+" else -1) * int(right)) % 10 == int(item.answers[0])


@pytest.mark.parametrize("task", ["brook-facts", "brook-prose", "synthetic-open"])
def test_a_model_that_lacks_what_a_task_needs_is_refused(task: str) -> None:
    class Rewarder:
        name, revision, can = "rewarder", "1", frozenset({base.Ability.REWARD})

    config = Ability(tasks=(task,), n=1)
    item = next(iter(config.items(Seed(0))))
    cast = Cast({"subject": Rewarder()})  # type: ignore[dict-item]
    with pytest.raises(AbilityError):
        asyncio.run(config.trial(item, cast, Seed(0)))


@pytest.mark.parametrize(
    "settings",
    [
        {"tasks": ()},
        {"n": -1},
        {"n": 0},
        {"shots": (-1,)},
        {"shots": ()},
        {"tasks": ("brook-prose",), "n": 0},
        {"turns": True},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Ability(**settings)


def test_endings_cannot_stand_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot stand alone"):
        from gnomon.assay.ability import _check_way

        _check_way(Item(id="x", part="hellaswag", meta={"form": "texts", "alone": ""}), "pmi")


@pytest.mark.parametrize("setting", ["knows", "null", "prompted", "paid", "shown", "common"])
def test_what_is_planted_is_recovered(setting: str) -> None:
    """As `gnomon validate` has it, with fewer replications and so with wider bands."""
    for found in validate(Ability(), replications=20, settings=(setting,), second_look=0, seed=2):
        assert abs(found.bias) < 0.7 and (found.coverage or 0.0) >= 0.75, found


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_setting_is_recovered_in_200_replications() -> None:
    assert [found for found in validate(Ability(), replications=200) if not found.ok] == []
