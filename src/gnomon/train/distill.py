"""Context distillation: what a prompt makes of a model becomes the model itself, and the prompt is no longer needed.

    gnomon train distill                                    Brook's polite prompt into the model that ships
    gnomon train distill --model hf:FOLDER --prompt assistant-v1 --data notes.txt,answers.jsonl --top-k 50
    gnomon train distill --teacher run:ID                   a larger model's predictions, stored once for every student
    gnomon train distill --dry-run                          what it would train on, and nothing else

The teacher is the model behind the prompt, the student the same weights without it; the loss at every token is the
divergence of the student's predictions from the teacher's. Askell et al. 2021 (arXiv 2112.00861), sec. 2.2; the rate
falls to zero as in Bai et al. 2022a (arXiv 2204.05862). `--objective samples` is the plain alternative: learning by
heart what the prompted model answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import torch
from torch import nn

from gnomon.core.errors import UsageError
from gnomon.core.record import Row, text_digest
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.assistants import before, prompt_text
from gnomon.data.exercises import Exercise, Mix, open_exercises
from gnomon.data.hub import files_hash
from gnomon.data.records import Found, divided
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.learn.batches import AnswerBatch, Epochs, answer_batch
from gnomon.learn.distill import (
    Stored,
    Teacher,
    Top,
    begin_of,
    bytes_per_token,
    exact_kl,
    logits_of,
    read_prompt,
    rows_of,
    same_tokenizer,
    top_kl,
)
from gnomon.learn.loop import StepResult, one_thread_if_small
from gnomon.learn.parallel import split
from gnomon.learn.texts import Encoded
from gnomon.models.families import load_folder
from gnomon.models.load import checkpoint_folder, content_hash
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer
from gnomon.train import sft
from gnomon.train._distilled import summarise
from gnomon.train._fitting import Start, Thrifty, at_least, end_of, keep, low_rank, plan_of, shown_fit, start_from
from gnomon.train._sampled import Sampled, draw

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["Distill", "DistillBatch", "divergences", "identity", "measure", "preview", "step", "summarise", "train"]

# Texts of Brook are shorter; longer ones of files are cut to so many tokens unless asked otherwise.
_LONGEST = 256
_FEWEST = 8


@registered
@dataclass(frozen=True, kw_only=True)
class Distill(Thrifty):
    """Make a prompt part of a model: it learns to predict without the prompt what it predicts behind it."""

    prompt: str = "brook"
    "What stands before the teacher's texts: brook[:DIALOGUES], assistant-v1[:DIALOGUES], or a file."
    data: tuple[str, ...] = ("brook",)
    "Texts to learn on: brook, or files of text, of rows with text, prompt and answer, messages, or answers with votes."
    mix: Mix = "half"
    "Half running text and half questions with good answers, or one of the two."
    model: str = "brook"
    "The student: brook, hf:FOLDER or run:ID."
    teacher: str = ""
    "Another model of the same tokenizer, such as a larger one; empty is the student's own first weights."
    objective: Literal["kl", "samples"] = "kl"
    "Match the prompted model's probabilities, or learn its sampled answers by heart."
    top_k: int = 0
    "Tokens kept of each of the teacher's predictions, stored and shared by every student; 0 computes all, in place."
    texts: int = 4000
    "Texts to train on; 0 takes all of files."
    held_out: int = 400
    "Texts to measure on."
    epochs: int = 1
    "Passes over the texts."
    batch: int = 32
    "Texts a step."
    peak_rate: float = 3e-4
    "Highest learning rate; it falls to zero."
    context: int = 0
    "Longest text in tokens; 0 takes 256, or what the prompt leaves of the model's positions where that is less."
    drop_bad: bool = False
    "Go on without bad rows of a file even if they are more than one in a hundred."
    seed: int = 0
    "Seed of the draws and the order."
    bf16: bool = False
    "Bfloat16 arithmetic, for processors that have it; not the same numbers."

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, held_out=self.held_out, epochs=self.epochs, batch=self.batch)
        at_least(int("brook" in self.data), texts=self.texts)
        at_least(0, top_k=self.top_k, context=self.context)
        if self.objective == "samples" and (self.mix != "questions" or self.top_k):
            todo = "give --mix questions, and no --top-k"
            raise UsageError("--objective samples learns answers to questions, from their tokens", todo=todo)


class DistillBatch(NamedTuple):
    """Texts, and what the teacher predicts in them, where that is stored."""

    answers: AnswerBatch
    top: Top | None


def train(cfg: Distill, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; the run's rows are held-out texts with their divergences.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        UsageError: the prompt leaves no room for a text.
        DataError: the data cannot be used.
        ModelError: a model cannot, or the teacher's tokenizer is another.
    """
    made = _made(cfg)
    net = made.start.net
    first = divergences(made.teacher, net, made.held, batch=cfg.batch)
    sampled: Sampled | None = None
    if cfg.objective == "samples":
        sampled = draw(made.teacher.net, made.start, made.before, made.exercises, seed=cfg.seed, folder=run.folder)
        learn: Callable[..., StepResult] = sft.step
        texts: Sequence[Encoded] = sampled.texts
    else:
        texts = made.taught
        learn = partial(step, teacher=None if cfg.top_k else made.teacher)
    stored = _stored(cfg, run, made) if cfg.top_k else None
    order = Epochs(len(texts), cfg.batch, Seed(cfg.seed).child("order"), lengths=[len(t.tokens) for t in texts])

    def batches(index: int) -> list[Any]:
        places = order(index)
        whole = [texts[p] for p in places]
        laid = [(part, answer_batch([texts[p] for p in part], of=whole)) for part in split(places, cfg.accumulate)]
        if sampled:
            return [answers for _, answers in laid]
        return [DistillBatch(answers, stored.of(part or places[:1]) if stored else None) for part, answers in laid]

    plan = plan_of(cfg, order)
    plan = replace(plan, optim=replace(plan.optim, final=0.0))
    with low_rank(cfg, run, made.start):
        shown_fit(learn, batches, net, plan=plan, run=run, label=f"distill ({cfg.objective})")
    last = divergences(made.teacher, net, made.held, batch=cfg.batch)
    facts = {"steps": plan.num_steps, "texts": len(texts), **made.facts, **_cost(stored), **_ran_on(sampled)}
    run.add(_rows(made.measured, first, last, facts))
    return keep(cfg, run, made.start, facts)


