"""A run as a log that Inspect opens: `inspect view`, and `inspect_ai.log.read_eval_log` in Python.

An `.eval` file is a zip archive of JSON, here of log version 2: `_journal/start.json`, one `samples/ID_epoch_1.json` a
row, `summaries.json` for lists, `header.json`. Rows become samples, their scores Inspect scores, estimates the
metrics of those scores. It is written without inspect-ai, row by row, so that its size does not matter.

    to_inspect(run.manifest, run.each_row(), Path("run.eval"), items=items, estimates=estimates)
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from gnomon.core.errors import UsageError
from gnomon.core.record import Item, Row
from gnomon.store.files import replacing
from gnomon.store.manifest import Manifest

__all__ = ["LOG_VERSION", "to_inspect"]

LOG_VERSION = 2

_STATUS = {"done": "success", "failed": "error", "stopped": "cancelled", "running": "started"}
# What Inspect itself keeps of long values in its summaries.
_LONG_TEXT, _LONG_VALUE = 5120, 1024
_SHORTENED = "Key removed from summary (> 1k)"
_SECRETS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GNOMON_API_KEY", "HF_TOKEN")
_LOGIN = re.compile(r"(https?://)[^/\s@\"\\]+@")
_ROLES = ("system", "user", "assistant")


def to_inspect(
    manifest: Manifest,
    rows: Iterable[Row],
    path: Path,
    *,
    items: Mapping[str, Item] | None = None,
    estimates: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Writes the log at `path`, whole or not at all; the same run gives the same bytes.

    Args:
        rows: in the order of their items; one is in memory at a time.
        items: item by row key; gives samples their question, options and right answer.
        estimates: as a report's JSON holds them.

    Raises:
        UsageError: the run is no evaluation.
        RunError: the disk is full; an older file at `path` stands.
    """
    if manifest.verb != "assay":
        todo = "export the run of a `gnomon assay`"
        raise UsageError(f"an Inspect log holds an evaluation; this run is of {manifest.verb}", todo=todo)
    with replacing(path) as file, ZipFile(file, "w", ZIP_DEFLATED, compresslevel=5) as archive:
        writer = _Writer(archive, manifest)
        start = {"version": LOG_VERSION, "eval": _spec(manifest, ()), "plan": _PLAN}
        writer.put("_journal/start.json", start)
        with tempfile.TemporaryFile() as summaries:
            for row in rows:
                writer.sample(row, (items or {}).get(row.key), summaries)
            writer.summaries(summaries)
        writer.put("header.json", _header(manifest, writer, estimates))


class _Writer:
    """Puts members into the archive and counts what the header says of them."""

    def __init__(self, archive: ZipFile, manifest: Manifest) -> None:
        self.archive = archive
        self.model, self.started = _subject(manifest), manifest.started
        self.keys: list[str] = []
        self.errors = 0
        self.scored: Counter[str] = Counter()
        # A fixed time in the archive makes its bytes the run's alone.
        self.time = datetime.fromisoformat(manifest.started).timetuple()[:6]
        self.secrets = [os.environ[name] for name in _SECRETS if os.environ.get(name)]

    def put(self, name: str, value: object) -> None:
        self.archive.writestr(self._member(name), self._encoded(value), compresslevel=5)

    def sample(self, row: Row, item: Item | None, summaries: IO[bytes]) -> None:
        sample = _sample(row, item, self.model)
        sample["events"] = _events(sample, self.started)
        self.put(f"samples/{row.key}_epoch_1.json", sample)
        summaries.write((b",\n" if self.keys else b"[") + self._encoded(_summary(sample)))
        self.keys.append(row.key)
        self.errors += row.error is not None
        self.scored.update((sample["scores"] or {}).keys())

    def summaries(self, spooled: IO[bytes]) -> None:
        """Copies the list that `sample` spooled; an archive takes one member at a time."""
        spooled.write(b"]" if self.keys else b"[]")
        spooled.seek(0)
        with self.archive.open(self._member("summaries.json"), "w", force_zip64=True) as member:
            shutil.copyfileobj(spooled, member)

    def _member(self, name: str) -> ZipInfo:
        info = ZipInfo(name, self.time)
        info.compress_type = ZIP_DEFLATED
        return info

    def _encoded(self, value: object) -> bytes:
        text = _LOGIN.sub(r"\1", json.dumps(value, ensure_ascii=False, allow_nan=False))
        for secret in self.secrets:
            text = text.replace(secret, "[removed]")
        # Sampled bytes can leave half a character, which Inspect's reader refuses.
        return text.encode("utf-8", "replace")


