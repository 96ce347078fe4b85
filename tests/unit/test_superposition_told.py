"""What is not settled, not learned, not met or not a polytope is said so, and not drawn as if it were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from gnomon.core.errors import DataError
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.explain.superposition import Superposition, parts
from gnomon.explain.superposition.experiments import phase, uniform
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.geometry import dimensionality, interference
from gnomon.explain.superposition.toys import Toys, Training, train
from gnomon.explain.superposition.trainings import Cell, laid_out, trained, weights_of


def start(problem: str, seed: int, w: list[list[float]], loss: float) -> Row:
    """A model of one cell of a phase diagram, with the loss given."""
    evidence: dict[str, Any] = {
        "problem": problem,
        "importance": 1.0,
        "density": 0.5,
        "toy": {"seed": seed},
        "w": w,
        "loss": loss,
    }
    return Row(key=f"{problem}/{seed}", cluster=problem, evidence=evidence)


def drawn(agreeing: int) -> Any:
    """The first diagram of ten starts of a cell, so many of which do as the best one."""
    rows = []
    for problem, kept, dropped in (
        ("n=2, m=1", [[0.0, 1.0]], [[1.0, 0.0]]),
        ("n=3, m=2", [[1.0, 0, 0], [0, 0, 1.0]], [[1.0, 0, 0], [0, 1.0, 0]]),
    ):
        rows += [start(problem, k, kept if k < agreeing else dropped, 0.1 + k / 100) for k in range(10)]
    return phase.told(rows).figures[0].spec


@pytest.mark.parametrize(("agreeing", "value"), [(2, None), (3, phase.CODES["dedicated"])])
def test_a_cell_where_few_starts_agree_is_not_drawn_as_settled(agreeing: int, value: float | None) -> None:
    spec = drawn(agreeing)
    _, shown, *_ = spec["vconcat"][0]["layer"]
    data = shown["data"] if "data" in shown else spec["vconcat"][0]["data"]
    assert [cell["value"] for cell in spec["datasets"][data["name"]]] == [value]
    starts = spec["datasets"][spec["vconcat"][1]["data"]["name"]]
    assert [s["label"] for s in starts][:2] == ["start 0, loss 0.1", "start 1, loss 0.11"] and len(starts) == 10
    assert [s["group"] for s in starts].count("dedicated") == agreeing
    assert starts[1]["x"] == pytest.approx(10) and starts[0]["y"] == pytest.approx(1)


def dense(w: torch.Tensor, density: float, start: int = 0, above: float = -0.1, star: float = 0.5) -> Row:
    against = {"value": above, "se": 0.01, "n": 100, "star": star}
    facts = {"density": density, "w": w.tolist(), "dims": w.shape[0], "against_pairs": against, "loss": 0.1}
    return Row(key=f"{density}/{start}", cluster=f"density {density}", evidence=facts)


def test_a_model_that_learned_nothing_is_told_so() -> None:
    told = uniform.told([dense(torch.eye(2), 1.0), dense(torch.zeros(2, 2), 0.5)])
    assert "D* 1.00 dimensions each where dense and nothing learned where rarest" in told.summary
    assert [line[1] for line in told.tables[0].rows] == ["1.00", "nothing learned"]
    none = uniform.told([dense(torch.zeros(2, 2), 1.0), dense(torch.zeros(2, 2), 0.5)])
    assert "nothing learned" in none.summary and all(e.value is None or e.reason for e in none.estimates)


def test_where_the_curve_rests_is_measured_in_decades() -> None:
    def scaled(star: float) -> torch.Tensor:
        return torch.eye(4) / star**0.5

    # From 1 over a decade at 1 / 2, down to 0.3; between densities the curve is straight.
    rows = [dense(scaled(star), 10**-x) for x, star in ((0, 1.0), (0.5, 0.5), (1.5, 0.5), (2.0, 0.3))]
    told = uniform.told(rows)
    found = told.estimates[2]
    assert found.metric == "decades of density with D* within a tenth of 1/2"
    assert found.value == pytest.approx(0.5 * 0.05 / 0.5 + 1 + 0.5 * 0.05 / 0.2)
    assert "the best start costs less than the best of pairs from density 1 down" in told.summary
    assert [line[3] for line in told.tables[0].rows][:1] == ["-11.98 to -8.02"]
    assert found.reason == "read off one curve" and found.low is None
    # A second start whose curve passes by 1 / 2 at once.
    more = [dense(scaled(star), 10**-x, 1) for x, star in ((0, 1.0), (0.5, 0.9), (1.5, 0.3), (2.0, 0.3))]
    mean = uniform.told([row for pair in zip(rows, more, strict=True) for row in pair]).estimates[2]
    second = 0.1 / 0.6
    assert mean.value == pytest.approx((found.value + second) / 2) and mean.n == 2 and mean.low is not None


def test_at_the_least_loss_it_rests_at_most_until_pairs_are_beaten() -> None:
    at = ((0, 0.1, 1.0), (0.5, 0.1, 0.5), (1.0, -0.1, 0.5), (1.5, -0.1, 0.5))
    told = uniform.told([dense(torch.eye(4), 10**-x, above=above, star=star) for x, above, star in at])
    most = told.estimates[3]
    assert most.metric.endswith("at the least loss, at most") and most.value == pytest.approx(0.05 + 0.5)
    assert "best of pairs from density 0.1 down" in told.summary
    never = uniform.told([dense(torch.eye(4), 10**-x, above=0.1, star=star) for x, _, star in at])
    assert "best of pairs nowhere" in never.summary and never.estimates[3].value == pytest.approx(0.05 + 1.0)


def test_rows_of_an_earlier_version_are_refused() -> None:
    row = dense(torch.eye(2), 1.0)
    bare = {key: value for key, value in row.evidence.items() if key != "against_pairs"}
    with pytest.raises(DataError) as caught:
        uniform.told([replace(row, evidence=bare)])
    assert str(caught.value) == "1.0/0: the model was not held against pairs; run it again with --fresh"


def test_a_group_without_a_name_is_shown_with_its_spectrum() -> None:
    angles = torch.tensor([0.0, 1.0, 2.0])
    figure = uniform.told([dense(torch.stack([angles.cos(), angles.sin()]), 1.0)]).figures[1]
    assert "other, 3 features, eigenvalues 1.58 1.42, density 1.0, group 1" in str(figure.spec)


def test_a_feature_that_training_never_meets_leaves_an_error() -> None:
    cells = [Cell(name="rare", density=[0.5, 1e-4]), Cell(name="met", density=[0.5, 0.1])]
    toys = laid_out("relu", Law(num_features=2), 1, cells, 2)
    rows = trained(toys, cells, Training(steps=20, batch=32), Seed(0)).rows
    assert [row.error for row in rows] == ["training was too short to meet every feature"] * 2 + [None] * 2
    assert rows[0].evidence["toy"]["met"] == pytest.approx(0.064) and "w" not in rows[0].evidence
    law = Law(num_features=4, together="anticorrelated", size=2)
    cell = [Cell(name="sets", density=0.1)]
    (row,) = trained(laid_out("relu", law, 2, cell, 1), cell, Training(steps=10, batch=32), Seed(0)).rows
    assert row.evidence["toy"]["met"] == pytest.approx(0.1 / 2 * 320)


def test_models_left_out_are_counted_by_reason() -> None:
    rows = [replace(dense(torch.eye(2), 1.0), key=f"uniform:{k}") for k in range(3)]
    rows.append(replace(rows[0], key="uniform:3", error="weights stopped being finite"))
    report = parts.report(Superposition(only=("uniform",)), rows)
    assert report.notes == ["1 of 4 models are left out: weights stopped being finite"]


def test_nothing_is_packed_where_every_feature_can_have_a_dimension() -> None:
    law, n = Law(num_features=3), 3
    toys = Toys(
        kind="relu",
        law=law,
        num_dims=4,
        density_KN=torch.full((2, n), 0.1),
        importance_KN=torch.ones(2, n),
        seeds=(0, 1),
    )
    found = train(toys, Training(steps=800), Seed(0)).w_out_KMN
    assert torch.allclose(dimensionality(found), torch.ones(2, n), atol=0.02)
    assert float(interference(found).max()) < 0.02


def test_the_weights_of_a_row_are_those_of_its_model() -> None:
    cell = [Cell(name="one", density=0.5)]
    kept = trained(laid_out("relu", Law(num_features=3), 2, cell, 1), cell, Training(steps=5), Seed(0))
    assert torch.allclose(weights_of(kept.rows[0]), kept.tensors["one/0/w"], atol=1e-5)