def step(model: nn.Module, batch: DistillBatch, *, teacher: Teacher | None) -> StepResult:
    """The mean divergence of the texts' tokens, in nats; of a part of a step, its share in the step's.

    Args:
        model: the student.
        batch: with the teacher's predictions, unless `teacher` is given.
        teacher: asked here, over the whole vocabulary.
    """
    student_NV = logits_of(cast(Transformer, model), batch.answers)
    if batch.top is not None:
        found_N = top_kl(batch.top, student_NV)
    else:
        assert teacher is not None
        found_N = exact_kl(teacher.logits(batch.answers), student_NV)
    return StepResult(found_N.mean() * batch.answers.share)


@torch.no_grad()
def divergences(teacher: Teacher, net: Transformer, texts: Sequence[Encoded], *, batch: int) -> list[float]:
    """KL(teacher || net) a token of each text, over the whole vocabulary, in nats."""
    net.eval()
    found = [0.0] * len(texts)
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i].tokens))
    with one_thread_if_small(net):
        for begin in range(0, len(texts), batch):
            places = by_length[begin : begin + batch]
            rows = answer_batch([texts[i] for i in places])
            each_N = exact_kl(teacher.logits(rows), logits_of(net, rows))
            sums = torch.zeros(len(places)).index_add(0, rows.row_N, each_N)
            for i, mean in zip(places, (sums / rows.row_N.bincount()).tolist(), strict=True):
                found[i] = mean
    return found


