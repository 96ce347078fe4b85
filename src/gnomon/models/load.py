"""A model by its name, whatever stands behind it.

    brook                       the base model of the embedded world, in the package
    brook-assistant             what fine-tuning on good answers made of it, in the package
    hf:FOLDER                   a checkpoint in Hugging Face layout on this machine
    hf:ORG/NAME@REVISION        one of the hub, downloaded unless it is in the hub's cache
    hf:FOLDER#LABEL             a sequence classifier, whose reward is the log-odds of that label
    run:ID                      the checkpoint that a training run left; the first digits of the id do
    run:ID@ROUND                one that it kept on the way
    openai:NAME anthropic:NAME  official APIs
    http://HOST:PORT/v1#NAME    any OpenAI-compatible server
    planted:KIND?PARAM=VALUE    a model whose property is known by construction

Nothing heavy is imported before a name needs it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gnomon.core.errors import ModelError, UsageError, closest
from gnomon.models.base import Model

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from gnomon.models.local import LocalModel

__all__ = ["checkpoint_folder", "content_hash", "load", "load_checkpoint"]

_HEAD_FILE = "head.safetensors"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+|[\w-][\w.-]*")
_HUB_FILES = ["*.safetensors", "*.json", "*.model", "*.txt", "*.jinja"]
# Of checkpoints that have no safetensors.
_OLD_FILES = ["pytorch_model*.bin"]
# Folders of the package.
_SHIPPED = {"brook": "checkpoint", "brook-assistant": "assistant"}
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_HASHED = (*_WEIGHTS, "config.json", "tokenizer*.json", "*.model", "vocab.*", "merges.txt", "*.jinja")


def load(name: str, *, device: str | None = None) -> Model:
    """The model called `name`; see the module docstring.

    Args:
        name: as the user wrote it.
        device: for weights on this machine, "cpu" or "cuda"; None takes the environment's GNOMON_DEVICE, else "cpu". On
            a CPU weights are float32, on a GPU bfloat16.

    Raises:
        UsageError: the name makes no sense.
        ModelError: the model cannot be found, downloaded or read.
    """
    if name in _SHIPPED:
        return load_checkpoint(_shipped(name), name=name, device=device)
    if name.startswith(("http://", "https://")):
        return _endpoint(name)
    scheme, colon, rest = name.partition(":")
    if scheme not in {**_FOLDERS, **_OTHERS} or not colon:
        known = [*_SHIPPED, *(f"{s}:" for s in (*_FOLDERS, *_OTHERS)), "http://"]
        raise UsageError(f"no model is called {name!r}", todo=closest(scheme + colon, known))
    if not rest:
        raise UsageError(f"model name {name!r} says nothing after the colon", todo="say which model")
    if scheme in _FOLDERS:
        path, _, label = rest.partition("#")
        folder = _FOLDERS[scheme](path)
        return _classifier(folder, name, device, label) or load_checkpoint(folder, name=name, device=device)
    return _OTHERS[scheme](rest)


def load_checkpoint(folder: Path | str, *, name: str = "", device: str | None = None) -> LocalModel:
    """The model stored in a Hugging Face folder; a `head.safetensors` beside the weights becomes its scalar head.

    Args:
        folder: with config.json, weights and a tokenizer.
        name: what the model is called; by default "hf:" and the folder.
        device: as in `load`.

    Raises:
        ModelError: anything missing or damaged, or no torch.
    """
    folder = Path(folder)
    try:
        import torch

        from gnomon.models.families import load_folder, supported
        from gnomon.models.local import Adapter, LocalModel
        from gnomon.models.tokenizer import Tokenizer
        from gnomon.models.transformer import Transformer
    except ImportError as error:
        todo = "pip install 'gnomon[torch]'"
        raise ModelError(f"weights need {error.name}, which is not installed", where=name, todo=todo) from None
    where = _device(device)
    dtype = torch.bfloat16 if where.startswith("cuda") else torch.float32
    net: Transformer | Adapter
    config = _json(folder / "config.json")
    # A damaged folder of a family that we know is told by our loader, which names the file.
    if supported(config) or not config.get("architectures"):
        net = load_folder(folder, dtype=dtype, device=where).eval()
    else:
        from gnomon.models.fallback import load_foreign

        net = load_foreign(folder, dtype=dtype, device=where)
    head, read_at = _head(folder / _HEAD_FILE, where, torch.float32)
    tokenizer = Tokenizer.load(folder)
    recipe = _json(folder / "recipe.json") if (folder / "recipe.json").is_file() else {}
    name = name or f"hf:{folder}"
    revision = content_hash(folder)
    return LocalModel(net, tokenizer, name=name, revision=revision, head=head, read_at=read_at, recipe=recipe)


def _classifier(folder: Path, name: str, device: str | None, label: str) -> Model | None:
    """The sequence classifier in `folder`; None where another kind of model is."""
    try:
        from gnomon.models.classifier import classifies, load_classifier
    except ImportError:
        # Without torch nothing in a folder can be loaded; `load_checkpoint` says so.
        return None
    if classifies(folder):
        return load_classifier(folder, name=name, revision=content_hash(folder), device=_device(device), label=label)
    if label:
        raise UsageError(f"{name!r} is no classifier and has no labels", todo=f"write {name.partition('#')[0]}")
    return None


def checkpoint_folder(name: str) -> Path:
    """The folder of a model whose weights are on this machine: shipped, `hf:` or `run:`; for what changes weights.

    Raises:
        UsageError: the name is of another kind.
        ModelError: the model cannot be found or downloaded.
    """
    if name in _SHIPPED:
        return _shipped(name)
    scheme, _, rest = name.partition(":")
    if scheme not in _FOLDERS or not rest:
        raise UsageError(f"{name!r} is no model whose weights are here", todo="give brook, hf:FOLDER or run:ID")
    return _FOLDERS[scheme](rest)


def content_hash(folder: Path | str, *, weights_alone: bool = False) -> str:
    """Twelve hexadecimal digits that name the weights, config and tokenizer in `folder`, or the weights alone."""
    digest = hashlib.blake2b(digest_size=6)
    paths = sorted(
        {path for pattern in (_WEIGHTS if weights_alone else _HASHED) for path in Path(folder).glob(pattern)}
    )
    for path in paths:
        stat = path.stat()
        digest.update(path.name.encode() + _file_hash(str(path.resolve()), stat.st_mtime_ns, stat.st_size))
    return digest.hexdigest()


@cache
def _file_hash(path: str, mtime_ns: int, size: int) -> bytes:
    """Hash of a file's bytes; read again when the file has changed."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()


