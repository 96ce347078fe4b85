"""Neurons set by hand are grouped right, and motifs are found where they are and nowhere else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnomon.explain.superposition.experiments.neurons import largest_group, monosemantic
from gnomon.explain.superposition.motifs import motifs


def uneven(inhibition: float) -> tuple[Tensor, Tensor]:
    """A neuron that reads [2, −½] and writes [½, 2], and another that holds back the harm."""
    return torch.tensor([[2.0, -0.5], [1.0, 0.0]]), torch.tensor([[0.5, 2.0], [0.0, -inhibition]])


def test_the_motif_is_found_with_what_it_holds_back() -> None:
    (found,) = motifs(*uneven(4.0))
    assert (found.neuron, found.strong, found.weak, found.inhibitors) == (0, 0, 1, (1,))
    assert found.harm == pytest.approx(4.0) and found.held == pytest.approx(1.0)


def test_what_is_no_motif_is_not_found() -> None:
    assert motifs(*uneven(1.0)) == []
    reads, writes = uneven(4.0)
    # An inhibitor driven by the other sign of the feature is never there at the same time.
    assert motifs(reads * torch.tensor([[1.0], [-1.0]]), writes) == []
    assert motifs(torch.tensor([[1.0, -1.0], [1.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, -1.0]])) == []
    exact = torch.cat([torch.eye(3), -torch.eye(3)])
    assert motifs(exact, exact.abs()) == []


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (torch.eye(5), ("alone",)),
        (torch.block_diag(torch.tensor([[1.0, 0, 0.7], [0, 1.0, -0.7]]), torch.eye(3)), ("3 in 2",)),
        (torch.tensor([[1.0, 1, 0], [1, 0, 1], [0, 1, 1]]), ("3 in 3", "each feature in 2 neurons")),
        (torch.zeros(2, 3), ("0 in 0",)),
    ],
)
def test_groups_of_features_and_neurons(weights: Tensor, said: tuple[str, ...]) -> None:
    faint = torch.cat([weights, torch.full((len(weights), 1), 0.1)], 1)
    assert largest_group(weights) == said
    # A feature that is not learned joins nothing.
    assert not weights.any() or largest_group(faint) == said


def test_neurons_of_one_feature_are_counted() -> None:
    assert monosemantic(torch.tensor([[1.0, 0.1, 0.0], [0.0, 0.5, -0.5], [0.0, 0.0, 0.0]])) == 1
