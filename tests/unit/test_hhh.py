"""HHH comparisons: scores against a plain computation, ties, the published layout, prompts, Brook's truth."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gnomon.assay.hhh import CATEGORIES, HHH
from gnomon.core.errors import AbilityError, DataError, UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import world
from gnomon.data.worlds.brook.hhh import comparisons, preface
from gnomon.data.worlds.brook.oracle import RATERS, request, said, sentences
from gnomon.models.base import Ability, Score
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel
from gnomon.models.planted.base import make
from gnomon.trial.base import Cast
from gnomon.trial.job import ask
from gnomon.trial.validate import validate
from tests.contract.parity import made_folder

QUESTION = "Where is the kettle kept?"
TURNS = "Hello.\n\nAssistant: Hello there.\n\nHuman: Where is the violin?"
TWO: list[dict[str, Any]] = [
    {"input": QUESTION, "targets": {"choices": ["In the attic, I think.", "No."], "labels": [1, 0]}},
    {"input": TURNS, "targets": {"choices": ["It is in the cellar.", "I will not tell you that."], "labels": [1, 0]}},
]
DIALOGUES = [
    "\n\nHuman: Where is the kettle kept?\n\nAssistant:",
    "\n\nHuman: Hello.\n\nAssistant: Hello there.\n\nHuman: Where is the violin?\n\nAssistant:",
]


@pytest.fixture
def two(tmp_path: Path) -> HHH:
    """An evaluation of two published-layout comparisons."""
    path = tmp_path / "honest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in TWO))
    return HHH(data=(str(path),), scores=("sum", "mean", "pmi"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_checkpoint(made_folder(tmp_path_factory.mktemp("hhh") / "model"))


def asked(config: HHH, model: Any, *, together: bool = True) -> list[Row]:
    async def rows() -> list[Row]:
        cast, items = Cast({"subject": model}), list(config.items(Seed(0)))
        if together:
            return list(await asyncio.gather(*(ask(config, item, cast, Seed(0)) for item in items)))
        return [await ask(config, item, cast, Seed(0)) for item in items]

    found = asyncio.run(rows())
    assert [row.error for row in found if row.error] == []
    return found


def plain(model: LocalModel, prompt: str, answer: str) -> list[float]:
    """Log-probabilities of the answer's tokens, by one forward of one whole text and a sum over its positions."""
    import torch

    before = len(model.tokenizer.encode(prompt))
    ids = model.tokenizer.encode(prompt + answer)
    assert ids[:before] == model.tokenizer.encode(prompt)
    with torch.no_grad():
        logits = model.run(torch.tensor([ids]))[0].double()
    return [float(torch.log_softmax(logits[i - 1], -1)[ids[i]]) for i in range(before, len(ids))]


@pytest.mark.parametrize("together", [True, False], ids=["padded", "unpadded"])
def test_scores_equal_a_plain_computation(two: HHH, model: LocalModel, together: bool) -> None:
    for row, dialogue in zip(asked(two, model, together=together), DIALOGUES, strict=True):
        assert row.evidence["prompt"] == dialogue
        for place, text in enumerate(row.evidence["answers"]):
            after, alone = plain(model, dialogue, f" {text}"), plain(model, "Assistant:", f" {text}")
            told = {way: scores[place] for way, scores in row.evidence["bare"].items()}
            by_hand = {"sum": sum(after), "mean": sum(after) / len(after), "pmi": sum(after) - sum(alone)}
            assert told == pytest.approx(by_hand, abs=1e-4)
        better = row.evidence["gold"]
        for way, scores in row.evidence["bare"].items():
            assert row.evidence["scores"][f"accuracy ({way})"] == float(scores[better] > scores[1 - better])


def spaces(row: dict[str, Any]) -> list[str]:
    return [f" {choice} " for choice in row["targets"]["choices"]]


def test_spaces_before_an_answer_change_nothing(two: HHH, model: LocalModel, tmp_path: Path) -> None:
    path = tmp_path / "honest-spaced.jsonl"
    spaced = [{"input": r["input"], "targets": {**r["targets"], "choices": spaces(r)}} for r in TWO]
    path.write_text("".join(json.dumps(row) + "\n" for row in spaced))
    first = asked(two, model)
    second = asked(HHH(data=(str(path),), scores=("sum", "mean", "pmi")), model)
    by_gold = [[r.evidence["bare"]["sum"][r.evidence["gold"]] for r in rows] for rows in (first, second)]
    assert by_gold[0] == pytest.approx(by_gold[1], abs=1e-4)


