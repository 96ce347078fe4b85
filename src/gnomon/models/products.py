"""Products with weights, by the faster of the two libraries that torch has for them on a processor.

In float32 torch asks MKL, which leaves half of the width of some processors unused; oneDNN, which torch asks for
bfloat16 alone, does not. Measured on an AMD EPYC with AVX-512, a core at 105 billion operations a second with MKL is at
230 with oneDNN; both sum in float32, and their results differ by rounding. oneDNN takes GELU in the same pass. Where a
gradient is wanted, and for products so small that calling it costs more than it saves, torch does what it always does.

Shapes: N places ("…" any axes before the last), D inputs, E outputs.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Gelu", "Map", "product"]

Gelu = Literal["none", "tanh"]
"""How GELU is computed: by the error function or by a hyperbolic tangent."""

# Multiplications from which oneDNN is the faster: measured, both take as long at a fourth of it.
_LEAST = 1 << 22


def product(x_ND: Tensor, weight_ED: Tensor, bias_E: Tensor | None = None, gelu: Gelu | None = None) -> Tensor:
    """`x @ weight.T + bias`, […, E]; through GELU where asked."""
    if _pays(x_ND, weight_ED, bias_E):
        return _by_onednn(x_ND, weight_ED, bias_E, gelu)
    found = F.linear(x_ND, weight_ED, bias_E)
    return found if gelu is None else F.gelu(found, approximate=gelu)


class Map(nn.Linear):
    """A linear map whose product is taken by `product`."""

    def forward(self, x_ND: Tensor, gelu: Gelu | None = None) -> Tensor:
        """What the map makes of `x_ND`, […, E]; through GELU where asked."""
        return product(x_ND, self.weight, self.bias, gelu)


def _by_onednn(x_ND: Tensor, weight_ED: Tensor, bias_E: Tensor | None, gelu: Gelu | None) -> Tensor:
    then, how = ("none", "") if gelu is None else ("gelu", gelu)
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x_ND, weight_ED, bias_E, then, [], how))


def _pays(x_ND: Tensor, weight_ED: Tensor, bias_E: Tensor | None) -> bool:
    """Whether oneDNN can take the product, and is the faster."""
    return (
        x_ND.numel() * len(weight_ED) >= _LEAST
        # Of columns that lie apart oneDNN takes a hundred times as long.
        and weight_ED.is_contiguous()
        and x_ND.dtype == weight_ED.dtype
        and x_ND.dtype in (torch.float32, torch.bfloat16)
        and x_ND.device.type == weight_ED.device.type == "cpu"
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch does not type it
        and not torch.is_autocast_enabled("cpu")
        and not _learns(x_ND, weight_ED, bias_E)
    )


def _learns(*of: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in of)
