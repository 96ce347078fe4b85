"""Where data is found: a path, the folder named by GNOMON_DATA, the Hugging Face cache, the hub; in this order.

Made-up data never stands in for real data: what cannot be found is an error that lists the places looked at.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from gnomon.core.errors import DataError, UsageError, closest
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.base import MAX_CHOICES, Source, fault, shuffled
from gnomon.data.formats import read_bytes, read_items
from gnomon.store.manifest import find_folder

__all__ = ["CATALOG", "DataSet", "files_hash", "find_file", "open_source"]

_TIMEOUT_S = 60
# What a run left whose work it was to make data.
_LEFT_BY_RUNS = ("prompts.jsonl", "feedback.jsonl")


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A published data set: its file below GNOMON_DATA, and its place on the hub."""

    name: str
    local: str
    hub: str
    hub_file: str
    licence: str


CATALOG = {
    d.name: d
    for d in (
        DataSet(
            name="truthfulqa",
            local="truthfulqa/mc_task.json.gz",
            hub="truthfulqa/truthful_qa",
            hub_file="multiple_choice/validation-00000-of-00001.parquet",
            licence="Apache-2.0",
        ),
        DataSet(
            name="arc-easy",
            local="arc/ARC-Easy.test.jsonl.gz",
            hub="allenai/ai2_arc",
            hub_file="ARC-Easy/test-00000-of-00001.parquet",
            licence="CC-BY-SA-4.0",
        ),
        DataSet(
            name="arc-challenge",
            local="arc/ARC-Challenge.test.jsonl.gz",
            hub="allenai/ai2_arc",
            hub_file="ARC-Challenge/test-00000-of-00001.parquet",
            licence="CC-BY-SA-4.0",
        ),
        DataSet(
            name="openbookqa",
            local="openbookqa/openbookqa.test.jsonl.gz",
            hub="allenai/openbookqa",
            hub_file="main/test-00000-of-00001.parquet",
            licence="Apache-2.0",
        ),
        DataSet(
            name="mmlu",
            local="mmlu/test.csv",
            hub="cais/mmlu",
            hub_file="all/test-00000-of-00001.parquet",
            licence="MIT",
        ),
        DataSet(
            name="logiqa", local="logiqa/Test.txt.gz", hub="lucasmccabe/logiqa", hub_file="", licence="none stated"
        ),
        DataSet(name="aqua", local="aqua/test.json.gz", hub="deepmind/aqua_rat", hub_file="", licence="Apache-2.0"),
        DataSet(
            name="triviaqa",
            local="triviaqa/validation.jsonl",
            hub="mandarjoshi/trivia_qa",
            hub_file="rc.nocontext/validation-00000-of-00001.parquet",
            licence="Apache-2.0",
        ),
        DataSet(
            name="gsm8k",
            local="gsm8k/test.jsonl.gz",
            hub="openai/gsm8k",
            hub_file="main/test-00000-of-00001.parquet",
            licence="MIT",
        ),
        DataSet(
            name="lambada",
            local="lambada/test.jsonl",
            hub="EleutherAI/lambada_openai",
            hub_file="data/lambada_test_en.jsonl",
            licence="MIT",
        ),
        DataSet(
            name="hellaswag",
            local="hellaswag/validation.jsonl",
            hub="Rowan/hellaswag",
            hub_file="data/validation-00000-of-00001.parquet",
            licence="MIT",
        ),
        DataSet(
            name="real-toxicity-prompts",
            local="real-toxicity-prompts/prompts.jsonl",
            hub="allenai/real-toxicity-prompts",
            hub_file="prompts.jsonl",
            licence="Apache-2.0",
        ),
        # Worked examples come from here, so that no question is shown that is asked.
        DataSet(
            name="arc-easy-train",
            local="arc/ARC-Easy.train.jsonl.gz",
            hub="allenai/ai2_arc",
            hub_file="ARC-Easy/train-00000-of-00001.parquet",
            licence="CC-BY-SA-4.0",
        ),
        DataSet(
            name="arc-challenge-train",
            local="arc/ARC-Challenge.train.jsonl.gz",
            hub="allenai/ai2_arc",
            hub_file="ARC-Challenge/train-00000-of-00001.parquet",
            licence="CC-BY-SA-4.0",
        ),
        DataSet(
            name="openbookqa-train",
            local="openbookqa/openbookqa.train.jsonl.gz",
            hub="allenai/openbookqa",
            hub_file="main/train-00000-of-00001.parquet",
            licence="Apache-2.0",
        ),
        DataSet(
            name="mmlu-dev",
            local="mmlu/dev.csv",
            hub="cais/mmlu",
            hub_file="all/dev-00000-of-00001.parquet",
            licence="MIT",
        ),
        DataSet(
            name="hellaswag-train",
            local="hellaswag/train.jsonl",
            hub="Rowan/hellaswag",
            hub_file="data/train-00000-of-00001.parquet",
            licence="MIT",
        ),
        DataSet(
            name="triviaqa-train",
            local="triviaqa/train.jsonl",
            hub="mandarjoshi/trivia_qa",
            hub_file="rc.nocontext/train-00000-of-00001.parquet",
            licence="Apache-2.0",
        ),
        DataSet(
            name="gsm8k-train",
            local="gsm8k/train.jsonl.gz",
            hub="openai/gsm8k",
            hub_file="main/train-00000-of-00001.parquet",
            licence="MIT",
        ),
        *(
            DataSet(
                name=f"hhh-{category}",
                local=f"hhh/{category}/task.json",
                hub="HuggingFaceH4/hhh_alignment",
                hub_file=f"data/{category}/task.json",
                licence="Apache-2.0",
            )
            for category in ("helpful", "honest", "harmless", "other")
        ),
    )
}