def measure(cfg: Distill, model: str) -> list[Row]:
    """The divergences of `model` from the prompted teacher on the texts that `cfg` would hold out, by group."""
    made = _made(cfg)
    found = divergences(made.teacher, start_from(model, cfg.data[0]).net, made.held, batch=cfg.batch)
    return [
        Row(key=exercise.id, cluster=exercise.cluster, evidence={"group": exercise.group, "kl": kl})
        for exercise, kl in zip(made.measured, found, strict=True)
    ]


def identity(cfg: Distill) -> dict[str, str]:
    """What decides a run's numbers beside its config: hashes of weights, of the prompt's text, of the data."""
    found = {"model": content_hash(checkpoint_folder(cfg.model)), "prompt": text_digest(prompt_text(cfg.prompt))}
    found |= in_identity(cfg.data)
    if cfg.teacher:
        found["teacher"] = content_hash(checkpoint_folder(cfg.teacher))
    if "brook" not in cfg.data:
        found["data"] = files_hash(cfg.data)
    return found


def preview(cfg: Distill) -> dict[str, Any]:
    """What `train` would train on; `--dry-run`."""
    made = _made(cfg)
    tokens = sum(len(text.tokens) - text.start for text in made.taught)
    decode = made.start.tokenizer.decode
    took = f"{bytes_per_token(cfg.top_k, made.start.net.config.vocab_size)} bytes a token stored" if cfg.top_k else ""
    return {
        "student": f"{cfg.model}@{made.start.revision}",
        "teacher": f"{cfg.teacher or cfg.model}@{made.facts['teacher']}",
        "prompt": f"{made.facts['prompt_tokens']} tokens, {len(prompt_text(cfg.prompt).split())} words",
        "rows": f"{made.facts['rows']}, {made.facts['bad']} of them bad",
        "texts": f"{len(made.taught)} to train on, {len(made.held)} held out",
        "tokens": f"{tokens}; {made.facts['cut']} texts cut to {made.limit} tokens",
        "targets": took or "computed in place, over the whole vocabulary",
        **{
            f"first of {group}": decode(made.taught[place].tokens.tolist(), special=True)
            for group, place in made.firsts.items()
        },
    }


class _Made(NamedTuple):
    """Everything that a training stands on; `limit` is the longest text in tokens."""

    start: Start
    teacher: Teacher
    before: str
    limit: int
    taught: list[Encoded]
    held: list[Encoded]
    exercises: list[Exercise]
    measured: list[Exercise]
    facts: dict[str, Any]

    @property
    def firsts(self) -> dict[str, int]:
        """The first exercise of each group."""
        groups = [exercise.group for exercise in self.exercises]
        return {group: groups.index(group) for group in dict.fromkeys(groups)}


def _made(cfg: Distill) -> _Made:
    dialect = "brook" if "brook" in cfg.data else "plain"
    start = start_from(cfg.model, cfg.data[0])
    net, revision, tokenizer_hash = _teacher(cfg, start)
    shown = before(prompt_text(cfg.prompt), dialect)
    ids = read_prompt(start.tokenizer, shown)
    limit = _limit(cfg, len(ids), min(net.config.max_positions, start.net.config.max_positions))
    found, learnt, measured = _sides(cfg)
    end, _ = end_of(start.tokenizer, context=False)
    (taught, cut), (held, _) = (
        rows_of(start.tokenizer, shown, [exercise.text for exercise in side], end=end, limit=limit)
        for side in (learnt, measured)
    )
    facts = {
        "prompt_tokens": len(ids),
        "prompt_hash": text_digest(shown),
        "teacher": revision,
        "tokenizer": tokenizer_hash,
        "rows": found.num_rows,
        "bad": found.num_bad,
        "shown": found.bad,
        "cut": cut,
    }
    teacher = Teacher(net, ids, begins=bool(begin_of(start.tokenizer)))
    return _Made(start, teacher, shown, limit, taught, held, learnt, measured, facts)


