"""Training for less: bfloat16 where the processor has it, and activations computed twice rather than kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from gnomon.core.errors import UsageError
from gnomon.models.transformer import Block

__all__ = ["has_bfloat16", "need_bfloat16", "recomputed"]


def has_bfloat16() -> bool:
    """Whether training would multiply in bfloat16 rather than imitate it: a GPU that can, AMX, or AVX-512 BF16."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def need_bfloat16() -> None:
    """Raises `UsageError` where `has_bfloat16` is false: imitated, it is many times slower than float32."""
    if not has_bfloat16():
        raise UsageError("this processor has no bfloat16 (AVX-512 BF16 or AMX)", todo="leave --bf16 out")


@contextmanager
def recomputed(model: nn.Module, wanted: bool = True) -> Iterator[None]:
    """Inside, blocks of `model` keep only what goes into them and compute the rest again for the gradient.

    The numbers are the same; memory falls to that of one block, and a step costs one more forward (Chen et al. 2016).
    """
    blocks = [module for module in model.modules() if wanted and isinstance(module, Block)]
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]  # until the end
    try:
        yield
    finally:
        for block in blocks:
            del block.forward
