"""One token of one stream, on the processor: `Transformer`'s forward in plain NumPy, for small models of Llama's shape.

A lone stream's arrays are so small that torch spends most of the time on finding out what to do with them; NumPy asks
less. Measured by `benches.decode`. Every other shape, and every batch, goes through `Transformer`.

Shapes: D model width, H query heads, K key-value heads, G = H / K, d head width, S tokens held, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gnomon.models.cache import KVCache
from gnomon.models.transformer import Transformer

__all__ = ["OneRow"]

Array: TypeAlias = NDArray[np.float32]

# Where cores are busy, the threads that NumPy's library starts for wider maps cost more than torch's.
_WIDEST = 256


# Where a block keeps what `_Layer` names.
_STORED = ("ln1", "attn.qkv", "attn.out", "ln2", "mlp.up", "mlp.down")
# Where another map may stand while an update of it is learnt.
_MAPS = ("attn.qkv", "attn.out", "mlp.up", "mlp.down")


class _Layer(NamedTuple):
    """A block's weights, the network's own memory."""

    ln1: Array
    qkv: Array
    out: Array
    ln2: Array
    up: Array
    down: Array


class OneRow:
    """Steps of one row through one network."""

    def __init__(self, net: Transformer) -> None:
        """Looks at `net`, which `fits`, without copying: weights changed in place are seen."""
        assert net.rotary is not None
        self._net, self._config, self._rotary = net, net.config, net.rotary
        self._layers = [
            _Layer(*(_array(block.get_parameter(f"{name}.weight")) for name in _STORED)) for block in net.blocks
        ]
        self._embed, self._unembed = _array(net.embed.weight), _array(net.w_u)
        self._ln_f = _array(net.ln_f.get_parameter("weight"))

    @staticmethod
    def fits(net: object) -> TypeGuard[Transformer]:
        """Whether `net` is a small float32 model on the processor, its blocks built as Llama's are."""
        if not isinstance(net, Transformer):
            return False
        config, weight = net.config, net.embed.weight
        built = (config.norm, config.mlp, config.positions, config.d_rotary, config.window)
        extras = (config.qkv_bias, config.out_bias, config.mlp_bias, config.qk_norm, config.smear_keys)
        return (
            built == ("rmsnorm", "swiglu", "rotary", config.d_head, None)
            and not any((*extras, config.parallel_block))
            and config.d_model <= _WIDEST
            and weight.device.type == "cpu"
            and weight.dtype == torch.float32
            and all(isinstance(block.get_submodule(name), nn.Linear) for block in net.blocks for name in _MAPS)
        )

    def step(self, token: int, cache: KVCache) -> Array:
        """Logits [V] after `token`, which the cache then holds.

        Args:
            token: its id.
            cache: one row, not empty.
        """
        x_D: Array = self._embed[token]
        slots = cache.slots(1)
        turn = self._rotary.at(cache.length, 1, self._net.embed.weight)
        cos_d, sin_d = turn.cos.numpy()[0, 0], turn.sin.numpy()[0, 0]
        # A gate far below zero overflows on its way to zero.
        with np.errstate(over="ignore"):
            for layer, (keys, values) in zip(self._layers, slots, strict=True):
                qkv = layer.qkv @ self._normed(x_D, layer.ln1)
                x_D = x_D + layer.out @ self._mixed(qkv, cos_d, sin_d, keys.numpy()[0], values.numpy()[0])
                hidden = layer.up @ self._normed(x_D, layer.ln2)
                gate, up = hidden[: self._config.d_mlp], hidden[self._config.d_mlp :]
                x_D = x_D + layer.down @ (gate / (1 + np.exp(-gate)) * up)
        cache.advance(1)
        logits_V: Array = self._unembed @ self._normed(x_D, self._ln_f)
        return logits_V

    def _normed(self, x_D: Array, gain_D: Array) -> Array:
        mean = float(x_D @ x_D) / len(x_D)
        normed: Array = x_D * (mean + self._config.norm_eps) ** -0.5 * gain_D
        return normed

    def _mixed(self, qkv: Array, cos_d: Array, sin_d: Array, k_KSd: Array, v_KSd: Array) -> Array:
        """What the heads make of the values, [H · d]; fills the last slot of `k_KSd` and `v_KSd`."""
        heads, width = self._config.num_heads, self._config.d_head
        qkv_Nd = qkv.reshape(-1, width)
        v_KSd[:, -1] = qkv_Nd[heads + len(v_KSd) :]
        qk_Nd = qkv_Nd[: heads + len(k_KSd)]
        turned_Nd, half = qk_Nd * cos_d, width // 2
        turned_Nd[:, :half] += qk_Nd[:, half:] * sin_d[:half]
        turned_Nd[:, half:] += qk_Nd[:, :half] * sin_d[half:]
        k_KSd[:, -1] = turned_Nd[heads:]
        q_KdG = (turned_Nd[:heads] * width**-0.5).reshape(len(k_KSd), -1, width).transpose(0, 2, 1)
        p_KGS = np.matmul(k_KSd, q_KdG).transpose(0, 2, 1)
        p_KGS = np.exp(p_KGS - p_KGS.max(-1, keepdims=True))
        mixed: Array = np.matmul(p_KGS, v_KSd) / p_KGS.sum(-1, keepdims=True)
        return mixed.reshape(-1)


def _array(weight: Tensor) -> Array:
    array: Array = weight.detach().numpy()
    return array
