"""What one training of a family did to its model: read once, kept beside the model.

Curves are read at every snapshot: the loss on documents of the set, on the first documents that came once, and the most
prefix matching of a head. The rest is read of the last model: losses of held-out documents one by one, copies of
held-out paragraphs, every head, documents of the other language, words known by heart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from gnomon.core.progress import progress, unseen
from gnomon.core.seeds import Seed
from gnomon.data.worlds.language import Language
from gnomon.explain.induction.sequences import plain_tokens
from gnomon.explain.repeated_data.readings import by_heart, losses, losses_by_copy, prefix_scores, said_again
from gnomon.learn.loop import one_thread_if_small
from gnomon.models.families import load_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, num_parameters
from gnomon.store.files import replace_file
from gnomon.store.run import Run
from gnomon.study._trained import Trained, environment, shared
from gnomon.train.repeats import Repeats, language_of, repeated_numbers, slots_of, unique_numbers
from gnomon.train.toy import HELD_OUT

__all__ = ["OTHER", "measure_all"]

OTHER: Mapping[str, Literal["copies", "blocks"]] = {"copies": "blocks", "blocks": "copies"}
"""The other language of each."""
_HELD_OUT, _CURVE, _PARAGRAPHS, _SEQUENCES, _BY_HEART = 128, 32, 50, 16, 64
# Paragraphs of held-out documents that no loss is read of.
_PARAGRAPHS_FROM = HELD_OUT + 192
_FILE = "repeated-data.json"


class _Task(NamedTuple):
    config: Repeats
    folder: Path


def measure_all(trained: Sequence[Trained], *, root: Path | None, workers: int) -> list[dict[str, Any]]:
    """What each training did, in order; `root` and `workers` are as in `train_all`.

    Of each: `parameters`, `share` and `epochs` as achieved, `documents` in the set; `training`, the loss of the last
    steps on what they read, beside that of a `uniform` guess; what the run notes (`resumed at`, `tokens a second`);
    `curve` by step (`steps`, `held-out`, `set`, `unique`, `prefix`); `held-out`, `fresh` (tokens that are no copies),
    `set`, `other` [N] by document, `copying` [P][C], `by index` [T - 1], `heads` [L][H], `prefix` [N] of the best head,
    `known` and `known, held out` [N], and `said`: words and losses of one paragraph.
    Losses are in nats a token; what cannot be read is left out.
    """
    with environment(root, workers):
        tasks = [_Task(t.config, _folder(t, root)) for t in trained]
    missing = [task for task in tasks if not (task.folder / _FILE).exists()]
    with progress(len(tasks), "measurements", done=len(tasks) - len(missing)) as bar:
        shared(_measure, missing, root=root, workers=workers, bar=bar)
    return [json.loads((task.folder / _FILE).read_text(encoding="utf-8")) for task in tasks]


def _folder(trained: Trained, root: Path | None) -> Path:
    with closing(Run.find(trained.run, root=root)) as run:
        return run.folder


def _measure(task: _Task) -> None:
    cfg = task.config
    language, _ = language_of(cfg, task.folder)
    with unseen():
        net = load_folder(task.folder / "checkpoint").float().eval()
        tokenizer = Tokenizer.load(task.folder / "checkpoint")
        slots = slots_of(cfg)
        with one_thread_if_small(net):
            found = {
                "parameters": num_parameters(net),
                "share": slots.share,
                "epochs": slots.epochs,
                "documents": slots.size,
                "tokens a step": cfg.batch * cfg.context,
                **_ending(task, tokenizer),
                "curve": _curve(task, language, tokenizer),
                **_last(cfg, net, language, tokenizer),
            }
    replace_file(task.folder / _FILE, json.dumps(found, separators=(",", ":")) + "\n")


def _ending(task: _Task, tokenizer: Tokenizer) -> dict[str, float]:
    """The loss of the last steps on what they read, that of a model that knows nothing, and how training went."""
    with closing(Run.find(str(task.folder))) as run:
        last = max((m for m in run.metrics() if m.name == "loss"), key=lambda m: m.step)
        went = {name.replace("_", " "): value for name, value in run.manifest.notes.items()}
    return {"training": round(last.value, 5), "uniform": round(math.log(tokenizer.vocab_size), 5), **went}


def _curve(task: _Task, language: Language, tokenizer: Tokenizer) -> dict[str, list[float]]:
    """What changes over training, at every snapshot."""
    cfg = task.config
    with closing(Run.find(str(task.folder))) as run:
        logged = {metric.step: metric.value for metric in run.metrics() if metric.name == "held-out loss"}
    sets = {
        "set": _tokens(cfg, language, repeated_numbers(cfg)[:_CURVE]),
        "unique": _tokens(cfg, language, unique_numbers(cfg)[:_CURVE]),
    }
    found: dict[str, list[float]] = {"steps": [], "held-out": [], "set": [], "unique": [], "prefix": []}
    for step in sorted(logged):
        net = load_folder(task.folder / "snapshots" / str(step)).float().eval()
        found["steps"].append(step)
        found["held-out"].append(logged[step])
        for name, tokens_NT in sets.items():
            if tokens_NT is not None:
                found[name].append(float(losses(net, tokens_NT).mean()))
        scores = prefix_scores(net, plain_tokens(tokenizer), _SEQUENCES // 2, tokenizer.bos_id, Seed(0))
        if scores is not None:
            found["prefix"].append(float(scores.mean(0).max()))
    return {name: _digits(values) for name, values in found.items() if values}


def _last(cfg: Repeats, net: Transformer, language: Language, tokenizer: Tokenizer) -> dict[str, Any]:
    """What the trained model does."""
    documents = language.documents(range(HELD_OUT, HELD_OUT + _HELD_OUT), cfg.context)
    held_out = torch.from_numpy(documents.tokens)
    by_token = losses(net, held_out)
    found: dict[str, Any] = {
        "held-out": _digits(by_token.mean(1)),
        "by index": _digits(by_token.mean(0)),
        "known, held out": by_heart(net, held_out[:_BY_HEART]).int().tolist(),
    }
    if documents.is_copy.any():
        fresh = torch.from_numpy(documents.is_fresh[:, 1:])
        found["fresh"] = _digits((by_token * fresh).sum(1) / fresh.sum(1))
    the_set = _tokens(cfg, language, repeated_numbers(cfg)[:_BY_HEART])
    if the_set is not None:
        found |= {"set": _digits(losses(net, the_set).mean(1)), "known": by_heart(net, the_set).int().tolist()}
    if not cfg.data:
        away = replace(cfg, text=OTHER[cfg.text], start="").language()
        other = torch.from_numpy(away.documents(range(HELD_OUT, HELD_OUT + 64), cfg.context).tokens)
        found["other"] = _digits(losses(net, other).mean(1))
    return found | _copying(cfg, net, language, tokenizer) | _heads(net, tokenizer)


def _copying(cfg: Repeats, net: Transformer, language: Language, tokenizer: Tokenizer) -> dict[str, Any]:
    """Losses by copy of held-out paragraphs, and those of every token of a longer one, said as often as it fits."""
    rows = _tokens(cfg, language, range(_PARAGRAPHS_FROM, _PARAGRAPHS_FROM + _PARAGRAPHS))
    assert rows is not None
    paragraphs = [row[1:] for row in rows.tolist()]
    copied = said_again(paragraphs, cfg.context, tokenizer.bos_id)
    shown = said_again(paragraphs[:1], cfg.context, tokenizer.bos_id, times=4)
    if copied is None or shown is None:
        return {}
    return {
        "copying": [_digits(row) for row in losses_by_copy(net, copied)],
        "said": {
            "words": [tokenizer.token_text(token) for token in shown.tokens_PT[0, 1:].tolist()],
            "losses": _digits(losses(net, shown.tokens_PT)[0]),
        },
    }


def _heads(net: Transformer, tokenizer: Tokenizer) -> dict[str, Any]:
    scores_NLH = prefix_scores(net, plain_tokens(tokenizer), _SEQUENCES, tokenizer.bos_id, Seed(1))
    if scores_NLH is None:
        return {}
    mean_LH = scores_NLH.mean(0)
    best = int(mean_LH.argmax())
    return {"heads": [_digits(row) for row in mean_LH], "prefix": _digits(scores_NLH.flatten(1)[:, best])}


def _tokens(cfg: Repeats, language: Language, numbers: Sequence[int]) -> Tensor | None:
    return torch.from_numpy(language.documents(numbers, cfg.context).tokens) if len(numbers) else None


def _digits(values: Tensor | Iterable[float]) -> list[float]:
    listed: Iterable[float] = values.tolist() if isinstance(values, Tensor) else values
    return [round(value, 5) for value in listed]