def _device(asked: str | None) -> str:
    """The device that was asked for, if it is there."""
    import torch

    device = asked or os.environ.get("GNOMON_DEVICE") or "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(f"device {device!r} is not available", todo="use cpu, or install torch for this GPU")
    if not device.startswith(("cpu", "cuda")):
        raise UsageError(f"no device {device!r}", todo="use cpu or cuda")
    return device


def _json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError("no model is here", where=str(path), todo="give a folder in Hugging Face layout") from None
    except ValueError as error:
        raise ModelError(f"not valid JSON ({error})", where=str(path)) from None
    return found if isinstance(found, dict) else {}


def _head(path: Path, device: str, dtype: torch.dtype) -> tuple[Callable[[Tensor], Tensor] | None, str]:
    """The scalar head stored beside the weights, a linear map or one behind a hidden layer, and where it reads."""
    if not path.is_file():
        return None, ""
    from safetensors import SafetensorError, safe_open
    from torch.nn.functional import gelu, linear

    try:
        with safe_open(str(path), framework="pt") as file:
            part = {name: file.get_tensor(name).to(device, dtype) for name in file.keys()}  # noqa: SIM118
            read_at = (file.metadata() or {}).get("read_at", "")
        out = part["out.weight"], part["out.bias"]
    except (SafetensorError, KeyError) as error:
        raise ModelError(f"not a scalar head: {str(error).splitlines()[0]}", where=str(path)) from None
    hidden = (part["hidden.weight"], part["hidden.bias"]) if "hidden.weight" in part else None

    def value(h_ND: Tensor) -> Tensor:
        h_ND = h_ND.to(dtype)
        return linear(h_ND if hidden is None else gelu(linear(h_ND, *hidden)), *out)

    return value, read_at


def _shipped(name: str) -> Path:
    folder = Path(str(resources.files("gnomon").joinpath("data", "worlds", "brook", _SHIPPED[name])))
    if not (folder / "config.json").is_file():
        raise ModelError(f"this installation has no weights of {name}", where=str(folder), todo="reinstall gnomon")
    return folder


def _hugging_face(text: str) -> Path:
    """The folder `text`, or the hub's checkpoint of that id."""
    folder = Path(text).expanduser()
    if folder.is_dir():
        return folder
    repo, _, revision = text.partition("@")
    if text.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(repo):
        raise ModelError(f"there is no folder {text!r}", todo="give a folder, or a hub id such as org/name")
    return _downloaded(repo, revision or None)


def _downloaded(repo: str, revision: str | None) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=_HUB_FILES)
        if not any(Path(found).glob("*.safetensors")):
            found = huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=_OLD_FILES)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        tried = f"no folder {repo!r} here, none in the cache {huggingface_hub.constants.HF_HUB_CACHE}"
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"cannot get {repo!r} at revision {revision or 'main'!r}: {tried}, and the hub said: {reason}",
            todo="check the id and the network, or give a folder",
        ) from None
    return Path(found)


def _run(text: str) -> Path:
    """The checkpoint of the run whose id begins with `text`, or with `@ROUND` the one that it kept after that round."""
    from gnomon.store.manifest import find_folder

    run, at, round_ = text.partition("@")
    folder = find_folder(run)
    if not at:
        found, todo = folder / "checkpoint", "only finished training runs have one"
    else:
        found = folder / "snapshots" / round_
        kept = sorted(int(path.name) for path in found.parent.glob("[0-9]*"))
        todo = f"it has {', '.join(f'@{each}' for each in kept)}" if kept else "train with --snapshots"
    if (at and not round_.isdigit()) or not (found / "config.json").is_file():
        raise ModelError(f"the run has no checkpoint{at}{round_}", where=str(folder), todo=todo)
    return found


def _endpoint(name: str) -> Model:
    from gnomon.models.endpoint import Endpoint

    url, _, model = name.partition("#")
    if not model:
        raise UsageError(f"{name!r} does not say which model", todo=f"write {url}#NAME")
    return Endpoint.named(name)


def _openai(model: str) -> Model:
    from gnomon.models.endpoint import Endpoint

    return Endpoint.named(f"openai:{model}")


def _anthropic(model: str) -> Model:
    from gnomon.models.anthropic import Anthropic

    return Anthropic.named(f"anthropic:{model}")


def _planted(text: str) -> Model:
    from gnomon.models.planted import make

    kind, _, query = text.partition("?")
    try:
        params = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise UsageError(f"{query!r} is no list of parameters", where=f"planted:{text}", todo="write a=1&b=2") from None
    return make(kind, params)


_FOLDERS: dict[str, Callable[[str], Path]] = {"hf": _hugging_face, "run": _run}
_OTHERS: dict[str, Callable[[str], Model]] = {"openai": _openai, "anthropic": _anthropic, "planted": _planted}