def _teacher(cfg: Distill, start: Start) -> tuple[Transformer, str, str]:
    """The teacher's network, the hash of its weights, and the hash of the tokenizer that it shares."""
    if not cfg.teacher:
        return copy.deepcopy(start.net), start.revision, same_tokenizer(start.tokenizer, start.tokenizer)
    folder = checkpoint_folder(cfg.teacher)
    shared = same_tokenizer(Tokenizer.load(folder), start.tokenizer)
    net = load_folder(folder)
    sizes = net.config.vocab_size, start.net.config.vocab_size
    if sizes[0] != sizes[1]:
        raise UsageError(f"the teacher's vocabulary has {sizes[0]} rows, the student's {sizes[1]}", where=cfg.teacher)
    return net, content_hash(folder), shared


def _limit(cfg: Distill, prompt_tokens: int, positions: int) -> int:
    """The longest text in tokens."""
    left = positions - prompt_tokens
    if left < max(_FEWEST, cfg.context):
        what = f"the prompt has {prompt_tokens} tokens and the model {positions} positions, which leaves {max(0, left)}"
        wanted = f", and --context asks for {cfg.context}" if cfg.context else f" and a text wants {_FEWEST}"
        raise UsageError(what + wanted, where=f"--prompt {cfg.prompt}", todo="take a shorter cut, such as NAME:2")
    return cfg.context or min(left, _LONGEST)


class _Sides(NamedTuple):
    found: Found[Exercise]
    learnt: list[Exercise]
    measured: list[Exercise]


def _sides(cfg: Distill) -> _Sides:
    seed, groups = Seed(cfg.seed), {"half": ("text", "questions")}.get(cfg.mix, (cfg.mix,))
    wanted = cfg.texts + cfg.held_out if cfg.texts else 0
    found = open_exercises(cfg.data, wanted, cfg.mix, seed, drop_bad=cfg.drop_bad)
    learnt: list[Exercise] = []
    measured: list[Exercise] = []
    # Each half is divided by itself, so that both are measured on as many texts.
    for group in groups:
        side = [exercise for exercise in found.things if exercise.group == group]
        held_out, train_on = (-(-count // len(groups)) for count in (cfg.held_out, cfg.texts))
        where = ",".join(cfg.data)
        places = divided([e.cluster for e in side], held_out, seed.child(group), train=train_on, where=where)
        for kept, of in zip((learnt, measured), places, strict=True):
            kept += [side[place] for place in of]
    return _Sides(found, learnt, measured)


def _stored(cfg: Distill, run: Run, made: _Made) -> Stored:
    of = {"model": made.facts["teacher"], "tokenizer": made.facts["tokenizer"], "prompt": made.facts["prompt_hash"]}
    root = run.folder.parent / "targets"
    with one_thread_if_small(made.teacher.net):
        return Stored(root, made.teacher, made.taught, cfg.top_k, of=of, batch=cfg.batch)


def _cost(stored: Stored | None) -> dict[str, Any]:
    if stored is None:
        return {}
    return {"targets": stored.folder.name, "bytes_per_token": stored.num_bytes / stored.num_tokens}


def _ran_on(sampled: Sampled | None) -> dict[str, Any]:
    return {} if sampled is None else {"samples": len(sampled.texts), "ran_on": sampled.num_ran_on}


def _rows(
    exercises: Sequence[Exercise], first: Sequence[float], last: Sequence[float], facts: dict[str, Any]
) -> list[Row]:
    """Held-out texts with their divergences; the first carries what training cost, for rows are all a report sees."""
    return [
        Row(
            key=exercise.id,
            cluster=exercise.cluster,
            evidence={"group": exercise.group, "before": b, "after": a, **({} if place else {"facts": facts})},
        )
        for place, (exercise, b, a) in enumerate(zip(exercises, first, last, strict=True))
    ]
