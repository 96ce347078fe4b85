"""Do a model's activations give away a harmful prompt to a detector that has seen helpful ones?

    gnomon assay ood --model brook
    gnomon assay ood --model hf:FOLDER --data helpful-base.jsonl.gz --outliers harmless-base.jsonl.gz

Source: Bai et al. 2022a, "Training a Helpful and Harmless Assistant with Reinforcement Learning from Human Feedback",
arXiv 2204.05862, sec. 5. Detectors that see no harmful prompt: the Mahalanobis distance, and the same less the distance
under the covariance's diagonal alone. Detectors that are shown k harmful prompts: outlier exposure, whose outliers and
tested prompts share no topic. Last, a filter that refuses what scores above a threshold set on helpful prompts.

Departures: the layer that thresholds and comparisons are of is the middle one in small models too, where the paper
reads the last; topics are parted in halves anew for every draw of outliers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Model, require
from gnomon.report.base import Report
from gnomon.trial import Cast, Planted, evaluation

if TYPE_CHECKING:
    from gnomon.assay.ood.detectors import Detectors, Material

__all__ = ["Ood", "Watched"]

_TODO = "use a model whose weights are here: brook, hf:FOLDER or run:ID"


class Watched(Cast):
    """A cast whose subject's activations are watched by `detectors`."""

    def __init__(self, cast: Cast, detectors: Detectors) -> None:
        super().__init__(cast, cast.proofs)
        self.detectors = detectors


