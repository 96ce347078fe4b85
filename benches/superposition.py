"""What a step of a toy model costs, beside the published notebook's way of training them.

    python -m benches.superposition [--json FILE] [--rounds 5]

A step of one model is one update on one batch. The other way is written here from the paper's description: ten or
twenty models of different densities in one tensor, `einsum` over models, 1,024 examples a step drawn for each model,
gradients by autograd, torch's AdamW. Ours draws 256 examples a step once for all of 300 (or 50) models, with gradients
written out; the same at 1,024 examples shows the share of the smaller batch. One thread; rounds alternate. The target
is 10 times fewer processor seconds a step.
"""

from __future__ import annotations

import statistics
import time
from typing import NamedTuple

import torch

from benches.bench import Figure, options, publish
from gnomon.core.seeds import Seed
from gnomon.explain.superposition.features import Law
from gnomon.explain.superposition.toys import Toys, Training, train

LEAST = 10.0


class Case(NamedTuple):
    """Features and dimensions; models and steps a round of the notebook's way, and of ours."""

    features: int
    dims: int
    their_models: int
    their_steps: int
    our_models: int
    our_steps: int


CASES = (
    Case(5, 2, 10, 100, 300, 80),
    Case(20, 5, 10, 60, 300, 24),
    Case(100, 20, 20, 5, 50, 16),
    Case(400, 30, 10, 2, 20, 8),
)


def main() -> None:
    """Measures and prints a table."""
    args = options(__doc__).parse_args()
    torch.set_num_threads(1)
    publish("superposition", [figure for case in CASES for figure in figures(case, args.rounds)], args.json)


def figures(case: Case, rounds: int) -> list[Figure]:
    """Microseconds of a model's step: ours on 256 and on 1,024 examples, the notebook's way beside both."""
    found = []
    for batch in (256, 1024):
        steps = max(1, case.our_steps * 256 // batch)
        own(case, steps, batch), notebook(case, case.their_steps)
        pairs = [(own(case, steps, batch), notebook(case, case.their_steps)) for _ in range(rounds)]
        found.append(
            Figure(
                name=f"{case.features} features in {case.dims}, batch {batch}",
                cpu=1e6 * statistics.median(mine for mine, _ in pairs),
                wall=None,
                unit="us/step",
                peer=1e6 * statistics.median(other for _, other in pairs),
                peer_name="the notebook's way, batch 1024",
                ratios=[other / mine for mine, other in pairs],
                least_ratio=LEAST if batch == 256 else None,
            )
        )
    return found


def own(case: Case, steps: int, batch: int) -> float:
    """Trains our way; processor seconds of a model's step, without the start and the test after training."""
    models = case.our_models
    toys = Toys(
        kind="relu",
        law=Law(num_features=case.features),
        num_dims=case.dims,
        density_KN=densities(models)[:, None].expand(-1, case.features).contiguous(),
        importance_KN=torch.ones(models, case.features),
        seeds=range(models),
    )
    seen: list[float] = []
    how = Training(steps=steps, lr=1e-3, batch=batch, constant=True)
    train(toys, how, Seed(0), lambda *_: seen.append(time.process_time()))
    return (seen[-1] - seen[0]) / (steps * models)


def notebook(case: Case, steps: int) -> float:
    """Trains as the paper describes its notebook; processor seconds of a model's step."""
    models, batch = case.their_models, 1024
    w = torch.nn.Parameter(torch.nn.init.xavier_normal_(torch.empty(models, case.features, case.dims)))
    b = torch.nn.Parameter(torch.zeros(models, case.features))
    optimiser = torch.optim.AdamW([w, b], lr=1e-3)
    density = densities(models)[None, :, None]
    importance = torch.ones(1, 1, case.features)
    begin = time.process_time()
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        values = torch.rand(batch, models, case.features)
        there = torch.rand(batch, models, case.features) <= density
        x = torch.where(there, values, torch.zeros(()))
        hidden = torch.einsum("...if,ifh->...ih", x, w)
        out = torch.relu(torch.einsum("...ih,ifh->...if", hidden, w) + b)
        error = importance * (x - out).square()
        error.mean(dim=(0, 2)).sum().backward()
        optimiser.step()
    return (time.process_time() - begin) / (steps * models)


def densities(models: int) -> torch.Tensor:
    """Densities from 1 to 1/20, in equal steps of the logarithm."""
    return 20.0 ** -torch.linspace(0, 1, models)


if __name__ == "__main__":
    main()