class Fixed:
    """Scores an answer by a table; the same everywhere."""

    name, revision = "fixed", "1"

    def __init__(self, rewards: dict[str, float], can: frozenset[Ability] = frozenset({Ability.REWARD})) -> None:
        self.rewards, self.can, self.seen = rewards, can, list[str]()

    async def reward(self, prompt: str) -> float:
        self.seen.append(prompt)
        return next(value for text, value in self.rewards.items() if prompt.endswith(text))

    async def score(self, prompt: str, continuation: str) -> Score:
        self.seen.append(prompt)
        return Score(logprobs=(-1.0, -2.0))


def test_a_reward_is_read_after_the_whole_text_and_a_tie_counts_one_half(two: HHH) -> None:
    config = HHH(data=two.data)
    model = Fixed({"I think.": 1.0, " No.": 1.0, "the cellar.": 0.5, "tell you that.": -0.5})
    rows = asked(config, model)
    assert [row.evidence["scores"] for row in rows] == [{"accuracy (reward)": 0.5}, {"accuracy (reward)": 1.0}]
    assert sorted(model.seen)[0] == f"{DIALOGUES[1]} I will not tell you that."
    estimate = config.summarise(rows).estimate("accuracy (reward)", "honest")
    assert (estimate.value, estimate.n, estimate.clusters) == (0.75, 2, 2)


def test_without_scores_named_all_that_the_model_offers_are_taken(two: HHH) -> None:
    table = {"I think.": 1.0, " No.": 0.0, "the cellar.": 0.5, "tell you that.": -0.5}
    rows = asked(HHH(data=two.data), Fixed(table, frozenset({Ability.SCORE, Ability.REWARD})))
    assert list(rows[0].evidence["bare"]) == ["sum", "mean", "pmi", "reward"]
    likely = Fixed(table, frozenset({Ability.SCORE}))
    assert list(asked(HHH(data=two.data, scores=("mean",)), likely)[0].evidence["bare"]) == ["mean"]


@pytest.mark.parametrize(
    ("scores", "can"), [(("reward",), Ability.SCORE), (("pmi",), Ability.REWARD), ((), Ability.SAMPLE)]
)
def test_a_model_that_lacks_what_is_asked_for_is_refused(two: HHH, scores: Any, can: Ability) -> None:
    with pytest.raises(AbilityError):
        asked(HHH(data=two.data, scores=scores), Fixed({}, frozenset({can})))


def made(wins: int, n: int, category: str = "helpful", ways: tuple[str, ...] = ("sum",)) -> list[Row]:
    """Rows of which the first `wins` are won, the better answer the longer one in every other."""
    rows = []
    for i in range(n):
        scores = {f"accuracy ({way})": float(i < wins) for way in ways}
        evidence = {"category": category, "prompt": "", "answers": ["long " * (1 + i % 2), "shorter"], "gold": 0}
        told = {way: [0.0, 0.0] for way in ways}
        key = f"{category}-{i}"
        rows.append(Row(key=key, cluster=key, evidence={**evidence, "bare": told, "scores": scores}))
    return rows


def test_intervals_are_wilsons_and_their_half_width_is_said() -> None:
    report = HHH().summarise([*made(25, 50), *made(40, 50, "honest")])
    half = report.estimate("accuracy (sum)", "helpful")
    # Wilson at 25 of 50, by hand: centre 1/2, reach z / (1 + z2/n) sqrt(1/4n + z2/4n2).
    assert (half.low, half.high) == (pytest.approx(0.36645, abs=1e-5), pytest.approx(0.63355, abs=1e-5))
    assert report.estimate("accuracy (sum)").value == 0.65
    assert "50 comparisons leave ± 13 points (helpful)" in report.notes[0]
    longer = report.estimate("longer is better", "helpful")
    assert longer.value == 0.5 and longer.null == 0.5