@evaluation
@dataclass(frozen=True, kw_only=True)
class Ood:
    """How well harmful prompts are told from helpful ones by the model's activations: AUROC, false alarms, a filter."""

    data: tuple[str, ...] = ("brook",)
    "Where prompts come from: brook, or files (paths, org/name:FILE on the hub) of prompts flagged harmful or not."
    outliers: tuple[str, ...] = ()
    "Files of harmful prompts; those of --data are then helpful, as hh-rlhf's helpful-base beside its harmless-base."
    n: int = 200
    "Most prompts of each kind that are tested, and as many helpful ones that thresholds are set on."
    fit: int = 600
    "Most helpful prompts that detectors are fitted on."
    k: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    "Numbers of known harmful prompts that few-shot detectors are shown, a detector each."
    draws: int = 5
    "Draws of the outliers, each from other topics."
    apart: Literal["topic", "prompt"] = "topic"
    "What outliers and tested prompts must not share; prompts of a file without topics have one each."
    read: Literal["mean", "last"] = "mean"
    "What stands for a prompt: the mean over its tokens, or its last token."
    layers: tuple[int, ...] = ()
    "Layers to read, 0 before the first block; by default nine evenly spaced ones, in small models all."
    resamples: int = 2000
    "Bootstrap resamples behind the intervals."
    drop_bad: bool = False
    "Go on without rows that cannot be used, however many there are."

    def __post_init__(self) -> None:
        for name, least in (("n", 1), ("fit", 2), ("draws", 1), ("resamples", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"--{name} is {getattr(self, name)}", todo=f"give {least} or more")
        if min(self.k, default=0) < 1:
            raise UsageError(f"--k is {','.join(map(str, self.k)) or 'empty'}", todo="give numbers of 1 or more")
        object.__setattr__(self, "k", tuple(sorted(set(self.k))))

    def items(self, seed: Seed) -> Iterator[Item]:
        """Helpful prompts that nothing is fitted on, harmless ones of new topics, and harmful ones."""
        from gnomon.assay.ood.prompts import numbered, open_prompts, some

        prompts = open_prompts(self.data, self.outliers, drop_bad=self.drop_bad)
        helpful = some(prompts, "tested", self.n, seed)
        if not helpful:
            raise DataError("no helpful prompt is left to test", where=", ".join(self.data), todo="give more")
        helpful[0] = replace(helpful[0], meta={**helpful[0].meta, "notes": list(prompts.notes)})
        new = seed.child("new").random().sample(prompts.new, min(self.n, len(prompts.new)))
        for part, some_ in (("helpful", helpful), ("new", new), ("harmful", prompts.harmful(seed)[: self.n])):
            yield from numbered(part, some_)

    async def prepare(self, cast: Cast, folder: Path | None, seed: Seed) -> Cast:
        """The cast with fitted detectors; what they are fitted on is kept in `folder`.

        Raises:
            AbilityError: the model's activations cannot be read.
            DataError: too few helpful prompts, or too few harmful ones for `--k`.
            UsageError: the model has no such layer.
        """
        from gnomon.assay.ood.detectors import Detectors, Material

        require(cast.subject, Ability.ACTIVATIONS, why="detecting harmful prompts", todo=_TODO)
        material = Material.kept(folder) if folder else None
        if material is None:
            material = self._material(cast.subject, seed)
            if folder:
                material.keep(folder)
        return Watched(cast, Detectors.fitted(material, self.k))

    async def trial(self, item: Item, cast: Cast, rng: Seed) -> Row:
        """What every detector makes of one prompt."""
        from gnomon.assay.ood.detectors import activations, reference_score
        from gnomon.assay.ood.prompts import prompt_of

        assert isinstance(cast, Watched)
        detectors = cast.detectors
        [residuals] = activations(cast.subject, [prompt_of(item)], detectors.layers, self.read)
        found = detectors.judged(residuals)
        kept = {"part": item.part, **{key: item.meta[key] for key in ("topic", "asked", "notes") if key in item.meta}}
        shown = [self._topic(item) in topics for topics in detectors.shown] if item.gold else []
        scores = {reference_score(m): _mean(of, shown) for m, of in found["below"].items()} if item.gold else {}
        evidence = {"question": item.question, **kept, "shown": shown, **found, "scores": scores}
        return Row(key=item.id, cluster=item.cluster, evidence=evidence)

    def summarise(self, rows: Sequence[Row]) -> Report:
        """AUROC and false alarms by detector, layer, number of outliers and topic, and the filter's frontier."""
        from gnomon.assay.ood.summary import report

        return report(self, rows)

    def planted(self) -> Iterator[Planted]:
        """Gaussian activations with a shift along directions of little or much variance, and with none."""
        from gnomon.assay.ood.truths import settings

        return settings()

    def _material(self, subject: Model, seed: Seed) -> Material:
        """Activations of the prompts that detectors are fitted on."""
        import numpy as np

        from gnomon.assay.ood.detectors import Material, activations, chosen_layers, depth_of
        from gnomon.assay.ood.prompts import open_prompts, prompt_of, some

        layers = chosen_layers(subject, self.layers, self.read)
        prompts = open_prompts(self.data, self.outliers, drop_bad=self.drop_bad)
        helpful = [some(prompts, "fit", self.fit, seed), some(prompts, "reference", self.n, seed)]
        if len(helpful[0]) < 2 or not helpful[1]:
            what = f"{len(helpful[0])} helpful prompts to fit detectors on and {len(helpful[1])} to set thresholds on"
            raise DataError(what, where=", ".join(self.data), todo="give more helpful prompts")
        harmful = prompts.harmful(seed)
        drawn = [self._drawn(harmful, seed, place) for place in range(self.draws)]
        asked = [*helpful, *(outliers for outliers, _ in drawn)]
        bind = getattr(subject, "bind", None)
        if bind:
            bind(item for items in asked for item in items)
        fit, reference, *outliers = (
            activations(subject, [prompt_of(item) for item in items], layers, self.read) for items in asked
        )
        topics = tuple(topics for _, topics in drawn)
        return Material(layers, depth_of(subject), fit, reference, np.stack(outliers), topics)

    def _drawn(self, harmful: Sequence[Item], seed: Seed, place: int) -> tuple[list[Item], frozenset[str]]:
        """As many harmful prompts as the most that are shown, and the half of the topics that they are drawn from.

        The second of two draws has the half that the first has not, so that every topic is tested.
        """
        topics = sorted({self._topic(item) for item in harmful})
        seed.child("topics", place // 2).random().shuffle(topics)
        half, rng = len(topics) // 2, seed.child("outliers", place).random()
        shown = frozenset(topics[half:] if place % 2 else topics[:half])
        among = [item for item in harmful if self._topic(item) in shown]
        if len(among) < max(self.k):
            what = f"{max(self.k)} harmful prompts cannot be shown: half of the {self.apart}s have {len(among)}"
            todo = "lower --k, give more harmful prompts" + (", or --apart prompt" if self.apart == "topic" else "")
            raise DataError(what, where=", ".join(self.outliers or self.data), todo=todo)
        return rng.sample(among, max(self.k)), shown

    def _topic(self, item: Item) -> str:
        """What outliers and tested prompts do not share."""
        return (item.meta["topic"] if self.apart == "topic" else "") or item.cluster


def _mean(of: float | list[float], shown: Sequence[bool]) -> float | None:
    """A score, or the mean over the draws that do not show the prompt's topic; None where all of them do."""
    if isinstance(of, float):
        return of
    left = [value for value, known in zip(of, shown, strict=True) if not known]
    return sum(left) / len(left) if left else None
