"""Preference models: the loss against a sum by hand, gradients where they belong, a planted rater learnt."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnomon.core.errors import Stopped, UsageError
from gnomon.core.record import Row
from gnomon.core.registry import method
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import open_comparisons
from gnomon.learn.batches import PairBatch, answer_batch, pair_batch
from gnomon.learn.heads import ScalarHead, Scorer
from gnomon.learn.texts import Encoded, Pair
from gnomon.models.base import Ability, Message
from gnomon.models.families import load_folder
from gnomon.models.load import load_checkpoint
from gnomon.models.transformer import Transformer, TransformerConfig
from gnomon.store.run import Run
from gnomon.train import preference
from gnomon.train._running import Training, run_training
from gnomon.train.preference import Preference, preview, step, summarise

EOC = 9


@pytest.fixture
def scorer() -> Scorer:
    config = TransformerConfig(vocab_size=24, d_model=16, num_layers=2, num_heads=2, d_mlp=32)
    body = Transformer(config, generator=torch.Generator().manual_seed(0))
    body.embed.weight.data.mul_(30)
    head = ScalarHead(16)
    torch.nn.init.normal_(head.out.weight, generator=torch.Generator().manual_seed(1))
    return Scorer(body, head)


def pair(prompt: Sequence[int], chosen: Sequence[int], rejected: Sequence[int]) -> Pair:
    return Pair(*(Encoded(np.array([*prompt, *side, EOC]), len(prompt)) for side in (chosen, rejected)))


PAIRS = [pair((1, 2), (3, 4), (5,)), pair((1,), (6, 7, 8, 3), (6, 7, 2)), pair((1, 2, 3, 4), (2,), (2, 3, 4, 5, 6))]


@torch.no_grad()
def value(scorer: Scorer, text: Encoded) -> float:
    """The scalar of one text, by a forward of its own."""
    return float(scorer.head(scorer.body.hidden(torch.from_numpy(text.tokens)[None])[0, -1:]))


@torch.no_grad()
def answer_loss(scorer: Scorer, text: Encoded) -> list[float]:
    logp = torch.log_softmax(scorer.body(torch.from_numpy(text.tokens)[None])[0].double(), -1)
    return [-float(logp[t - 1, text.tokens[t]]) for t in range(text.start, len(text.tokens) - 1)]


def test_the_ranked_loss_is_the_mean_of_log_one_plus_exp(scorer: Scorer) -> None:
    found = step(scorer, pair_batch(PAIRS), objective="ranked", mu=0.5)
    values = [(value(scorer, p.chosen), value(scorer, p.rejected)) for p in PAIRS]
    ranked = sum(math.log1p(math.exp(bad - good)) for good, bad in values) / 3
    said = [loss for p in PAIRS for loss in answer_loss(scorer, p.chosen)]
    assert found.loss.item() == pytest.approx(ranked + 0.5 * sum(said) / len(said), rel=1e-5)
    assert float(found.metrics["preference_loss"]) == pytest.approx(ranked, rel=1e-5)
    assert float(found.metrics["right"]) == pytest.approx(sum(good > bad for good, bad in values) / 3)
    assert step(scorer, pair_batch(PAIRS), objective="ranked").loss.item() == pytest.approx(ranked, rel=1e-5)


@pytest.mark.parametrize("objective", ["ranked", "binary"])
def test_a_comparison_counts_as_its_weight_says(scorer: Scorer, objective: Any) -> None:
    alone = [step(scorer, pair_batch([p]), objective=objective).loss.item() for p in PAIRS]
    weights = [2.0, 0.5, 0.5]
    batch = pair_batch(PAIRS)._replace(weight_P=torch.tensor(weights))
    found = step(scorer, batch, objective=objective).loss.item()
    assert found == pytest.approx(sum(w * loss for w, loss in zip(weights, alone, strict=True)) / 3, rel=1e-5)
    parts = [(PAIRS[:1], weights[:1]), (PAIRS[1:], weights[1:])]
    cut = [pair_batch(p, of=PAIRS)._replace(weight_P=torch.tensor(w)) for p, w in parts]
    assert sum(step(scorer, b, objective=objective).loss.item() for b in cut) == pytest.approx(found, rel=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"weights": (1.0, 2.0)},
        {"weights": (0.0,)},
        {"data": "brook:requests,brook:red-team", "weights": (1.0, 2.0), "objective": "imitation"},
    ],
)
def test_weights_that_fit_nothing_are_refused(settings: Any) -> None:
    with pytest.raises(UsageError, match="--weights is"):
        Preference(**settings)


def test_only_what_weights_say_of_one_another_counts(tiny: str, tmp_path: Path) -> None:
    data = "brook:requests*0.5,brook:red-team*0.5"
    cfgs = [
        Preference(model=tiny, data=data, pairs=64, held_out=20, weights=weights)
        for weights in [(3.0, 3.0), (), (1.0, 9.0)]
    ]
    same, none, heavy = (
        [r.evidence["chosen"] for r in run_training(c, "preference", root=tmp_path).rows] for c in cfgs
    )
    assert same == pytest.approx(none, abs=1e-6)
    assert heavy != pytest.approx(none, abs=1e-5)


def test_a_model_is_measured_on_comparisons_it_never_saw(tiny: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path))
    cfg = Preference(model=tiny, data="brook:red-team", pairs=300, held_out=40)
    done = run_training(cfg, "preference", root=tmp_path)
    rows = preference.measure(cfg, done.model, "brook:red-team", 120, seed=9)
    given = open_comparisons("brook:red-team", 340, Seed(0))
    learnt = {(c.prompt, *sorted((c.chosen, c.rejected))) for c in given.split(40, Seed(0), train=300).train}
    drawn = open_comparisons("brook:red-team", 120, Seed(9)).comparisons
    fresh = [c for c in drawn if (c.prompt, *sorted((c.chosen, c.rejected))) not in learnt]
    assert 0 < len(fresh) < 120
    assert [r.evidence["answers"] for r in rows] == [[c.chosen, c.rejected] for c in fresh]
    model = load_checkpoint(str(done.manifest.folder / "checkpoint"))
    for row, each in list(zip(rows, fresh, strict=True))[:3]:
        for got, answer in zip(
            (row.evidence["chosen"], row.evidence["rejected"]), (each.chosen, each.rejected), strict=True
        ):
            assert got == pytest.approx(asyncio.run(model.reward(f"{each.prompt}{answer}")), abs=1e-4)


def test_the_binary_loss_judges_each_text_alone(scorer: Scorer) -> None:
    good, bad = ([value(scorer, text) for text in side] for side in zip(*PAIRS, strict=True))
    want = [math.log1p(math.exp(-v)) for v in good] + [math.log1p(math.exp(v)) for v in bad]
    found = step(scorer, pair_batch(PAIRS), objective="binary").loss.item()
    assert found == pytest.approx(sum(want) / 6, rel=1e-5)


@torch.no_grad()
def test_imitation_is_the_loss_of_the_chosen_answers_and_their_ends(scorer: Scorer) -> None:
    want = []
    for text in (p.chosen for p in PAIRS):
        logp = torch.log_softmax(scorer.body(torch.from_numpy(text.tokens)[None])[0].double(), -1)
        want += [-float(logp[t - 1, text.tokens[t]]) for t in range(text.start, len(text.tokens))]
    found = step(scorer.body, answer_batch([p.chosen for p in PAIRS]), objective="imitation").loss.item()
    assert found == pytest.approx(sum(want) / len(want), rel=1e-5)


def test_the_gradient_comes_from_the_end_of_context_and_not_from_padding(scorer: Scorer) -> None:
    seen: dict[str, torch.Tensor] = {}

    def keep(module: torch.nn.Module, args: object, out: torch.Tensor) -> None:
        out.retain_grad()
        seen["embedded"] = out

    scorer.body.embed.register_forward_hook(keep)
    batch = pair_batch(PAIRS)
    step(scorer, batch, objective="ranked").loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    strength_BT = seen["embedded"].grad.norm(dim=-1)  # type: ignore[union-attr]  # retained above
    # A row ends with the end of its rejected text.
    lengths = [int(column) + 1 for _, column in batch.ends_P2[len(PAIRS) :]]
    for row, length in enumerate(lengths):
        assert strength_BT[row, length:].eq(0).all(), "padding has a say"
    for row, column in batch.ends_P2.tolist():
        assert batch.tokens_BT[row, column] == EOC
        assert strength_BT[row, column] > 0
    assert min(lengths) < max(lengths), "a row is padded"


@pytest.mark.parametrize("objective", ["ranked", "binary"])
def test_a_batch_has_the_loss_of_its_pairs_one_by_one(scorer: Scorer, objective: Any) -> None:
    alone = [step(scorer, pair_batch([p]), objective=objective).loss.item() for p in PAIRS]
    together = step(scorer, pair_batch(PAIRS), objective=objective).loss.item()
    assert together == pytest.approx(sum(alone) / len(alone), abs=1e-5)


@pytest.fixture(scope="module")
def ranked(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Training:
    cfg = Preference(model=tiny, pairs=1200, held_out=400, peak_rate=3e-3)
    return run_training(cfg, "preference", root=tmp_path_factory.mktemp("runs"))


def test_a_planted_rater_is_learnt_beyond_length_and_not_beyond_bayes(ranked: Training) -> None:
    estimate = ranked.report.estimate
    gained = estimate("accuracy gained over length")
    assert gained.low is not None
    assert gained.low > 0
    best, reached = estimate("Bayes accuracy").value, estimate("expected accuracy").value
    assert best is not None
    assert reached is not None
    assert 0.6 < reached < best < 1
    assert "picking the longer answer on" in ranked.report.summary


def test_the_checkpoint_gives_the_reward_that_was_trained(ranked: Training) -> None:
    folder = ranked.manifest.folder / "checkpoint"
    model = load_checkpoint(folder)
    assert Ability.REWARD in model.can
    assert model.read_at == "<eoc>"
    rows = {row.key: row for row in Run.find(str(ranked.manifest.folder)).rows()}
    given = open_comparisons("brook", 1600, Seed(0))
    first = given.split(400, Seed(0), train=1200).held_out[0]
    asked = str(first.prompt).removeprefix("Chat: Human: ").removesuffix(" Assistant:")
    messages = [Message("user", asked), Message("assistant", first.chosen.strip())]
    by_text, by_messages = (
        asyncio.run(model.reward(prompt)) for prompt in (str(first.prompt) + first.chosen, messages)
    )
    assert by_text == pytest.approx(rows[first.id].evidence["chosen"], abs=1e-4)
    assert by_messages == pytest.approx(by_text, abs=1e-4)
    recipe = json.loads((folder / "recipe.json").read_text())
    assert (recipe["read_at"], recipe["comparisons"], recipe["config"]["objective"]) == ("<eoc>", 1200, "ranked")


def test_a_scalar_may_be_read_at_the_texts_own_last_token(tiny: str, tmp_path: Path) -> None:
    cfg = Preference(model=tiny, read_at="text", pairs=60, held_out=20)
    done = run_training(cfg, "preference", root=tmp_path)
    row = done.rows[0]
    comparison = next(c for c in open_comparisons("brook", 80, Seed(0)).comparisons if c.id == row.key)
    model = load_checkpoint(done.manifest.folder / "checkpoint")
    assert model.read_at == ""
    assert isinstance(comparison.prompt, str)
    found = asyncio.run(model.reward(comparison.prompt + comparison.chosen))
    assert found == pytest.approx(row.evidence["chosen"], abs=1e-4)


def test_a_run_that_was_stopped_gives_the_same_model_and_rows(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = Preference(model=tiny, pairs=200, held_out=50, mu=0.3, peak_rate=3e-3)
    whole = run_training(cfg, "preference", root=tmp_path / "whole")
    calls = 0

    def interrupting(pairs: Sequence[Pair], **how: Any) -> PairBatch:
        nonlocal calls
        calls += 1
        if calls == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return pair_batch(pairs, **how)

    with monkeypatch.context() as patch:
        patch.setattr(preference, "pair_batch", interrupting)
        with pytest.raises(Stopped, match="stopped after step 3 of 7"):
            run_training(cfg, "preference", root=tmp_path / "cut")
    again = run_training(cfg, "preference", root=tmp_path / "cut")
    for name in ("model.safetensors", "head.safetensors"):
        first, second = (done.manifest.folder / "checkpoint" / name for done in (whole, again))
        assert first.read_bytes() == second.read_bytes(), name
    assert whole.report.estimates == again.report.estimates


@pytest.mark.parametrize("objective", ["binary", "imitation"])
def test_the_other_readings_train_and_say_how_they_rank(tiny: str, tmp_path: Path, objective: Any) -> None:
    cfg = Preference(model=tiny, objective=objective, pairs=200, held_out=60)
    done = run_training(cfg, "preference", root=tmp_path)
    metrics = {e.metric for e in done.report.estimates}
    assert {"accuracy", "accuracy of length alone", "AUROC of length alone", "Bayes accuracy"} <= metrics
    assert ("accuracy (a token)" in metrics) == (objective == "imitation")
    assert ("ECE" in metrics) == (objective != "imitation")
    has_head = (done.manifest.folder / "checkpoint" / "head.safetensors").exists()
    assert has_head == (objective != "imitation")


def test_imitation_ranks_by_log_probability(tiny: str) -> None:
    body = load_folder(tiny.removeprefix("hf:")).eval().requires_grad_(False)
    pairs = [pair((1, 20), (30, 40), (50,)), pair((1, 21, 22), (31,), (41, 51, 61))]
    found = preference.values(Scorer(body, ScalarHead(body.config.d_model)), pairs, "imitation", batch=2)
    for two, sides in zip(found, pairs, strict=True):
        for got, text in zip(two, sides, strict=True):
            logp = torch.log_softmax(body(torch.from_numpy(text.tokens)[None])[0].double(), -1)
            want = sum(float(logp[t - 1, text.tokens[t]]) for t in range(text.start, len(text.tokens)))
            assert got == pytest.approx(want, abs=1e-4)


def rows(values: Sequence[tuple[float, float]], planted: Sequence[float | None]) -> list[Row]:
    return [
        Row(
            key=str(i),
            cluster=str(i),
            evidence={
                "objective": "ranked",
                "chosen": good,
                "rejected": bad,
                "p": p,
                "group": "even" if i % 2 == 0 else "odd",
                "characters": [3 + i % 2, 4],
                "tokens": [1, 1],
            },
        )
        for i, ((good, bad), p) in enumerate(zip(values, planted, strict=True))
    ]


def test_a_model_that_knows_the_rater_reaches_bayes_and_is_calibrated() -> None:
    draw = np.random.default_rng(0)
    gaps = draw.normal(0, 1.5, 2000)
    chosen = draw.random(2000) < 1 / (1 + np.exp(-gaps))
    signed = np.where(chosen, gaps, -gaps)
    planted = 1 / (1 + np.exp(-signed))
    found = summarise(rows([(g, 0.0) for g in signed], planted.tolist()))
    assert found.estimate("lost to Bayes").value == pytest.approx(0, abs=1e-12)
    assert found.estimate("mean distance from the planted probability").value == pytest.approx(0, abs=1e-12)
    ece, temperature = found.estimate("ECE"), found.estimate("temperature")
    assert ece.value is not None
    assert ece.null is not None
    assert ece.value < 2 * ece.null
    assert temperature.low is not None
    assert temperature.high is not None
    assert temperature.low < 1 < temperature.high
    assert found.estimate("accuracy").value == pytest.approx(float((signed > 0).mean()))
    overconfident = summarise(rows([(3 * g, 0.0) for g in signed], planted.tolist()))
    assert overconfident.estimate("temperature").value == pytest.approx(3 * (temperature.value or 0), rel=1e-3)
    assert (overconfident.estimate("ECE").value or 0) > 4 * ece.value


def test_ties_count_one_half_and_groups_are_told_apart() -> None:
    found = summarise(rows([(1, 0), (0, 0), (0, 1), (2, 1)], [None] * 4))
    assert found.estimate("accuracy").value == pytest.approx(2.5 / 4)
    assert found.estimate("accuracy", "even").value == pytest.approx(1 / 2)
    # Lengths are 3 against 4, then 4 against 4.
    assert found.estimate("accuracy of length alone").value == pytest.approx((0 + 0.5 + 0 + 0.5) / 4)
    assert "Bayes accuracy" not in {e.metric for e in found.estimates}


def test_what_was_left_out_is_told() -> None:
    first, *others = rows([(1, 0)] * 12, [None] * 12)
    left_out = {"rows": 20, "bad": 1, "shown": ["x, line 3: no"], "unused": {"skip": 2}, "cut": 0, "long": 4}
    first = Row(key="0", cluster="0", evidence={**first.evidence, "left_out": left_out})
    assert list(summarise([first, *others]).notes) == [
        "2 left out: skip.",
        "4 comparisons do not fit the context and were left out.",
        "1 of 20 rows cannot be used: x, line 3: no.",
    ]


def test_a_dry_run_says_what_would_be_trained_on(tiny: str, tmp_path: Path) -> None:
    lines = [
        {"prompt": f"how do i make a {x} ?", "chosen": "take the wax .", "rejected": "no ."} for x in ("kite", "bowl")
    ]
    lines.append({"prompt": "how do i make a lamp ?", "chosen": "no .", "rejected": "no ."})
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = preview(Preference(model=tiny, data=str(tmp_path / "x.jsonl"), held_out=1, pairs=0))
    assert found["comparisons"] == "1 to train on, 1 held out"
    assert found["left out, the same answer twice"] == "1"
    assert found["first chosen"] == "take the wax . <eoc>"
    assert found["the longer is the better"].startswith("right on 1.000")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pairs": 0}, "--pairs is 0; give 1 or more"),
        ({"batch": 0}, "--batch is 0; give 1 or more"),
        ({"mu": -1.0}, "--mu is -1"),
        ({"mu": 1.0, "objective": "imitation"}, "--mu is 1"),
        ({"mu": 1.0, "read_at": "text"}, "--mu is 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Preference(**given)


def test_a_model_that_is_not_here_and_a_context_too_long_are_refused(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'openai:gpt' is no model whose weights are here; give brook, hf:FOLDER"):
        run_training(Preference(model="openai:gpt"), "preference", root=tmp_path)
    with pytest.raises(UsageError, match="--context is 2000, and the model has 1024 positions"):
        preview(Preference(model=tiny, context=2000, pairs=5, held_out=2))


def test_it_is_the_method_that_the_command_finds() -> None:
    assert method("train", "preference") is Preference


@pytest.mark.parametrize("data", ["brook", "FILE"])
def test_models_of_two_parts_have_no_comparison_in_common_whatever_their_seeds(data: str, tmp_path: Path) -> None:
    if data == "FILE":
        rows = [{"prompt": f"Human: {i % 90} ? Assistant:", "chosen": f" a {i}", "rejected": " b"} for i in range(300)]
        (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        data = str(tmp_path / "pairs.jsonl")
    taught = {
        (part, seed): {
            c.pair for c in preference.sides(Preference(data=data, pairs=60, held_out=20, part=part, seed=seed)).learnt
        }
        for part in ("1/2", "2/2")
        for seed in (0, 1)
    }
    assert all(len(each) >= 55 for each in taught.values())
    first, second = (taught[part, 0] | taught[part, 1] for part in ("1/2", "2/2"))
    assert not first & second
    whole = {seed: preference.sides(Preference(data=data, pairs=60, held_out=20, seed=seed)) for seed in (0, 1)}
    assert len({c.pair for c in whole[0].learnt} - {c.pair for c in whole[1].learnt}) > 10


@pytest.mark.parametrize("part", ["0/2", "3/2", "half", "1"])
def test_a_part_that_is_none_is_refused(part: str) -> None:
    with pytest.raises(UsageError, match=f"--part is {part!r}; write 1/2 and 2/2 for two halves"):
        Preference(part=part)
