"""What a model's residual stream makes of a prompt, and detectors that are fitted on it.

Layer 0 is the residual stream before the first block, the words alone; layer i is the stream after block i. A prompt is
the mean over its tokens, or its last token. The activations that detectors are fitted on are kept in the run's folder,
so that a run that goes on has the same ones.

Shapes: N prompts, B of them in a batch, T tokens, L layers, D width, k outliers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnomon.core.errors import DataError, UsageError
from gnomon.learn.batches import padded
from gnomon.learn.loop import one_thread_if_small
from gnomon.models.base import Prompt
from gnomon.models.hooks import Plan
from gnomon.stats.mahalanobis import Gaussian, fit_gaussian, mahalanobis, relative_mahalanobis
from gnomon.stats.outlier_exposure import Exposed, expose

__all__ = [
    "KEPT",
    "UNSUPERVISED",
    "Detectors",
    "Material",
    "Read",
    "activations",
    "chosen_layers",
    "depth_of",
    "few_shot",
    "middle",
    "reference_score",
]

Read = Literal["mean", "last"]
Activations = NDArray[np.float32]

UNSUPERVISED = ("Mahalanobis", "relative Mahalanobis")
KEPT = "activations.safetensors"
# Of deeper models so many layers are read, evenly spaced, the first and last and the middle one among them.
_LAYERS = 9
_BATCH_TOKENS = 4096


def few_shot(k: int) -> str:
    """The name of the detector that was shown `k` outliers."""
    return f"{k} outlier{'s' * (k != 1)}"


def reference_score(method: str) -> str:
    """The name of what runs are compared by: how many of the reference prompts a harmful one scores above."""
    return f"share of reference below ({method})"


def chosen_layers(model: Any, layers: Sequence[int], read: Read) -> tuple[int, ...]:
    """The layers to read: those asked for, or nine evenly spaced ones; all of a model with up to eight blocks.

    Raises:
        UsageError: the model has no such layer.
    """
    depth = depth_of(model)
    wrong = [layer for layer in layers if not 0 <= layer <= depth]
    if wrong:
        raise UsageError(f"{model.name} has no layer {wrong[0]}", where="--layers", todo=f"give some of 0 to {depth}")
    spaced = {round(place * depth / (_LAYERS - 1)) for place in range(_LAYERS)}
    # The last token is the same mark in most prompts: before the first block there is nothing to read at it.
    return tuple(sorted(set(layers) or spaced - ({0} if read == "last" else set())))


def depth_of(model: Any) -> int:
    """The number of the model's blocks."""
    return int(model.net.config.num_layers)


def middle(layers: Sequence[int], depth: int) -> int:
    """The one of `layers` that lies nearest to the middle of `depth` blocks; the deeper of two as near."""
    return min(layers, key=lambda layer: (abs(2 * layer - depth), -layer))


@torch.no_grad()
def activations(model: Any, prompts: Sequence[Prompt], layers: Sequence[int], read: Read) -> Activations:
    """Residual streams [N, L, D] of prompts, by a model with ACTIVATIONS.

    Raises:
        DataError: a prompt is longer than the model's context.
    """
    ids = [model.tokenizer.encode_prompt(prompt) for prompt in prompts]
    longest, limit = max(map(len, ids)), model.net.config.max_positions
    if longest > limit:
        what = f"a prompt has {longest} tokens, and {model.name} reads {limit}"
        raise DataError(
            what, where=_shown(prompts[max(range(len(ids)), key=lambda i: len(ids[i]))]), todo="leave it out"
        )
    found = np.empty((len(ids), len(layers), model.net.config.d_model), np.float32)
    with one_thread_if_small(model.net):
        for places in _batches([len(each) for each in ids]):
            found[places] = _read(model, [ids[place] for place in places], layers, read).cpu().numpy()
    return found


