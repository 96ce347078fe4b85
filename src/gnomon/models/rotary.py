"""Rotary positions (Su et al. 2021): wavelengths, their scaling to longer contexts, and the turn itself.

Shapes: T tokens, N heads, R turned coordinates of a head, F = R / 2 frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gnomon.core.errors import ModelError, closest
from gnomon.models.transformer_config import TransformerConfig

__all__ = ["Rotary", "Turn", "frequencies", "turn"]

_SCALINGS = ("default", "linear", "dynamic", "llama3", "yarn")


class Turn(NamedTuple):
    """What `turn` multiplies with: each [T, 1, R] or [B, T, 1, R]; the first half of `sin` is negated."""

    cos: Tensor
    sin: Tensor


def turn(x_BTNd: Tensor, by: Turn) -> Tensor:
    """Turns the first R coordinates of every head, pairing coordinate i with i + R/2.

    Args:
        x_BTNd: queries or keys, [B, T, N, d_head].
        by: from `Rotary.at`.
    """
    width = by.cos.shape[-1]
    if width == x_BTNd.shape[-1]:
        return torch.addcmul(x_BTNd * by.cos, x_BTNd.roll(width // 2, -1), by.sin)
    turned, rest = x_BTNd[..., :width], x_BTNd[..., width:]
    turned = torch.addcmul(turned * by.cos, turned.roll(width // 2, -1), by.sin)
    return torch.cat((turned, rest), dim=-1)


class Rotary:
    """Tables of cosines and sines, computed once for each device and dtype and lengthened when needed."""

    def __init__(self, config: TransformerConfig) -> None:
        self.config = config
        self._tables: dict[tuple[torch.device, torch.dtype], Turn] = {}
        self._dynamic = _kind(config.rotary_scaling) == "dynamic"
        frequencies(config, length=config.max_positions)  # refuses a scaling it does not know

    def at(self, start: int, count: int, like: Tensor) -> Turn:
        """The turns of positions start … start + count - 1, on the device and in the dtype of `like`."""
        cos, sin = self._table(start + count, like)
        return Turn(cos[start : start + count], sin[start : start + count])

    def at_positions(self, positions_BT: Tensor, like: Tensor) -> Turn:
        """The turns of given positions."""
        needed = int(positions_BT.max()) + 1 if positions_BT.numel() else 1
        cos, sin = self._table(needed, like)
        return Turn(cos[positions_BT], sin[positions_BT])

    def _table(self, length: int, like: Tensor) -> Turn:
        if self._dynamic and length > self.config.max_positions:
            return self._build(length, length, like)
        key = (like.device, like.dtype)
        table = self._tables.get(key)
        if table is None or table.cos.shape[0] < length:
            room = max(length, min(self.config.max_positions, max(2048, 2 * length)))
            table = self._tables[key] = self._build(room, min(length, self.config.max_positions), like)
        return table

    def _build(self, rows: int, length: int, like: Tensor) -> Turn:
        # A tensor made in inference mode cannot be saved for a later backward pass, and the table outlives this call.
        with torch.inference_mode(False), torch.no_grad():
            frequencies_F, gain = frequencies(self.config, length=length)
            angles_TF = torch.outer(torch.arange(rows, dtype=torch.float32), frequencies_F)
            cos, sin = angles_TF.cos() * gain, angles_TF.sin() * gain
            table = (torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1))
            return Turn(*(t.to(device=like.device, dtype=like.dtype).unsqueeze(1) for t in table))


def frequencies(config: TransformerConfig, *, length: int) -> tuple[Tensor, float]:
    """Angles a position adds, [F] in radians, and the factor on cosines and sines.

    Args:
        config: base, width and scaling.
        length: longest sequence of the call; only "dynamic" scaling reads it.

    Raises:
        ModelError: an unknown scaling, or one whose parameters are missing.
    """
    kind, scaling = _kind(config.rotary_scaling), dict(config.rotary_scaling or {})
    if kind not in _SCALINGS:
        raise ModelError(f"rope_type {kind!r} is not supported", where="rope_scaling", todo=closest(kind, _SCALINGS))
    base = config.rotary_theta
    try:
        if kind == "dynamic" and length > config.max_positions:
            stretch = scaling["factor"] * length / config.max_positions - (scaling["factor"] - 1)
            base *= stretch ** (config.d_rotary / (config.d_rotary - 2))
        plain = 1.0 / base ** (torch.arange(0, config.d_rotary, 2).float() / config.d_rotary)
        if kind == "linear":
            return plain / scaling["factor"], 1.0
        if kind == "llama3":
            return _llama3(plain, scaling, config), 1.0
        if kind == "yarn":
            return _yarn(plain, scaling, config)
    except KeyError as missing:
        raise ModelError(f"rope_type {kind!r} needs {missing}, which is missing", where="rope_scaling") from None
    return plain, 1.0


def _kind(scaling: Mapping[str, Any] | None) -> str:
    if not scaling:
        return "default"
    return str(scaling.get("rope_type") or scaling.get("type") or "default")


def _llama3(plain: Tensor, scaling: dict[str, Any], config: TransformerConfig) -> Tensor:
    """Long wavelengths are divided by `factor`, short ones kept, those between blended (Llama 3.1)."""
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    trained = scaling.get("original_max_position_embeddings") or config.max_positions
    blend = (trained * plain / (2 * math.pi) - low) / (high - low)
    return torch.lerp(plain / scaling["factor"], plain, blend.clamp(0, 1))


def _yarn(plain: Tensor, scaling: dict[str, Any], config: TransformerConfig) -> tuple[Tensor, float]:
    """Interpolates by wavelength and sharpens attention (Peng et al. 2023, sec. 3.2 and 3.4)."""
    trained = scaling.get("original_max_position_embeddings") or config.max_positions
    factor = scaling.get("factor") or config.max_positions / trained
    width = config.d_rotary

    def coordinate(turns: float) -> float:
        return width * math.log(trained / (turns * 2 * math.pi)) / (2 * math.log(config.rotary_theta))

    low, high = coordinate(scaling.get("beta_fast") or 32), coordinate(scaling.get("beta_slow") or 1)
    if scaling.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    ramp = ((torch.arange(width // 2).float() - low) / max(high - low, 0.001)).clamp(0, 1)
    return torch.lerp(plain, plain / factor, ramp), _yarn_gain(scaling, factor)


def _yarn_gain(scaling: dict[str, Any], factor: float) -> float:
    if scaling.get("attention_factor") is not None:
        return float(scaling["attention_factor"])

    def gain(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0

    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return gain(scaling["mscale"]) / gain(scaling["mscale_all_dim"])
    return gain(1.0)