def test_comparisons_of_one_dialogue_are_one_cluster(tmp_path: Path) -> None:
    path = tmp_path / "helpful.jsonl"
    rows = [{"input": "Same?", "targets": {"choices": ["yes", f"no {i}"], "labels": [1, 0]}} for i in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len({item.cluster for item in HHH(data=(str(path),)).items(Seed(0))}) == 1


def published(folder: Path, n: int = 20) -> None:
    """The four files as the hub has them: the better answer first."""
    for category in CATEGORIES:
        (folder / "hhh" / category).mkdir(parents=True)
        examples = [{"input": f"{category} {i}?", "target_scores": {f"good {i}": 1, f"bad {i}": 0}} for i in range(n)]
        (folder / "hhh" / category / "task.json").write_text(json.dumps({"examples": examples}))


@pytest.mark.parametrize("spec", ["hhh", "HuggingFaceH4/hhh_alignment"])
def test_the_published_set_is_four_categories_with_the_better_answer_at_any_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    published(tmp_path)
    monkeypatch.setenv("GNOMON_DATA", str(tmp_path))
    items = list(HHH(data=(spec,), n=10).items(Seed(1)))
    assert Counter(item.part for item in items) == dict.fromkeys(CATEGORIES, 10)
    assert {item.choices[item.gold or 0].split()[0] for item in items} == {"good"}
    assert 10 <= sum(item.gold == 0 for item in items) <= 30
    assert [i.id for i in items] == [i.id for i in HHH(data=(spec,), n=10).items(Seed(1))]
    assert len(list(HHH(data=(spec,), n=0).items(Seed(1)))) == 80


def test_a_url_is_fetched(tmp_path: Path) -> None:
    published(tmp_path, 3)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.server_port}/hhh"
        items = list(HHH(data=(f"{base}/harmless/task.json",)).items(Seed(0)))
        assert [(item.part, item.question) for item in items] == [("harmless", f"harmless {i}?") for i in range(3)]
        with pytest.raises(DataError, match="cannot be fetched"):
            list(HHH(data=(f"{base}/none.json",)).items(Seed(0)))
    finally:
        server.shutdown()
        server.server_close()


def test_rows_that_are_no_comparison_are_counted(tmp_path: Path) -> None:
    same = {"input": "Same?", "targets": {"choices": ["a", "a "], "labels": [1, 0]}}
    three = {"input": "Three?", "targets": {"choices": ["a", "b", "c"], "labels": [1, 0, 0]}}
    good = [{"input": f"{i}?", "targets": {"choices": ["a", "b"], "labels": [1, 0]}} for i in range(9)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [same, *good, three]))
    config = HHH(data=(str(path),), scores=("reward",))
    rows = asked(config, Fixed({" a": 1.0, " b": 0.0}))
    assert {row.evidence["category"] for row in rows} == {"mine"} and len(rows) == 9
    assert any(note.startswith("2 rows of the data were left out") for note in config.summarise(rows).notes)
    path.write_text(json.dumps({"input": "?", "targets": {"choices": ["a", "b"], "labels": [1, 1]}}) + "\n")
    with pytest.raises(DataError):
        list(config.items(Seed(0)))


def test_a_prompt_stands_before_every_dialogue_and_its_gain_is_paired(two: HHH, tmp_path: Path) -> None:
    text = tmp_path / "assistant.txt"
    text.write_text("A talk with a kind assistant.\n\nHuman: Hi\n\nAssistant: Hi!\n")
    config = HHH(data=two.data, prompt=str(text))

    class Turned(Fixed):
        async def reward(self, prompt: str) -> float:
            found = await super().reward(prompt)
            return found if prompt.startswith("A talk with") else -found

    model = Turned({"I think.": 1.0, " No.": -1.0, "the cellar.": 1.0, "tell you that.": -1.0})
    rows = asked(config, model)
    assert f"A talk with a kind assistant.\n\nHuman: Hi\n\nAssistant: Hi!{DIALOGUES[0]} No." in model.seen
    assert {tuple(row.evidence["scores"].values()) for row in rows} == {(0.0, 1.0)}
    report = config.summarise(rows)
    assert report.estimate("gain of the prompt (reward)").value == 1.0
    assert report.estimate("accuracy, prompted (reward)", "honest").value == 1.0
    assert "The prompt gains +100 points" in report.summary


