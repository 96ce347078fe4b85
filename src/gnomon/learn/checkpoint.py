"""How a training state is kept: one safetensors file, replaced atomically, enough to go on to the bit.

The file holds the weights that move (`model.*`), the optimiser's moments (`optim.*`) and torch's generator state
(`rng`); the step and the running sums of the metrics lie in its header as JSON. A reader sees the old file or the new
one, never half of either. Several processes that train together write one file, the same that one alone would write,
and each reads it all: it has to lie where all of them see it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnomon.core.errors import DataError
from gnomon.learn.parallel import like, ranks, whole

__all__ = ["TrainingState", "load_state", "save_state", "saved_step"]


class TrainingState(NamedTuple):
    """What `load_state` returns beside the tensors it puts back in place.

    Attributes:
        step: steps done.
        notes: what the loop itself wrote down (sums of metrics since the last log line); JSON values.
    """

    step: int
    notes: dict[str, Any]


def save_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, *, step: int, notes: Mapping[str, Any] | None = None
) -> None:
    """Writes everything that the next step depends on to `path`, atomically; of several processes, the first does."""
    from safetensors.torch import save_file

    # Clones, because safetensors refuses tensors that share memory (a tied embedding).
    tensors = {f"model.{name}": whole(value.detach()).clone() for name, value in _moving(model).items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optim.{index}.{name}": whole(torch.as_tensor(value)).clone() for name, value in moments.items()}
    if ranks().rank:
        return
    tensors["rng"] = torch.get_rng_state()
    header = {"step": str(step), "notes": json.dumps(notes or {})}
    beside = path.with_name(f"{path.name}.part{os.getpid()}")
    save_file(tensors, beside, metadata=header)
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Puts weights, moments and torch's generator back as `save_state` found them.

    Raises:
        DataError: the file is damaged, or belongs to a model of another shape.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        _put_back(model, _under(tensors, "model."))
        moments = _moments(_under(tensors, "optim."))
        learnt = [p for group in optimizer.param_groups for p in group["params"]]
        state = {i: {name: like(v, learnt[i]) for name, v in each.items()} for i, each in moments.items()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
        torch.set_rng_state(tensors["rng"])
        return TrainingState(int(header["step"]), json.loads(header["notes"]))
    except (SafetensorError, KeyError, IndexError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"the training state does not fit: {reason}", where=str(path), todo="start over with --fresh"
        ) from error


def saved_step(path: Path) -> int:
    """Steps done by the state at `path`, 0 when there is none; DataError when it is damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            return int((file.metadata() or {})["step"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"not a training state: {error}", where=str(path), todo="start over with --fresh") from error


def _moving(model: nn.Module) -> dict[str, Tensor]:
    """What training changes, by name: frozen weights are those that training started from, and need no keeping."""
    frozen = {name for name, parameter in model.named_parameters(remove_duplicate=False) if not parameter.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def _put_back(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    places = _moving(model)
    if places.keys() != values.keys():
        raise KeyError(f"its tensors are those of another model: {sorted(places.keys() ^ values.keys())[:3]}")
    with torch.no_grad():
        for name, place in places.items():
            if place.shape != values[name].shape:
                raise ValueError(f"{name} has shape {tuple(values[name].shape)}, not {tuple(place.shape)}")
            place.copy_(like(values[name], place))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _moments(flat: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in flat.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    return state
