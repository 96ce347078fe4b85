"""Architectures that our decoder does not compute, run by `transformers` behind the same engine.

They take no masks and no positions of ours, so every sequence is a row of its own, padded on the right, which no causal
model notices. Streams of one prompt decode together; nothing else is shared.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack, cast

import torch
from torch import Tensor

from gnomon.core.errors import AbilityError, ModelError
from gnomon.models.cache import KVCache, Reading
from gnomon.models.local import Fit

__all__ = ["Foreign", "load_foreign"]

_LIMITS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "context_length")


class Foreign:
    """A `transformers` causal model as the engine's network.

    Attributes:
        model: the `transformers` model.
        fit: what the engine must know of it.
    """

    def __init__(self, model: Any) -> None:
        """Wraps a loaded model that is on its device already."""
        self.model = model
        config = model.config.get_text_config()
        limits = [value for name in _LIMITS if isinstance(value := getattr(config, name, None), int)]
        weight = next(model.parameters())
        layers, width = getattr(config, "num_hidden_layers", 1), getattr(config, "hidden_size", 1)
        self.fit = Fit(
            device=weight.device,
            limit=limits[0] if limits else sys.maxsize,
            tree=False,
            held_bytes=2 * layers * width * weight.element_size(),
            new_cache=lambda: cast(KVCache, _Held()),  # the engine uses length and reorder of it
        )
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters

    def __call__(self, tokens_BT: Tensor, **how: Unpack[Reading]) -> Tensor:
        """Logits as `Transformer.forward` gives them; positions and mask are never given to it."""
        assert how.get("positions_BT") is None and how.get("mask") is None
        cache, at = how.get("cache"), how.get("at")
        if cache is not None:
            logits: Tensor = cast(_Held, cache).extend(self.model, tokens_BT)
            return logits if at is None else logits[at[:, 0], at[:, 1]]
        if at is None:
            return cast(Tensor, self.model(tokens_BT, use_cache=False).logits)
        if not self._keeps:
            return cast(Tensor, self.model(tokens_BT, use_cache=False).logits[at[:, 0], at[:, 1]])
        columns, which = torch.unique(at[:, 1], return_inverse=True)
        kept: Tensor = self.model(tokens_BT, use_cache=False, logits_to_keep=columns).logits
        return kept[at[:, 0], which]

    def hidden(self, tokens_BT: Tensor, **how: Unpack[Reading]) -> Tensor:
        """Refused: where the final hidden state lies differs between architectures."""
        raise AbilityError(
            f"architecture {type(self.model).__name__} gives no hidden states", todo="use a supported architecture"
        )


def load_foreign(folder: Path, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Foreign:
    """The causal language model stored in `folder`, whatever its architecture.

    Raises:
        ModelError: `transformers` does not know the architecture or cannot load it; code from the folder is never run.
    """
    import transformers

    try:
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
    except Exception as error:  # the library raises whatever a damaged folder makes it stumble over
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(
            f"neither our decoder nor transformers {transformers.__version__} can load it ({reason})", where=str(folder)
        ) from None
    return Foreign(model.to(device).eval())


class _Held:
    """What a `transformers` model has read: its own cache where rows of that can be chosen, else the tokens."""

    def __init__(self) -> None:
        self.length = 0
        self._tokens_BS: Tensor | None = None
        self._past: Any = None

    def extend(self, model: Any, tokens_BT: Tensor) -> Tensor:
        """Logits of the new tokens, [B, T, V]."""
        seen, count = self._tokens_BS, tokens_BT.shape[1]
        self._tokens_BS = tokens_BT if seen is None else torch.cat((seen, tokens_BT), dim=1)
        self.length += count
        if seen is not None and self._past is None:
            return cast(Tensor, model(self._tokens_BS, use_cache=False).logits[:, -count:])
        past = {} if self._past is None else {"past_key_values": self._past}
        out = model(tokens_BT, use_cache=True, **past)
        found = getattr(out, "past_key_values", None)
        self._past = found if _can_choose_rows(found) else None
        return cast(Tensor, out.logits)

    def reorder(self, rows: Sequence[int]) -> None:
        """Puts row `rows[i]` in place i."""
        assert self._tokens_BS is not None
        index = torch.tensor(rows, device=self._tokens_BS.device)
        self._tokens_BS = self._tokens_BS[index]
        if self._past is not None:
            self._past.batch_select_indices(index)


def _can_choose_rows(past: Any) -> bool:
    """Whether every layer of a cache is plain keys and values."""
    layers: list[Any] = getattr(past, "layers", None) or []
    return bool(layers) and all(hasattr(layer, "keys") and hasattr(layer, "batch_select_indices") for layer in layers)
