"""Every known bad implementation is caught: each check passes as things are and fails once the mutation is in."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from gnomon.assay.self_knowledge import SelfKnowledge, nota, ptrue, scores, temperature, truefalse, worked
from gnomon.assay.self_knowledge.scores import Predictions, choice_estimates
from gnomon.core.errors import GnomonError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data import hub
from gnomon.models.base import Choice
from gnomon.models.planted import calibrated
from gnomon.report.base import Estimate
from gnomon.stats import calibration, ranking
from gnomon.stats.intervals import Repeated, clustered_mean
from tests.planted.inputs import answer_of, judged, sharpened, shots_in, small, small_scorer
from tests.planted.replications import rows_of

Patch = pytest.MonkeyPatch
CFG = SelfKnowledge(resamples=200)


def skewed(n: int = 25) -> Predictions:
    """Confident, wrong predictions of four options; 25 items in 10 bins leave bins of two sizes."""
    rng = np.random.default_rng(4)
    options = [rng.dirichlet([8 * rng.random() ** 2 + 0.1, 0.5, 0.5, 0.5]) for _ in range(n)]
    gold = [int(rng.integers(4)) if i % 3 else int(p.argmax()) for i, p in enumerate(options)]
    return Predictions(
        options=options, gold=gold, clusters=[str(i) for i in range(n)], mass=np.ones(n), readout="exact",
        draws=np.zeros(n),
    )  # fmt: skip


FOUND = skewed()


def reported() -> dict[str, Estimate]:
    return {e.metric: e for e in choice_estimates(CFG, replace(FOUND), "g")}


def by_hand(p: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """ECE and RMS calibration error over ten groups of equal mass, straight from the definition."""
    ranked = sorted(zip(p, y, range(len(p)), strict=True), key=lambda t: (t[0], t[2]))
    small, more = divmod(len(p), 10)
    sizes = [small + 1] * more + [small] * (10 - more)
    gaps, at = [], 0
    for size in sizes:
        group = ranked[at : at + size]
        gaps.append((abs(sum(g[0] for g in group) - sum(g[1] for g in group)) / size, size / len(p)))
        at += size
    return sum(g * w for g, w in gaps), sum(g * g * w for g, w in gaps) ** 0.5


def check_calibration_errors_of_top_options() -> None:
    ece, rms = by_hand(FOUND.top.tolist(), FOUND.right.tolist())
    assert reported()["ECE"].value == pytest.approx(ece)
    assert reported()["RMS calibration error"].value == pytest.approx(rms)


def check_calibration_errors_of_all_options() -> None:
    p = [float(x) for o in FOUND.options for x in o]
    y = [float(i == g) for o, g in zip(FOUND.options, FOUND.gold, strict=True) for i in range(len(o))]
    ece, rms = by_hand(p, y)
    assert reported()["ECE (all options)"].value == pytest.approx(ece)
    assert reported()["RMS calibration error (all options)"].value == pytest.approx(rms)


def check_calibration_errors_have_a_null_and_no_interval() -> None:
    for metric, e in reported().items():
        if "ECE" in metric or "calibration error" in metric:
            assert (e.low, e.high) == (None, None)
            assert e.null is not None and e.reason


def check_options_are_normalised_among_themselves() -> None:
    rows = rows_of(small("calibration", "planted:calibrated?a=0.5&b=0.6", n=40), Seed(0))
    assert all(sum(r.evidence["p"]) == pytest.approx(1) for r in rows)
    assert np.mean([max(r.evidence["p"]) for r in rows]) == pytest.approx(0.635, abs=0.09)


def check_shuffling_moves_the_right_option(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    rows = [{"question": f"q{i}", "choices": ["right", "b", "c", "d"], "gold": 0} for i in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for item in hub.open_source(str(path), Seed(0)).items:
        assert item.gold is not None and item.choices[item.gold] == "right"


def check_none_of_the_above_is_right_where_it_replaced_the_right_option() -> None:
    cfg = replace(CFG, only=("nota",), data=("synthetic",), shots=(0,), n=40)
    items = nota.items(cfg, Seed(0))
    for standard, replaced in zip(items[::2], items[1::2], strict=True):
        assert standard.gold is not None and replaced.gold is not None
        kept = standard.choices[standard.gold]
        last = standard.gold == len(standard.choices) - 1
        assert replaced.choices[replaced.gold] == ("none of the above" if last else kept)
        assert replaced.choices[:-1] == standard.choices[:-1]


def check_the_temperature_comes_from_the_development_split() -> None:
    report = temperature.summarise(CFG, [*sharpened("development", 3.0), *sharpened("test", 1.0)])
    found = report.estimate("temperature")
    assert found.low is not None and found.high is not None
    assert found.low < 3 < found.high and found.low > 1.5


def check_ties_count_one_half() -> None:
    score, label = [0.2, 0.5, 0.5, 0.5, 0.9, 0.5], [0, 1, 0, 1, 1, 0]
    pairs = [(a, b) for a, x in zip(score, label, strict=True) for b, z in zip(score, label, strict=True) if x > z]
    wins = sum((a > b) + 0.5 * (a == b) for a, b in pairs)
    assert ranking.auroc(score, label, resamples=50).value == pytest.approx(wins / len(pairs))


def check_samples_of_a_question_are_one_observation() -> None:
    rows = [judged(i, right=i % 2 == 0) for i in range(40)]
    base = ptrue.summarise(CFG, rows).estimate("base accuracy", "sampled answers")
    assert base.low is not None and base.high is not None
    # 40 questions that are all right or all wrong: 2 * 2.02 * 0.5 / sqrt(39).
    assert base.high - base.low == pytest.approx(0.324, abs=0.01)


def check_the_head_reads_the_last_token_of_each_text() -> None:
    scorer, texts = small_scorer()
    together = scorer.probabilities(texts)
    alone = [float(scorer.probabilities([text])[0]) for text in texts]
    assert together.tolist() == pytest.approx(alone, abs=1e-5)
    assert len({round(p, 4) for p in alone}) == len(alone)


def check_worked_verdicts_say_what_is_true() -> None:
    cfg = replace(CFG, only=("truefalse",), data=("synthetic",), shots=(6,), n=4)
    item = truefalse.items(cfg, Seed(0))[0]
    for question, proposed, letter in shots_in(item.meta["header"]):
        assert letter == ("A" if proposed == answer_of(question, cfg) else "B")


def check_worked_self_evaluations_say_what_is_true() -> None:
    fixed = shots_in(worked.six(False))
    assert [letter for *_, letter in fixed] == ["A" if w.right else "B" for w in worked.SIX]
    items = [Item(id=str(i), question=f"q{i}", answers=(f"a{i}",)) for i in range(6)]
    for question, proposed, letter in shots_in(worked.from_data(items, Seed(0), False)):
        assert letter == ("A" if proposed == question.replace("q", "a") else "B")


def check_verdict_letters_are_read_off_the_prompt() -> None:
    rows = rows_of(small("truefalse", "planted:calibrated?b=2", n=60), Seed(0))
    right = np.mean([r.evidence["p"][0] for r in rows if r.evidence["right"]])
    wrong = np.mean([r.evidence["p"][0] for r in rows if not r.evidence["right"]])
    assert right - wrong > 0.2


def equal_width(patch: Patch, _: Path) -> None:
    def bins(p: Any, count: int = 10) -> list[Any]:
        place = np.minimum((np.asarray(p) * count).astype(int), count - 1)
        groups = [np.flatnonzero(place == b) for b in range(count)]
        return [g for g in groups if len(g)]

    patch.setattr(calibration, "equal_mass_bins", bins)


def unweighted(patch: Patch, _: Path) -> None:
    real = calibration._Binned.errors

    def errors(self: Any, outcomes: Any) -> Any:
        mean = np.stack([outcomes[:, rows].mean(axis=1) for rows in np.split(self.order, self.start[1:])], axis=1)
        gap = np.abs(self.mean - mean)
        return np.stack([gap.mean(axis=1), np.sqrt((gap**2).mean(axis=1)), real(self, outcomes)[2]])

    patch.setattr(calibration._Binned, "errors", errors)


def top_counted_as_all(patch: Patch, _: Path) -> None:
    def pairs(self: Predictions) -> Any:
        return self.top, self.right, list(self.clusters), list(range(self.n))

    patch.setattr(Predictions, "pairs", pairs)
    real = calibration.calibration_test
    # One option an item does not add up to 1, so the mutant must also redraw rows by themselves.
    patch.setattr(scores, "calibration_test", lambda p, y, draws, exclusive=None: real(p, y, draws=draws))


def all_counted_as_top(patch: Patch, _: Path) -> None:
    real, (p, y, _, _) = calibration.calibration_test, FOUND.pairs()
    patch.setattr(scores, "calibration_test", lambda *ignored, draws, exclusive=None: real(p, y, draws=draws))


def bootstrapped_interval(patch: Patch, _: Path) -> None:
    def printed(metric: str, test: Any, **more: Any) -> Estimate:
        return Estimate(metric=metric, value=test.observed, low=0.01, high=0.2, **more)

    patch.setattr(scores, "against_null", printed)


def softmax_over_the_vocabulary(patch: Patch, _: Path) -> None:
    real = calibrated.Calibrated.choose

    async def choose(self: Any, prompt: Any, options: Sequence[str]) -> Choice:
        found = await real(self, prompt, options)
        return replace(found, p=tuple(p * 0.5 for p in found.p))

    patch.setattr(calibrated.Calibrated, "choose", choose)


def gold_stays_after_shuffle(patch: Patch, _: Path) -> None:
    real = hub.shuffled
    patch.setattr(hub, "shuffled", lambda item, *how: replace(real(item, *how), gold=item.gold))


def gold_stays_after_none_of_the_above(patch: Patch, _: Path) -> None:
    real = nota._marked

    def marked(item: Item, variant: str) -> Item:
        turned = item if variant == "standard" else replace(item, choices=(*item.choices[1:], item.choices[0]))
        return real(turned, variant)

    patch.setattr(nota, "_marked", marked)


def temperature_fitted_on_test(patch: Patch, _: Path) -> None:
    real, test = temperature.predictions, sharpened("test", 1.0)
    patch.setattr(temperature, "predictions", lambda rows: real(test))


def auroc_without_ties(patch: Patch, _: Path) -> None:
    def on_weights(score: Any, label: Any) -> Any:
        above = score[label == 1][:, None] > score[label == 0][None, :]

        def statistic(weights: Any) -> Any:
            one, two = weights[:, label == 1], weights[:, label == 0]
            return np.einsum("bp,pn,bn->b", one, above, two) / (one.sum(1) * two.sum(1))

        return statistic

    patch.setattr(ranking, "auroc_on_weights", on_weights)


def samples_as_independent_items(patch: Patch, _: Path) -> None:
    def flat(answers: Sequence[Sequence[float]], clusters: Any = None) -> Repeated:
        return Repeated(clustered_mean([a for one in answers for a in one]), 0.0, 0.0, None)

    patch.setattr(ptrue, "repeated_mean", flat)


def head_read_at_the_pad(patch: Patch, _: Path) -> None:
    import torch

    from gnomon.learn import heads

    def forward(self: Any, tokens: Any, lengths: Any) -> Any:
        rows = torch.arange(len(lengths))
        return self.head(self.body.hidden(tokens, at=torch.stack((rows, torch.full_like(lengths, -1)), dim=1)))

    patch.setattr(heads.Scorer, "forward", forward)


def padded_on_the_left(patch: Patch, _: Path) -> None:
    import torch

    from gnomon.learn import heads

    def padded(sequences: Sequence[Sequence[int]]) -> Any:
        lengths = torch.tensor([len(s) for s in sequences])
        tokens = torch.zeros(len(sequences), int(lengths.max()), dtype=torch.long)
        for row, one in zip(tokens, sequences, strict=True):
            row[len(row) - len(one) :] = torch.as_tensor(one)
        return tokens, lengths

    patch.setattr(heads, "padded", padded)


def worked_letters_swapped_in_half(patch: Patch, _: Path) -> None:
    real = truefalse.verdict_header

    def header(items: Any, proposed: Sequence[tuple[str, bool]]) -> str:
        return real(items, [(text, right != (k % 2 == 1)) for k, (text, right) in enumerate(proposed)])

    patch.setattr(truefalse, "verdict_header", header)


def self_evaluation_letters_swapped_in_half(patch: Patch, _: Path) -> None:
    real = worked.header

    def header(items: Any, shown: Sequence[worked.Worked], with_ideas: bool) -> str:
        return real(items, [w._replace(right=w.right != (k % 2 == 1)) for k, w in enumerate(shown)], with_ideas)

    patch.setattr(worked, "header", header)


def asked_letters_swapped(patch: Patch, _: Path) -> None:
    from gnomon.data import prompts

    real = prompts.verdict_prompt

    def swapped(*args: Any) -> str:
        return real(*args).replace(" (A) True\n (B) False", " (A) False\n (B) True")

    patch.setattr(prompts, "verdict_prompt", swapped)


class Mutation(NamedTuple):
    mutate: Callable[[Patch, Path], None]
    check: Callable[..., None]


MUTATIONS = [
    Mutation(equal_width, check_calibration_errors_of_top_options),
    Mutation(unweighted, check_calibration_errors_of_top_options),
    Mutation(all_counted_as_top, check_calibration_errors_of_top_options),
    Mutation(top_counted_as_all, check_calibration_errors_of_all_options),
    Mutation(bootstrapped_interval, check_calibration_errors_have_a_null_and_no_interval),
    Mutation(softmax_over_the_vocabulary, check_options_are_normalised_among_themselves),
    Mutation(gold_stays_after_shuffle, check_shuffling_moves_the_right_option),
    Mutation(gold_stays_after_none_of_the_above, check_none_of_the_above_is_right_where_it_replaced_the_right_option),
    Mutation(temperature_fitted_on_test, check_the_temperature_comes_from_the_development_split),
    Mutation(auroc_without_ties, check_ties_count_one_half),
    Mutation(samples_as_independent_items, check_samples_of_a_question_are_one_observation),
    Mutation(head_read_at_the_pad, check_the_head_reads_the_last_token_of_each_text),
    Mutation(padded_on_the_left, check_the_head_reads_the_last_token_of_each_text),
    Mutation(worked_letters_swapped_in_half, check_worked_verdicts_say_what_is_true),
    Mutation(self_evaluation_letters_swapped_in_half, check_worked_self_evaluations_say_what_is_true),
    Mutation(asked_letters_swapped, check_verdict_letters_are_read_off_the_prompt),
]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[m.mutate.__name__ for m in MUTATIONS])
def test_the_mutation_is_caught(mutation: Mutation, monkeypatch: Patch, tmp_path: Path) -> None:
    extra = (tmp_path,) if mutation.check is check_shuffling_moves_the_right_option else ()
    mutation.check(*extra)

    mutation.mutate(monkeypatch, tmp_path)

    with pytest.raises((AssertionError, GnomonError)):
        mutation.check(*extra)
