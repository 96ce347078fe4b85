"""The experiments by name: trained one after the other, each kept when it is done, and told together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from safetensors.torch import save_file
from torch import nn

from gnomon.core.progress import progress
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.explain.superposition.experiments import (
    absolute,
    activation,
    adversarial,
    basic,
    batch,
    collapse,
    correlated,
    dynamics,
    neurons,
    penalty,
    perturb,
    phase,
    recovery,
    sparser,
    spheres,
    surface,
    uniform,
)
from gnomon.explain.superposition.saved import write_index
from gnomon.explain.superposition.toys import Training
from gnomon.explain.superposition.trainings import Kept, Told
from gnomon.learn.loop import one_thread_if_small
from gnomon.report.base import Estimate, Report, Table
from gnomon.report.words import in_words, support

if TYPE_CHECKING:
    from gnomon.explain.superposition import Part, Superposition
    from gnomon.store.run import Run

__all__ = ["EXPERIMENTS", "TRAINING", "Experiment", "report", "train_parts"]

TRAINING: dict[str, Training] = {
    "small": Training(steps=1500),
    "paper": Training(steps=10_000, lr=1e-3, batch=1024, constant=True),
}
"""How models train, by scale."""

# More rows than any part has.
_MOST = 10**6


class Experiment(NamedTuple):
    """What leaves rows, given scale, training, starts and seed; and what they say."""

    made: Callable[[str, Training, int, Seed], Kept]
    told: Callable[[Sequence[Row]], Told]


EXPERIMENTS: Mapping[Part, Experiment] = {
    "basic": Experiment(basic.made, basic.told),
    "sparser": Experiment(sparser.made, sparser.told),
    "phase": Experiment(phase.made, phase.told),
    "surface": Experiment(surface.made, surface.told),
    "spheres": Experiment(spheres.made, spheres.told),
    "perturb": Experiment(perturb.made, perturb.told),
    "correlated": Experiment(correlated.made, correlated.told),
    "collapse": Experiment(collapse.made, collapse.told),
    "uniform": Experiment(uniform.made, uniform.told),
    "dynamics": Experiment(dynamics.made, dynamics.told),
    "adversarial": Experiment(adversarial.made, adversarial.told),
    "neurons": Experiment(neurons.made, neurons.told),
    "absolute": Experiment(absolute.made, absolute.told),
    "penalty": Experiment(penalty.made, penalty.told),
    "activation": Experiment(activation.made, activation.told),
    "recovery": Experiment(recovery.made, recovery.told),
    "batch": Experiment(batch.made, batch.told),
}
"""What each part of a run is."""


def train_parts(cfg: Superposition, run: Run) -> None:
    """Leaves the rows of every part that the run lacks, a file of weights for each, and the index of all weights."""
    held = run.keys()
    done = {key.partition(":")[0] for key in held}
    # A toy model is small: several threads cost more than they bring.
    with progress(len(cfg.only), "superposition, experiment") as bar, one_thread_if_small(nn.Module()):
        for place, part in enumerate(cfg.only):
            bar.advance(0, estimate=part)
            if part not in done:
                seed = Seed(cfg.seed).child("superposition", part)
                kept = EXPERIMENTS[part].made(cfg.scale, TRAINING[cfg.scale], cfg.seeds, seed)
                if kept.tensors:
                    save_file(kept.tensors, run.manifest.folder / f"{part}.safetensors")
                rows = [replace(row, key=f"{part}:{row.key}") for row in kept.rows]
                run.add(rows, range(place * _MOST, place * _MOST + len(rows)))
            bar.advance(1, estimate=part)
    write_index(run.rows(), run.manifest.folder)


def report(cfg: Superposition, rows: Sequence[Row]) -> Report:
    """The report on rows of `train_parts`."""
    told = {part: EXPERIMENTS[part].told([r for r in rows if r.key.startswith(f"{part}:")]) for part in cfg.only}
    failed = Counter(row.error for row in rows if row.error is not None)
    notes = [f"{part}: {note}" for part, each in told.items() for note in each.notes]
    notes += [f"{count} of {len(rows)} models are left out: {error}" for error, count in failed.items()]
    shown = Table(
        title="What each experiment shows",
        columns=("experiment", "what it shows"),
        rows=[[part, each.summary] for part, each in told.items()],
    )
    estimates = [estimate for each in told.values() for estimate in each.estimates]
    return Report(
        title="Features packed into fewer dimensions",
        summary=f"{len(rows):,} toy models in {len(told)} experiment{'s' * (len(told) > 1)}.",
        estimates=estimates,
        figures=[figure for each in told.values() for figure in each.figures],
        tables=[shown, *(table for each in told.values() for table in each.tables)],
        notes=notes,
        in_terminal=[shown, _headlines(estimates)],
    )


def _headlines(estimates: Sequence[Estimate]) -> Table:
    rows = [[e.metric, e.group, in_words(e, 2), support(e)] for e in estimates if e.headline]
    columns = ("metric", "of", "value and 95 % interval", "items")
    return Table(title="Main numbers", columns=columns, rows=rows, caption="The page has all others.")
