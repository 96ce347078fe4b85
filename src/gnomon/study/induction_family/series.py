"""Models kept on the way of a training, by their names: in order, all there, no two the same.

    run:ID@*                         every snapshot of a run
    hf:FOLDER/step*                  folders of this machine
    hf:ORG/NAME@step*                revisions of the hub
    hf:ORG/NAME@step1,hf:ORG/NAME@step2

The last number in a name is the step; what stands before it is the training. Published families have been found to
serve the last weights under earlier names, so weights that are the same at two steps are refused.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from gnomon.core.errors import DataError, ModelError, UsageError
from gnomon.models.load import checkpoint_folder, content_hash
from gnomon.models.tokenizer import Tokenizer
from gnomon.study._trained import Trained
from gnomon.train.toy import Toy, snapshot_steps, warmup_steps

__all__ = ["Series", "Snapshot", "check", "of_names", "of_trainings"]

_STEP = re.compile(r"(\d+)\D*$")
_LEAST = 2


class Snapshot(NamedTuple):
    """A model after so many steps; its weights' hash, "" where the model is missing."""

    step: int
    model: str
    revision: str = ""


class Series(NamedTuple):
    """The snapshots of one training, by rising step.

    Attributes:
        name: no other series is called so.
        kind: what trainings that differ in their seed alone have in common.
        tokens_a_step: 1 where nobody knows, so that steps are counted.
        warmup: steps over which the learning rate rises; 0 where nobody knows.
    """

    name: str
    kind: str
    snapshots: tuple[Snapshot, ...]
    tokens_a_step: int
    warmup: int = 0

    @property
    def missing(self) -> list[Snapshot]:
        """Models that were named and are not there."""
        return [each for each in self.snapshots if not each.revision]


def of_trainings(trained: Sequence[Trained]) -> list[Series]:
    """The series that `gnomon train toy` left."""
    found = []
    for each in trained:
        cfg: Toy = each.config
        kind = f"{cfg.layers} layer{'s' * (cfg.layers > 1)}{', MLP' * cfg.mlp}{', smeared keys' * cfg.smear_keys}"
        snapshots = tuple(Snapshot(step, f"{each.model}@{step}") for step in snapshot_steps(cfg))
        name = f"{kind}, seed {cfg.seed}"
        found.append(Series(name, kind, snapshots, cfg.batch * cfg.context, warmup_steps(cfg)))
    return found


def of_names(names: Sequence[str], tokens_a_step: int) -> list[Series]:
    """The series that models of these names are of; see the module docstring.

    Raises:
        UsageError: a name without a step, a pattern that nothing fits, a step named twice, or a training of one model.
    """
    steps: dict[str, dict[int, str]] = {}
    for name in (each for given in names for each in _expanded(given)):
        at = _STEP.search(name)
        # The digits of a run's id are no step.
        if at is None or (name.startswith("run:") and "@" not in name):
            raise UsageError(f"{name!r} does not say its step", where="--model", todo="name models such as run:ID@400")
        of = steps.setdefault(re.sub(r"[-_/@]*(step)?[-_]*$", "", name[: at.start()]), {})
        if int(at[1]) in of:
            raise UsageError(f"step {at[1]} is named twice: {of[int(at[1])]} and {name}", where="--model")
        of[int(at[1])] = name
    for name, found in steps.items():
        if len(found) < _LEAST:
            raise UsageError(f"{name} has one snapshot", where="--model", todo="name two or more, or run:ID@*")
    return [
        Series(name, name, tuple(Snapshot(step, found[step]) for step in sorted(found)), tokens_a_step or 1)
        for name, found in steps.items()
    ]


def check(series: Sequence[Series]) -> list[Series]:
    """The series with the hashes of their weights; models that cannot be found stay as gaps.

    Raises:
        DataError: equal weights at two steps, or tokenizers that differ.
        ModelError: of a series nothing can be found.
    """
    found: list[Series] = []
    words: dict[frozenset[tuple[str, int]], str] = {}
    for each in series:
        snapshots, error = [], None
        steps: dict[str, list[int]] = {}
        for snapshot in each.snapshots:
            try:
                folder = checkpoint_folder(snapshot.model)
            except ModelError as missing:
                snapshots.append(snapshot)
                error = missing
                continue
            snapshots.append(snapshot._replace(revision=content_hash(folder)))
            # Copies may differ in the config, which names the version that wrote it.
            steps.setdefault(content_hash(folder, weights_alone=True), []).append(snapshot.step)
            words.setdefault(frozenset(Tokenizer.load(folder).backend.get_vocab().items()), snapshot.model)
        checked = each._replace(snapshots=tuple(snapshots))
        if error is not None and len(checked.missing) == len(snapshots):
            raise error
        _refuse_copies(each.name, steps)
        found.append(checked)
    if len(words) > 1:
        first, second, *_ = words.values()
        what = f"{first} and {second} have different tokenizers, and no loss of one compares with one of the other"
        raise DataError(what, where="--model", todo="compare models of one tokenizer")
    return found


def _refuse_copies(series: str, steps: Mapping[str, Sequence[int]]) -> None:
    """Raises where steps, by the hash of their weights, share it."""
    same = ["steps " + ", ".join(map(str, each)) for each in steps.values() if len(each) > 1]
    if same:
        what = f"snapshots hold the same weights: {'; '.join(same)}"
        raise DataError(what, where=series, todo="leave out the steps whose weights are not theirs")


def _expanded(name: str) -> Iterator[str]:
    """The names that a pattern stands for; a name without one stands for itself."""
    if not re.search(r"[*?\[]", name):
        yield name
        return
    scheme, _, rest = name.partition(":")
    place, at, pattern = rest.partition("@")
    if scheme == "run" and at:
        from gnomon.store.manifest import find_folder

        found = [f"run:{place}@{path.name}" for path in (find_folder(place) / "snapshots").glob("[0-9]*")]
        found = [each for each in found if fnmatchcase(each.rpartition("@")[2], pattern)]
    elif scheme == "hf" and at:
        found = [f"hf:{place}@{each}" for each in _revisions(place) if fnmatchcase(each, pattern)]
    elif scheme == "hf":
        found = [f"hf:{path}" for path in glob.glob(str(Path(rest).expanduser())) if Path(path).is_dir()]
    else:
        raise UsageError(f"{name!r} is no pattern of models", where="--model", todo="write run:ID@* or hf:FOLDER/step*")
    if not found:
        raise UsageError(f"nothing fits {name!r}", where="--model", todo="train with snapshots, or check the folder")
    yield from found


def _revisions(repo: str) -> list[str]:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        refs = huggingface_hub.list_repo_refs(repo)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"cannot list the revisions of {repo!r}: {reason}", todo="name them one by one") from None
    return [ref.name for ref in (*refs.branches, *refs.tags)]