def open_source(
    spec: str, seed: Seed, worlds: Callable[[str, Seed], Source] | None = None, *, most_choices: int = MAX_CHOICES
) -> Source:
    """The items that `spec` names: a file, its URL, a data set of the catalogue, or `org/name[:FILE]` on the hub.

    Options are put in an order drawn from `seed` (some published files put the right one first).

    Args:
        worlds: opens specs that name an embedded world; None where an evaluation takes real data only.
        most_choices: options kept of an item; more than ten only where no letters are shown.

    Raises:
        DataError: not found, unreadable, or too many rows refused.
        UsageError: `spec` is neither a path nor a known name.
    """
    path = Path(spec).expanduser()
    if path.exists() or spec.startswith(("/", ".", "~")):
        return _from_file(path, path.name.split(".")[0], str(path), seed, most_choices)
    if spec in CATALOG:
        known = CATALOG[spec]
        return _from_file(_located(known), spec, f"{known.hub} ({known.local})", seed, most_choices, known.licence)
    if spec.startswith(("https://", "http://")):
        return _from_url(spec, seed, most_choices)
    if "/" in spec:
        repo, _, file = spec.partition(":")
        if not file:
            raise UsageError(f"{spec!r} names no file", todo="write org/name:path/in/the/repo.parquet")
        return _from_file(_from_hub(repo, file, [spec]), repo, spec, seed, most_choices)
    if worlds:
        return worlds(spec, seed)
    raise UsageError(f"no data set is called {spec!r}", todo=closest(spec, CATALOG))


def find_file(spec: str) -> Path:
    """The file that `spec` names: a path here, a path below GNOMON_DATA, `run:ID/FILE`, or `org/name:FILE` of the hub.

    `run:ID` alone is the data that the run left, where a model wrote prompts or planted workers judged answers.

    Raises:
        DataError: none of them, or the hub does not give it.
        UsageError: there is no such run, or neither does the name say nor the run leave which file is meant.
    """
    path = Path(spec).expanduser()
    if path.exists() or spec.startswith(("/", ".", "~")):
        return path
    if spec.startswith("run:"):
        return _of_run(spec)
    folder = os.environ.get("GNOMON_DATA")
    below = Path(folder or ".") / spec
    if folder and below.is_file():
        return below
    repo, _, file = spec.partition(":")
    if "/" in repo and file:
        return _from_hub(repo, file, [spec])
    looked = f"{spec} here and below GNOMON_DATA ({folder or 'not set'})"
    raise DataError(f"no such file (looked for {looked})", where=spec, todo="give a file, or org/name:FILE of the hub")


def files_hash(names: Iterable[str]) -> str:
    """SHA-256 of each file's content, as `find_file` finds it."""
    return " ".join(hashlib.sha256(read_bytes(find_file(name))).hexdigest() for name in names)


def _of_run(spec: str) -> Path:
    run, _, name = spec.removeprefix("run:").partition("/")
    folder = find_folder(run)
    left = [each for each in _LEFT_BY_RUNS if (folder / each).is_file()]
    if not name and len(left) != 1:
        has = f"it left {', '.join(left)}" if left else "it left no data of its own"
        raise UsageError(f"{spec!r} names no file of the run, and {has}", todo=f"write {spec}/comparisons.jsonl")
    return folder / (name or left[0])


def _located(known: DataSet) -> Path:
    looked = []
    folder = os.environ.get("GNOMON_DATA")
    if folder:
        path = Path(folder) / known.local
        if path.is_file():
            return path
        looked.append(str(path))
    else:
        looked.append("GNOMON_DATA (not set)")
    if not known.hub_file:
        raise DataError(f"data set {known.name!r} was not found in {looked[0]}", todo=f"put {known.local} there")
    return _from_hub(known.hub, known.hub_file, looked)


def _from_hub(repo: str, file: str, looked: list[str]) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise DataError(
            f"{repo} is not on this machine (looked at {', '.join(looked)})",
            todo="pip install 'gnomon[torch]' to fetch it",
        ) from None
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        return Path(hf_hub_download(repo, file, repo_type="dataset"))
    except Exception as e:
        raise DataError(
            f"{repo}/{file} cannot be fetched ({type(e).__name__})",
            where=f"looked at {', '.join(looked)}, the cache and the hub",
            todo="set GNOMON_DATA to a folder that holds it, give a path, or use brook",
        ) from None


def _from_url(url: str, seed: Seed, most_choices: int) -> Source:
    """The items of a file that is fetched anew each time; its content is part of a run's identity."""
    name = Path(urlsplit(url).path).name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (name or "data")
        try:
            with urlopen(url, timeout=_TIMEOUT_S) as answer:
                path.write_bytes(answer.read())
        except (OSError, ValueError) as error:
            raise DataError(f"cannot be fetched ({error})", where=url, todo="fetch it and give its path") from None
        return _from_file(path, name.split(".")[0], url, seed, most_choices)


def _from_file(path: Path, name: str, where: str, seed: Seed, most_choices: int, licence: str = "") -> Source:
    """The items of a file; a licence is known of published sets only."""
    good, refused = [], []
    for item in read_items(path):
        wrong = fault(item)
        if wrong:
            refused.append(wrong)
        else:
            good.append(_named(shuffled(item, seed, most_choices), name))
    return Source(
        name=name,
        where=where,
        licence=licence or "unknown",
        dialect="plain",
        items=tuple(good),
        refused=tuple(refused),
        published=bool(licence),
    )


def _named(item: Item, name: str) -> Item:
    return replace(item, source=name)
