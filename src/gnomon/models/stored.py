"""The tensors of a Hugging Face folder: safetensors or, of older checkpoints, `pytorch_model.bin`; one file or shards.

A `.bin` is a pickle. It is read by a reader that makes tensors and plain containers alone, so a file that would run
something else is refused. Where a folder has both, safetensors are read.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gnomon.core.errors import ModelError
from gnomon.models.transformer_config import TransformerConfig

__all__ = ["INDEX", "WEIGHTS", "Stored", "read_json"]

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
_OLD = "pytorch_model.bin"
# Buffers that older checkpoints store beside the weights, and heads tied to the embedding.
_NOT_WEIGHTS = re.compile(r"(attn|attention)\.(masked_)?bias$|rotary_emb\.inv_freq$")
_HEADS = ("lm_head.weight", "embed_out.weight")
_POINTER = b"version https://git-lfs"


class Stored:
    """The tensors of a folder, read one at a time.

    Raises:
        ModelError: no file of weights, or one that is damaged or holds more than tensors; the file is named.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._opened: dict[Path, _Opened] = {}
        self._used: set[str] = set()
        there = [name for name in (INDEX, WEIGHTS, f"{_OLD}.index.json", _OLD) if (folder / name).exists()]
        first = folder / (there[0] if there else WEIGHTS)
        if first.suffix == ".json":
            self.files = {name: folder / file for name, file in read_json(first).get("weight_map", {}).items()}
        else:
            self.files = dict.fromkeys(self._open(first).names, first)

    def where(self, name: str) -> str:
        """The file that holds `name`."""
        return str(self.files.get(self._found(name) or "", self.folder))

    def read(self, name: str) -> Tensor:
        """The tensor stored as `name`, with or without the prefix that base models lack."""
        found = self._found(name)
        if found is None:
            raise ModelError(f"tensor {name!r} is missing", where=str(self.folder), todo="is the download complete?")
        path = self.files[found]
        self._used.add(found)
        try:
            return self._open(path).read(found)
        except (SafetensorError, KeyError) as error:
            raise ModelError(f"tensor {found!r} cannot be read ({error})", where=str(path)) from None

    def refuse_unknown(self, config: TransformerConfig) -> None:
        """Raises unless every stored tensor was used or is known not to be a weight."""
        tied = _HEADS if config.tie_embeddings else ()
        unknown = sorted(n for n in self.files.keys() - self._used if n not in tied and not _NOT_WEIGHTS.search(n))
        if unknown:
            shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            raise ModelError(f"tensors that a {config.family} model does not have: {shown}", where=str(self.folder))

    def _found(self, name: str) -> str | None:
        bare = name.partition(".")[2]
        return name if name in self.files else bare if bare in self.files else None

    def _open(self, path: Path) -> _Opened:
        if path not in self._opened:
            if not path.exists():
                todo = "weights must be safetensors or pytorch_model.bin, and every shard there"
                raise ModelError("the file is missing", where=str(path), todo=todo)
            self._opened[path] = _pickled(path) if path.suffix == ".bin" else _safe(path)
        return self._opened[path]


class _Opened(NamedTuple):
    """A file of tensors: their names, and what reads one."""

    names: Collection[str]
    read: Callable[[str], Tensor]


def _safe(path: Path) -> _Opened:
    try:
        file: Any = safe_open(str(path), framework="pt")
    except SafetensorError as error:
        raise _damaged(path, error) from None
    return _Opened(file.keys(), file.get_tensor)


def _pickled(path: Path) -> _Opened:
    # A format older than zip files cannot be read in pieces.
    mapped = zipfile.is_zipfile(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        raise _damaged(path, "it holds more than tensors, or something else altogether") from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise _damaged(path, error) from None
    if not isinstance(found, dict) or not all(isinstance(each, Tensor) for each in found.values()):
        raise _damaged(path, "it holds more than tensors by name")
    return _Opened(found.keys(), found.__getitem__)


def _damaged(path: Path, error: Exception | str) -> ModelError:
    with open(path, "rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            return ModelError("is a Git LFS pointer, not the weights", where=str(path), todo="run git lfs pull")
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    todo = "download it again" + ", or take the weights as safetensors" * (path.suffix == ".bin")
    return ModelError(f"damaged or cut short ({reason})", where=str(path), todo=todo)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a model's folder; ModelError where there is none."""
    if not path.parent.is_dir():
        raise ModelError("there is no such folder", where=str(path.parent))
    if not path.is_file():
        raise ModelError("the file is missing", where=str(path), todo="a model folder has config.json and weights")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"not valid JSON ({error})", where=str(path)) from None
    if not isinstance(found, dict):
        raise ModelError("not a JSON object", where=str(path))
    return found