_PLAN: Mapping[str, Any] = {"name": "plan", "steps": [], "finish": None, "config": {}}


def _header(manifest: Manifest, writer: _Writer, estimates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The log without its samples; the order of the keys is part of the format."""
    count = len(writer.keys)
    return {
        "version": LOG_VERSION,
        "status": _STATUS[manifest.status],
        "eval": _spec(manifest, writer.keys),
        "plan": _PLAN,
        "results": {
            "total_samples": count,
            "completed_samples": count - writer.errors,
            "scores": _scores(estimates, writer),
            "metadata": {"estimates": list(estimates)},
        },
        "stats": {"started_at": manifest.started, "completed_at": manifest.finished, "model_usage": {}},
        "error": _error(manifest.error) if manifest.status == "failed" else None,
    }


def _spec(manifest: Manifest, keys: Sequence[str]) -> dict[str, Any]:
    """What was asked of which model."""
    identity = manifest.identity
    cast: Mapping[str, str] = identity.get("cast", {})
    others = {role: {"model": name} for role, name in cast.items() if role != "subject" and name != cast["subject"]}
    return {
        "eval_id": manifest.id,
        "run_id": manifest.id,
        "created": manifest.started,
        "task": manifest.name,
        "task_id": f"{manifest.verb}-{manifest.name}-{manifest.id}",
        "task_version": 0,
        "task_args": identity.get("config", {}),
        "dataset": {"name": manifest.name, "samples": len(keys) or None, "sample_ids": list(keys), "shuffled": False},
        "model": _subject(manifest),
        "model_roles": others or None,
        "config": {"epochs": 1},
        "packages": dict(manifest.versions),
        "metadata": {"seed": identity.get("seed"), "items": identity.get("items"), "notes": manifest.notes},
    }


def _subject(manifest: Manifest) -> str:
    return str(manifest.identity.get("cast", {}).get("subject", ""))


def _scores(estimates: Sequence[Mapping[str, Any]], writer: _Writer) -> list[dict[str, Any]]:
    """A score a metric, those that samples carry first: Inspect View opens with the first."""
    found: dict[str, dict[str, Any]] = {name: {} for name in writer.scored}
    for e in estimates:
        if e["value"] is None:
            continue
        metrics = found.setdefault(str(e["metric"]), {})
        label = str(e.get("group") or "value")
        label = f"{label} ({e.get('readout', '')})" if label in metrics else label
        about = {k: v for k, v in e.items() if k not in ("metric", "value")}
        metrics[label] = {"name": label, "value": e["value"], "params": {}, "metadata": about}
        for bound in ("low", "high"):
            if e.get(bound) is not None:
                name = bound if label == "value" else f"{label}, {bound}"
                metrics[name] = {"name": name, "value": e[bound], "params": {}}
    return [_score(name, metrics, writer) for name, metrics in found.items()]


def _score(name: str, metrics: Mapping[str, Any], writer: _Writer) -> dict[str, Any]:
    record: dict[str, Any] = {"name": name, "scorer": name, "params": {}, "metrics": metrics}
    if name in writer.scored:
        scored = writer.scored[name]
        record |= {"scored_samples": scored, "unscored_samples": len(writer.keys) - scored}
    return record


def _sample(row: Row, item: Item | None, model: str) -> dict[str, Any]:
    """One row as a sample; `metadata.input_is` says whether its input is the prompt itself or the bare question."""
    asked, kind = _input(row, item)
    texts = _texts(row)
    messages = asked if isinstance(asked, list) else [{"role": "user", "content": asked}] if asked else []
    answered = [{"role": "assistant", "content": text} for text in texts]
    metadata = {k: v for k, v in row.evidence.items() if k != "prompt"}
    return {
        "id": row.key,
        "epoch": 1,
        "input": asked,
        "choices": _options(item) or None,
        "target": _target(item),
        "messages": [*messages, *answered[:1]],
        "output": {"model": model, "choices": [{"message": m, "stop_reason": "stop"} for m in answered]},
        "scores": None if row.error is not None else _sample_scores(row, item),
        "metadata": {"cluster": row.cluster, "input_is": kind, **metadata},
        "store": {},
        "events": [],
        "model_usage": {},
        "error": None if row.error is None else _error(row.error),
        "attachments": {},
    }


def _events(sample: Mapping[str, Any], at: str) -> list[dict[str, Any]]:
    """What Inspect View's transcript shows: the sample, its scores, its error; rows keep no times of their own."""
    told = {name: sample[name] for name in ("id", "input", "choices", "target")}
    events: list[dict[str, Any]] = [{"event": "sample_init", "sample": told, "state": {}}]
    for name, score in (sample["scores"] or {}).items():
        events.append({"event": "score", "score": score, "target": sample["target"], "scorer": name})
    if sample["error"]:
        events.append({"event": "error", "error": sample["error"]})
    for place, event in enumerate(events):
        event |= {"uuid": f"{sample['id']}-{place}", "timestamp": at, "working_start": 0.0}
    return events


def _input(row: Row, item: Item | None) -> tuple[str | list[dict[str, Any]], str]:
    """What was asked, and how it is known: the prompt where row or item hold it, else the item's question."""
    meta = item.meta if item else {}
    prompt = row.evidence.get("prompt", meta.get("prompt"))
    if isinstance(prompt, str):
        return prompt, "prompt"
    if isinstance(prompt, list) and all(isinstance(m, dict) and m.get("role") in _ROLES for m in prompt):
        return [{"role": m["role"], "content": str(m.get("content", ""))} for m in prompt], "prompt"
    question = "\n\n".join(filter(None, (item.note, item.question))) if item else ""
    return question, "question" if question else "unknown"


def _options(item: Item | None) -> list[str]:
    return list(item.choices) if item else []


def _target(item: Item | None) -> str | list[str]:
    if item and item.gold is not None and item.choices:
        return item.choices[item.gold]
    return list(item.answers) if item and item.answers else ""


def _texts(row: Row) -> list[str]:
    """Texts that the model wrote, where the row keeps them."""
    drawn = row.evidence.get("samples")
    return [str(d["text"]) for d in drawn if isinstance(d, dict) and "text" in d] if isinstance(drawn, list) else []


def _sample_scores(row: Row, item: Item | None) -> dict[str, Any] | None:
    given: Mapping[str, float | None] = row.evidence.get("scores", {})
    p, options = row.evidence.get("p"), _options(item)
    answer = options[p.index(max(p))] if isinstance(p, list) and p and len(p) == len(options) else None
    scores = {name: {"value": value, "answer": answer} for name, value in given.items() if value is not None}
    return scores or None


def _error(message: str) -> dict[str, str]:
    return {"message": message, "traceback": "", "traceback_ansi": ""}


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What a list of samples shows; long values are shortened as Inspect shortens them."""
    kept = {name: sample[name] for name in ("id", "epoch", "choices", "scores", "model_usage")}
    asked = sample["input"]
    return {
        **kept,
        "input": _cut(asked) if isinstance(asked, str) else [{**m, "content": _cut(m["content"])} for m in asked],
        "target": _cut(sample["target"]) if isinstance(sample["target"], str) else sample["target"],
        "metadata": {name: _thin(value) for name, value in sample["metadata"].items()},
        "error": sample["error"] and sample["error"]["message"],
        "completed": True,
        "message_count": len(sample["messages"]),
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONG_TEXT else f"{text[:_LONG_TEXT]}...\n(content truncated)"


def _thin(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value if len(value) <= _LONG_VALUE else f"{value[: _LONG_VALUE - 3]}..."
    return value if len(json.dumps(value)) <= _LONG_VALUE else _SHORTENED