def _shown(prompt: Prompt) -> str:
    words = prompt if isinstance(prompt, str) else prompt[-1].content
    return repr(" ".join(words.split())[:60])


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places of prompts that are read together: of like length, and of no more tokens than suit a forward."""
    batches: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if not batches or (len(batches[-1]) + 1) * lengths[place] > _BATCH_TOKENS:
            batches.append([])
        batches[-1].append(place)
    return batches


def _read(model: Any, ids: Sequence[Sequence[int]], layers: Sequence[int], read: Read) -> Tensor:
    """Activations [B, L, D] of one batch."""
    tokens_BT, lengths_B = padded(ids)
    inside = torch.arange(tokens_BT.shape[1]) < lengths_B[:, None]

    def reduced(x_BTD: Tensor) -> Tensor:
        at = lengths_B.to(x_BTD.device)
        if read == "last":
            return x_BTD[torch.arange(len(at), device=at.device), at - 1].float()
        kept = torch.where(inside.to(x_BTD.device)[..., None], x_BTD.float(), 0.0)
        return kept.sum(dim=1) / at[:, None]

    names = [f"{layer - 1}.resid_post" if layer else "0.resid_pre" for layer in layers]
    plan = Plan(read=dict.fromkeys(names, reduced), stop_at=names[-1])
    model.run(tokens_BT, plan)
    return torch.stack([plan.results[name] for name in names], dim=1)


class Material(NamedTuple):
    """What detectors are made of.

    Attributes:
        layers: those that were read, ascending.
        depth: blocks of the model.
        fit: activations of helpful prompts to fit on, [N, L, D].
        reference: of others, on which thresholds are set, [M, L, D].
        outliers: of harmful prompts, for each draw of them as many as the most that are shown, [draws, k, L, D].
        shown: for each draw, the topics that its outliers are drawn from.
    """

    layers: tuple[int, ...]
    depth: int
    fit: Activations
    reference: Activations
    outliers: Activations
    shown: tuple[frozenset[str], ...]

    def keep(self, folder: Path) -> None:
        """Writes `activations.safetensors` into `folder`."""
        from safetensors.numpy import save

        from gnomon.store.files import replace_file

        tensors = {name: getattr(self, name) for name in _ARRAYS}
        notes = {"layers": self.layers, "depth": self.depth, "shown": [sorted(topics) for topics in self.shown]}
        replace_file(folder / KEPT, save(tensors, metadata={"notes": json.dumps(notes)}))

    @classmethod
    def kept(cls, folder: Path) -> Material | None:
        """What `keep` wrote; None where nothing is there."""
        from safetensors import safe_open

        path = folder / KEPT
        if not path.is_file():
            return None
        with safe_open(path, framework="np") as file:
            notes = json.loads(file.metadata()["notes"])
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        shown = tuple(frozenset(topics) for topics in notes["shown"])
        return cls(layers=tuple(notes["layers"]), depth=notes["depth"], shown=shown, **arrays)


_ARRAYS = ("fit", "reference", "outliers")


@dataclass(frozen=True)
class Detectors:
    """Fitted detectors of one model, for every layer that is read.

    Attributes:
        layers: ascending.
        main: the layer nearest to the middle, which thresholds and comparisons are of.
        clouds: mean and covariance of helpful prompts, by layer.
        exposed: by number of outliers and layer, a classifier for each draw.
        shown: for each draw, the topics that its outliers are drawn from.
        reference: scores of the reference prompts at the main layer, sorted, by method; for few-shot ones [draws, M].
    """

    layers: tuple[int, ...]
    main: int
    clouds: Sequence[Gaussian]
    exposed: Mapping[int, Sequence[Sequence[Exposed]]]
    shown: Sequence[frozenset[str]]
    reference: Mapping[str, NDArray[np.float64]]

    @classmethod
    def fitted(cls, on: Material, ks: Sequence[int]) -> Detectors:
        """The detectors that `on` gives; few-shot ones are shown the first k outliers of each draw.

        Raises:
            DataError: helpful prompts are too few, or all alike at a layer.
        """
        main, places = middle(on.layers, on.depth), range(len(on.layers))
        fit, outliers = on.fit.astype(np.float64), on.outliers.astype(np.float64)
        clouds = [fit_gaussian(fit[:, i], where=f"helpful prompts at layer {on.layers[i]}") for i in places]
        exposed = {k: [[expose(fit[:, i], draw[:k, i]) for draw in outliers] for i in places] for k in ks}
        at_main = _scores(on.reference[:, on.layers.index(main)], on.layers.index(main), clouds, exposed)
        reference = {name: np.sort(values, axis=-1) for name, values in at_main.items()}
        return cls(on.layers, main, clouds, exposed, on.shown, reference)

    def judged(self, residuals: Activations) -> dict[str, Any]:
        """What the detectors say of one prompt's residual streams [L, D], as a row's evidence.

        `values` has every method's score by layer, few-shot ones a list over draws; `below` the share of reference
        prompts that score lower at the main layer, those that score the same counted one half.
        """
        values = {
            layer: _scores(residuals[None, i], i, self.clouds, self.exposed) for i, layer in enumerate(self.layers)
        }
        below = {name: _below(self.reference[name], score) for name, score in values[self.main].items()}
        return {
            "main": self.main,
            "values": {str(layer): {m: _plain(v[..., 0]) for m, v in of.items()} for layer, of in values.items()},
            "below": {name: _plain(share) for name, share in below.items()},
        }


def _scores(
    vectors: Activations, place: int, clouds: Sequence[Gaussian], exposed: Mapping[int, Sequence[Sequence[Exposed]]]
) -> dict[str, NDArray[np.float64]]:
    """By method, scores of `vectors` [N, D] at the layer at `place`, [N] or [draws, N]; the higher, the stranger."""
    z = vectors.astype(np.float64)
    found = dict(zip(UNSUPERVISED, (f(clouds[place], z) for f in (mahalanobis, relative_mahalanobis)), strict=True))
    for k, of_layers in exposed.items():
        found[few_shot(k)] = np.stack([draw.log_odds(z) for draw in of_layers[place]])
    return found


def _below(reference: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of `reference` [..., M] that is less than `score` [..., 1], ties one half."""
    found: NDArray[np.float64] = ((reference < score).mean(axis=-1) + (reference <= score).mean(axis=-1)) / 2
    return found


def _plain(values: NDArray[np.float64]) -> float | list[float]:
    """As JSON, to seven digits: activations have no more."""
    return [float(f"{x:.7g}") for x in values] if values.ndim else float(f"{values:.7g}")
