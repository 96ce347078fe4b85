"""Several processes train one model: who they are, which part of a step is whose, and how the parts become one.

    torchrun --nproc-per-node 2 -m gnomon train sft

Each process holds a shard of every weight and of the optimiser's moments (FSDP2, a block at a time) and sees its own
part of every batch; the sum over the parts is the step that one process alone would have taken, to rounding. The first
process writes; the others write nothing that stays.
"""

from __future__ import annotations

import copy
import datetime
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gnomon.models.transformer import Block

__all__ = [
    "Ranks",
    "Sharded",
    "alone",
    "from_first",
    "gathered",
    "joined",
    "like",
    "ranks",
    "split",
    "summed",
    "together",
    "whole",
]

T = TypeVar("T")

# A process that measures alone keeps the others waiting; one that dies is noticed by torchrun, not by a timeout.
_PATIENCE = datetime.timedelta(days=1)
_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


class Ranks(NamedTuple):
    """This process among those that train together.

    Attributes:
        rank: its number, from 0; number 0 writes.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1


def ranks() -> Ranks:
    """Who this process is: number 0 of 1 outside of `joined`, and inside of `alone`."""
    if _ALONE.get() or not dist.is_initialized():
        return Ranks()
    return Ranks(dist.get_rank(), dist.get_world_size())


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process shares nothing with the others: what it trains is its own."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def together() -> bool:
    """Whether torchrun started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ


@contextmanager
def joined() -> Iterator[Ranks]:
    """Inside, processes that torchrun started together are one group: by nccl where there are GPUs, else by gloo."""
    if not together() or dist.is_initialized():
        yield ranks()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    try:
        yield ranks()
    finally:
        dist.destroy_process_group()


def split(things: Sequence[T], accumulate: int = 1) -> list[list[T]]:
    """This process's parts of the things of one step, to be forwarded one after the other.

    Every process gets as many parts, because all take part in every exchange: `accumulate` of them, fewer where there
    are not so many things, and a single empty one where there is nothing for this process.

    >>> split("abcde", 2)
    [['a', 'b'], ['c', 'd', 'e']]
    """
    rank, size = ranks()
    mine = list(things[rank::size])
    rounds = max(1, min(accumulate, len(things) // size))
    edges = [len(mine) * place // rounds for place in range(rounds + 1)]
    return [mine[begin:end] for begin, end in pairwise(edges)]


def gathered(mine: Sequence[T]) -> list[T]:
    """The things of all processes in the order that `split` divided them; every process has to ask.

    Args:
        mine: those of this process, `split(things)[0]`; any that can be pickled.
    """
    me = ranks()
    if me.size == 1:
        return list(mine)
    parts: list[list[T]] = [[] for _ in range(me.size)]
    dist.all_gather_object(parts, list(mine))
    return [parts[place % me.size][place // me.size] for place in range(sum(map(len, parts)))]


def summed(values: Mapping[str, float]) -> dict[str, float]:
    """Sums over all processes of numbers that have the same names in each."""
    if ranks().size == 1:
        return dict(values)
    sums = torch.tensor(list(values.values()), dtype=torch.float64, device=_device())
    dist.all_reduce(sums)
    return dict(zip(values, sums.tolist(), strict=True))


def from_first(value: T) -> T:
    """The first process's `value`, in every process."""
    if ranks().size == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def whole(value: Tensor) -> Tensor:
    """A tensor put together from the shards of all processes, who all have to ask; others as they are."""
    return cast("Any", value).full_tensor() if hasattr(value, "full_tensor") else value


def like(value: Tensor, other: Tensor) -> Tensor:
    """The whole tensor `value`, the same in every process, cut as `other` is; numbers and uncut tensors as they are."""
    if not hasattr(other, "full_tensor") or value.shape != other.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    cut = cast(DTensor, other)
    return distribute_tensor(value.to(cut.device), cut.device_mesh, cut.placements, src_data_rank=None)


class Sharded(nn.Module):
    """A copy of a model cut over all processes, whose forward is a step function of the whole.

    Attributes:
        model: the copy, its parameters sharded.
    """

    def __init__(self, step: Callable[[nn.Module, Any], Any], model: nn.Module, *, bf16: bool = False) -> None:
        """Cuts every block of the model, and then the rest.

        Args:
            step: called with the model and a batch, while the weights outside of blocks are whole.
            model: the same in every process.
            bf16: forwards and backwards in bfloat16; gradients are summed, and weights kept, in float32.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        super().__init__()
        self.step, self.model = step, copy.deepcopy(model).to(_device())
        _set_apart(self.model)
        mesh = init_device_mesh(_device().type, (ranks().size,))
        low = torch.bfloat16 if bf16 else None
        policy = MixedPrecisionPolicy(param_dtype=low, reduce_dtype=torch.float32 if bf16 else None)
        for block in [module for module in self.model.modules() if isinstance(module, Block)]:
            fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(self, mesh=mesh, mp_policy=policy)

    def forward(self, batch: Any) -> Any:
        """What the step function says of `batch`, a NamedTuple of tensors, numbers and such NamedTuples."""
        return self.step(self.model, _moved(batch, _device()))

    @torch.no_grad()
    def give_back(self, model: nn.Module) -> None:
        """Copies the weights as they are now into `model`, which this was made from; every process has to ask."""
        # What two modules of the one share, each may have a cut of in the other.
        both = (each.named_parameters(remove_duplicate=False) for each in (self.model, model))
        for (_, mine), (_, given) in zip(*both, strict=True):
            given.copy_(whole(mine))


def _set_apart(model: nn.Module) -> None:
    """Gives every module frozen parameters of its own: blocks are cut one by one, and cannot share what is cut."""
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in seen and not parameter.requires_grad:
                setattr(module, name, nn.Parameter(parameter.detach().clone(), requires_grad=False))
            seen.add(id(parameter))


def _moved(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    return type(batch)(*(_moved(value, device) for value in batch)) if isinstance(batch, tuple) else batch


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