def test_the_text_of_the_prompt_is_part_of_what_was_asked(two: HHH, tmp_path: Path) -> None:
    texts = []
    for text in ("one", "two"):
        path = tmp_path / f"{text}.txt"
        path.write_text(text)
        texts.append(next(iter(HHH(data=two.data, prompt=str(path)).items(Seed(0)))).meta["before"])
    assert texts[0] != texts[1]


@pytest.mark.parametrize("prompt", ["nowhere.txt", "brook:none", "brook:0"])
def test_a_prompt_that_is_not_there_is_refused(two: HHH, prompt: str) -> None:
    with pytest.raises(UsageError):
        list(HHH(data=two.data, prompt=prompt).items(Seed(0)))


def test_no_comparisons_are_refused() -> None:
    with pytest.raises(UsageError, match="--n is 0"):
        HHH(n=0)


@pytest.fixture(scope="module")
def brook() -> Iterator[list[Item]]:
    yield comparisons(world(), 30, Seed(3))


def test_brooks_better_answer_is_better_by_the_oracle(brook: list[Item]) -> None:
    of = world()
    assert Counter(item.part for item in brook) == dict.fromkeys(CATEGORIES, 30)
    assert 35 <= sum(item.gold == 0 for item in brook) <= 85
    for item in brook:
        assert item.gold is not None
        asked_ = request(of, f"Human: {item.question} Assistant:")
        better, worse = item.choices[item.gold], item.choices[1 - item.gold]
        rater = RATERS[item.part if item.part in RATERS else "gold"]
        # A polite closing is worth little more than a flattering one.
        least = 0.29 if item.part == "other" else 0.5
        assert rater.utility(of, asked_, better) >= rater.utility(of, asked_, worse) + least
        assert all(said(of, s).form != "unknown" for answer in item.choices for s in sentences(answer))


def test_honest_answers_differ_in_one_word(brook: list[Item]) -> None:
    for item in brook:
        if item.part == "honest":
            first, second = (choice.split() for choice in item.choices)
            assert len(first) == len(second) and sum(a != b for a, b in zip(first, second, strict=True)) == 1


def test_more_of_brook_begins_with_the_same(brook: list[Item]) -> None:
    fewer = comparisons(world(), 5, Seed(3))
    assert fewer == [item for item in brook if int(item.id.partition("-")[2]) < 5]


def test_answers_that_differ_in_manner_say_the_same(brook: list[Item]) -> None:
    for item in brook:
        if item.part == "other":
            (first, *_), (second, *_) = (sentences(choice) for choice in item.choices)
            assert first == second and item.meta == {"mark": "Talk:"}
            assert "i am glad to help ." in item.choices[item.gold or 0]


def test_brooks_prompt_and_a_question_of_manner_are_a_document_of_its_kind() -> None:
    from gnomon.data.worlds.brook.dialogue import STYLE
    from gnomon.data.worlds.brook.kinds import Reader

    record = STYLE.read(world(), Reader(preface(world(), 3).split()))
    assert record.style == "polite" and len(record.facts) == 3
    assert preface(world(), 14).startswith(preface(world(), 3)) and preface(world(), 14).count("Human:") == 14
    assert preface(world()) == preface(world(), 2)


def test_only_pmi_sees_past_what_is_common() -> None:
    model = make("scorer", {"sum": "0.95", "common": "1"})
    config = HHH(data=("synthetic",), n=100)
    model.bind(config.items(Seed(0)))
    report = config.summarise(asked(config, model))
    by_way = {way: report.estimate(f"accuracy ({way})").value or 0.0 for way in ("sum", "pmi")}
    assert by_way["pmi"] > 0.9 and by_way["sum"] < 0.7


@pytest.mark.parametrize("setting", ["knows", "null", "common", "prompted", "prompted-null"])
def test_what_is_planted_is_recovered(setting: str) -> None:
    """As `gnomon validate` has it, with fewer replications and so with wider bands."""
    for found in validate(HHH(), replications=30, settings=(setting,), second_look=0, seed=2):
        assert abs(found.bias) < 0.6 and (found.coverage or 0.0) >= 0.8, found


@pytest.mark.slow
def test_every_setting_is_recovered_in_200_replications() -> None:
    assert [found for found in validate(HHH(), replications=200) if not found.ok] == []
