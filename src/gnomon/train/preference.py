"""Preference models: what people, or planted raters, make of two answers, learnt in one of three ways.

    gnomon train preference                        ranked, from the model that ships, by Brook's gold rater
    gnomon train preference --data brook:helpful   by another rater
    gnomon train preference --data FILE --model hf:FOLDER --objective imitation
    gnomon train preference --model run:ID         from a preference model: its body and its scalar
    gnomon train preference --dry-run              what it would train on, with the length-only baseline

ranked      a scalar r at the end of a text; log(1 + exp(r_bad - r_good)): only differences count
binary      the same scalar says of each text alone whether it is good
imitation   no scalar: the chosen answers are learnt, and answers are ranked by their log-probability

Askell et al. 2021 (arXiv 2112.00861), secs. 3 and 4; Bai et al. 2022a (arXiv 2204.05862), sec. 2. The scalar is read at
`<eoc>` where the vocabulary has one, else at the end-of-text token, put behind the answer. Starting from a preference
model that reads its scalar there takes the scalar's weights over (pre-training of preference models, sec. 4); else they
begin at zero. One step is one batch of comparisons through `step`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import Comparison, Comparisons, length_baseline, open_comparisons, sources
from gnomon.data.overlap import Text, overlap
from gnomon.learn.batches import AnswerBatch, Epochs, PairBatch, answer_batch, pair_batch
from gnomon.learn.heads import ScalarHead, Scorer, head_reads_at, load_head
from gnomon.learn.loop import StepResult, one_thread_if_small
from gnomon.learn.losses import answer_losses, binary_loss, ranked_loss, token_losses
from gnomon.learn.parallel import split
from gnomon.learn.texts import Pair, Texts, encode, fitted
from gnomon.models.load import checkpoint_folder
from gnomon.report.words import in_words
from gnomon.train._fitting import (
    Start,
    Thrifty,
    at_least,
    context_of,
    end_of,
    identity,
    keep,
    low_rank,
    plan_of,
    shown_fit,
    start_from,
)
from gnomon.train._ranking import left_out_of, measured_rows, summarise

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = [
    "Preference",
    "Sides",
    "identity",
    "measure",
    "preview",
    "score",
    "sides",
    "step",
    "summarise",
    "tokenized",
    "train",
    "values",
]

Objective = Literal["ranked", "binary", "imitation"]


@registered
@dataclass(frozen=True, kw_only=True)
class Preference(Thrifty):
    """Train a model of which answer is preferred, from comparisons."""

    data: str = "brook"
    "Comparisons: brook, brook:RATER, brook:forum, vandal, statements or flatterers, a file, or several with commas."
    model: str = "brook"
    "Where to start: brook, hf:FOLDER or run:ID; a preference model keeps its scalar."
    objective: Objective = "ranked"
    "Rank the two answers, judge each alone, or imitate the chosen one."
    mu: float = 0.0
    "Weight of the chosen answers' language-model loss beside the scalar's."
    weights: tuple[float, ...] = ()
    "How much a comparison of each source of --data counts in the loss, in order; by default all the same."
    pairs: int = 4000
    "Comparisons to train on; 0 takes all of a file."
    held_out: int = 1000
    "Comparisons to measure on."
    part: str = "1/1"
    "Which of how many parts of the comparisons to train on; models of 1/2 and 2/2 have none in common."
    epochs: int = 1
    "Passes over the comparisons; a second one overfits."
    batch: int = 32
    "Comparisons a step."
    peak_rate: float = 6e-4
    "Highest learning rate."
    context: int = 0
    "Longest text in tokens; prompts of longer ones lose their beginning. 0 takes the model's."
    drop_bad: bool = False
    "Go on without bad rows of a file even if they are more than one in a hundred."
    read_at: Literal["token", "text"] = "token"
    "Where the scalar is read: at a token put behind the text, or at the text's own last one."
    seed: int = 0
    "Seed of the draws and the order."
    bf16: bool = False
    "Bfloat16 arithmetic, for processors that have it; not the same numbers."

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, held_out=self.held_out, epochs=self.epochs, batch=self.batch)
        at_least(int(any(name.startswith("brook") for name in sources(self.data))), pairs=self.pairs)
        at_least(0, context=self.context)
        _part(self.part)
        fits = len(self.weights) == len(sources(self.data)) and min(self.weights, default=0) > 0
        if self.weights and (not fits or self.objective == "imitation"):
            said = ",".join(f"{weight:g}" for weight in self.weights)
            todo = "give one above 0 for each source of --data; imitation has none"
            raise UsageError(f"--weights is {said}", todo=todo)
        if self.mu < 0 or (self.mu and (self.objective == "imitation" or self.read_at == "text")):
            todo = "it weighs a loss beside that of a scalar behind the text: give 0 or more, none here"
            raise UsageError(f"--mu is {self.mu:g}", todo=todo)


def train(cfg: Preference, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; the run's rows are held-out comparisons with their values.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        DataError: the data cannot be used.
        ModelError: the model cannot.
    """
    start = start_from(cfg.model, cfg.data)
    end, read_at = _end(cfg, start)
    given, learnt, measured = sides(cfg)
    taught, held = (tokenized(cfg, start, side, end) for side in (learnt, measured))
    pairs, held_pairs = ([Pair(*sides) for sides in texts.groups] for texts in (taught, held))
    order = Epochs(len(pairs), cfg.batch, Seed(cfg.seed).child("order"), lengths=[_length(pair) for pair in pairs])
    scorer, taken = _scorer(cfg, start, read_at)
    if cfg.objective == "imitation":
        model: nn.Module = start.net
        lay: _Lay = _chosen_only
    else:
        model, lay = scorer, pair_batch

    weights = _weights(cfg, [learnt[place] for place in taught.places])

    def batches(index: int) -> list[AnswerBatch | PairBatch]:
        places = order(index)
        of = [pairs[place] for place in places]
        laid = [(part, lay([pairs[place] for place in part], of=of)) for part in split(places, cfg.accumulate)]
        return [_weighted(batch, weights, part or places[:1]) for part, batch in laid]

    learn = partial(step, objective=cfg.objective, mu=cfg.mu)
    plan = plan_of(cfg, order)
    with low_rank(cfg, run, start):
        shown_fit(learn, batches, model, plan=plan, run=run, label=cfg.objective)
    found = values(scorer, held_pairs, cfg.objective, batch=cfg.batch)
    left_out = {**left_out_of(given), "cut": taught.num_cut, "long": taught.num_long + held.num_long}
    left_out["met"] = _met(learnt, measured)
    run.add(measured_rows([measured[place] for place in held.places], held_pairs, found, cfg.objective, left_out))
    facts = {"steps": plan.num_steps, "comparisons": len(pairs), "read_at": read_at, **left_out}
    if cfg.objective == "imitation":
        return keep(cfg, run, start, facts)
    facts["scalar"] = f"taken over from {cfg.model}" if taken else "new"
    return keep(cfg, run, start, facts, head=scorer.head, read_at=read_at)


def step(model: nn.Module, batch: AnswerBatch | PairBatch, *, objective: Objective, mu: float = 0.0) -> StepResult:
    """The loss of one batch, in nats; of a part of a step, its share in the step's.

    Args:
        model: a `Scorer`; for imitation the network alone.
        batch: comparisons; for imitation their chosen texts.
        objective: which of the three readings.
        mu: weight of the mean loss of the chosen answers' tokens.
    """
    if isinstance(batch, AnswerBatch):
        return StepResult(answer_losses(cast("Any", model), batch).mean() * batch.share)
    scorer = cast(Scorer, model)
    num_texts = len(batch.ends_P2)
    at = torch.cat((batch.ends_P2, batch.at_N2)) if mu else batch.ends_P2
    h_ND = scorer.body.hidden(batch.tokens_BT, positions_BT=batch.positions_BT, mask=batch.mask_B1TT, at=at)
    good_P, bad_P = scorer.head(h_ND[:num_texts]).chunk(2)
    loss = ranked_loss if objective == "ranked" else binary_loss
    compared = loss(good_P, bad_P, batch.weight_P) * batch.share
    metrics = {"preference_loss": compared.detach(), "right": (good_P > bad_P).float().mean() * batch.share}
    if not mu:
        return StepResult(compared, metrics)
    said = token_losses(scorer.body, h_ND[num_texts:], batch.targets_N).mean() * batch.target_share
    return StepResult(compared + mu * said, {**metrics, "answer_loss": said.detach()})


@torch.no_grad()
def values(scorer: Scorer, pairs: Sequence[Pair], objective: Objective, *, batch: int) -> list[tuple[float, float]]:
    """What the model makes of the chosen and the rejected text of each pair.

    The scalar; for imitation the log-probability of the answer, its end included, in nats.
    """
    scorer.eval()
    found: list[tuple[float, float]] = [(0.0, 0.0)] * len(pairs)
    by_length = sorted(range(len(pairs)), key=lambda i: _length(pairs[i]))
    with one_thread_if_small(scorer):
        for begin in range(0, len(pairs), batch):
            places = by_length[begin : begin + batch]
            part = [pairs[i] for i in places]
            two_P = _log_probabilities(scorer, part) if objective == "imitation" else _scalars(scorer, part)
            for i, good, bad in zip(places, *(side.tolist() for side in two_P.chunk(2)), strict=True):
                found[i] = (good, bad)
    return found


def measure(cfg: Preference, model: str, data: str, n: int, seed: int) -> list[Row]:
    """What a trained model makes of comparisons of another source; rows as those that its training left, with answers.

    Args:
        cfg: what it was trained with; comparisons that it learnt are left out.
        model: its name, `run:ID`.
        data: the source, as `Preference.data`.
        n: how many to draw; of a file, the first `n` that were not learnt.
        seed: of the draws.
    """
    start = start_from(model, data)
    end, read_at = _end(cfg, start)
    learnt = {each.pair for each in sides(cfg).learnt}
    given = open_comparisons(data, n, Seed(seed), drop_bad=cfg.drop_bad)
    fresh = [each for each in given.comparisons if each.pair not in learnt][:n]
    held = tokenized(cfg, start, fresh, end)
    pairs, comparisons = [Pair(*sides) for sides in held.groups], [fresh[place] for place in held.places]
    scorer, _ = _scorer(replace(cfg, model=model), start, read_at)
    found = values(scorer, pairs, cfg.objective, batch=cfg.batch)
    left_out = {**left_out_of(given), "cut": held.num_cut, "long": held.num_long}
    rows = measured_rows(comparisons, pairs, found, cfg.objective, left_out)
    return [
        replace(row, evidence={**row.evidence, "answers": [each.chosen, each.rejected]})
        for row, each in zip(rows, comparisons, strict=True)
    ]


def score(cfg: Preference, model: str, answers: Sequence[tuple[str, str]]) -> list[float]:
    """What a trained model makes of each prompt's answer: its scalar, or log-probability in nats after imitation.

    Args:
        cfg: what it was trained with.
        model: its name, `run:ID`.
        answers: a prompt and an answer each; all must fit the context.
    """
    start = start_from(model, cfg.data)
    end, read_at = _end(cfg, start)
    texts = encode(start.tokenizer, answers, end=end)
    # Two by two, as comparisons are; an odd last one stands beside itself.
    pairs = [Pair(first, second) for first, second in zip(texts[::2], [*texts, *texts[-1:]][1::2], strict=True)]
    scorer, _ = _scorer(replace(cfg, model=model), start, read_at)
    found = values(scorer, pairs, cfg.objective, batch=cfg.batch)
    return [value for two in found for value in two][: len(texts)]


def preview(cfg: Preference) -> dict[str, Any]:
    """What `train` would train on, and how far length alone gets; `--dry-run`."""
    start = start_from(cfg.model, cfg.data)
    end, read_at = _end(cfg, start)
    given, learnt, measured = sides(cfg)
    texts = tokenized(cfg, start, learnt, end)
    accuracy, auroc = length_baseline(given.comparisons)
    first = Pair(*texts.groups[0])
    decode = start.tokenizer.decode
    return {
        "model": f"{cfg.model}@{start.revision}",
        "rows": f"{given.num_rows}, {given.num_bad} of them bad",
        **{f"bad row {place}": told for place, told in enumerate(given.bad, 1)},
        **{f"left out, {why}": str(count) for why, count in given.unused.items()},
        "comparisons": f"{len(texts.groups)} to train on, {len(measured)} held out",
        "too long": f"{texts.num_cut} prompts cut, {texts.num_long} comparisons left out",
        "held out, met in training": _met(learnt, measured),
        "the longer is the better": f"right on {in_words(accuracy)}; AUROC {in_words(auroc)}",
        "first prompt": decode(first.chosen.tokens[: first.chosen.start].tolist(), special=True),
        "first chosen": decode(first.chosen.tokens[first.chosen.start :].tolist(), special=True),
        "first rejected": decode(first.rejected.tokens[first.rejected.start :].tolist(), special=True),
        "read at": read_at or "the text's own last token",
        "scalar": "taken over" if _reads_alike(cfg, read_at) else "new",
    }


def _end(cfg: Preference, start: Start) -> tuple[int | None, str]:
    """The token put behind every text, as id and text; none where the text's own last token is read."""
    if cfg.read_at == "text" and cfg.objective != "imitation":
        return None, ""
    return end_of(start.tokenizer, context=cfg.objective != "imitation")


def _reads_alike(cfg: Preference, read_at: str) -> bool:
    """Whether the model to start from has a scalar that is read where this training reads it."""
    return cfg.objective != "imitation" and head_reads_at(checkpoint_folder(cfg.model)) == read_at


def _scorer(cfg: Preference, start: Start, read_at: str) -> tuple[Scorer, bool]:
    """The network with the scalar that it already has, or with a new one; and whether it already had one."""
    taken = _reads_alike(cfg, read_at)
    head = load_head(checkpoint_folder(cfg.model)) if taken else ScalarHead(start.net.config.d_model)
    return Scorer(start.net, head), taken


class Sides(NamedTuple):
    """Comparisons as they were found, those to train on, and those to measure on."""

    given: Comparisons
    learnt: Sequence[Comparison]
    measured: Sequence[Comparison]


def sides(cfg: Preference) -> Sides:
    """The comparisons that `train` trains on and measures on; its errors."""
    seed, part = Seed(cfg.seed), _part(cfg.part)
    # Parts are of about the same size, so a few more are drawn than are kept.
    wanted = cfg.pairs if part[1] == 1 else math.ceil(1.2 * cfg.pairs * part[1]) + 50
    given = open_comparisons(cfg.data, wanted + cfg.held_out, seed, drop_bad=cfg.drop_bad, model=cfg.model)
    return Sides(given, *given.split(cfg.held_out, seed, train=cfg.pairs, part=part))


def tokenized(cfg: Preference, start: Start, comparisons: Sequence[Comparison], end: int | None) -> Texts:
    """Both texts of each comparison as tokens, those that fit the context."""
    flat = [(c.prompt, answer) for c in comparisons for answer in (c.chosen, c.rejected)]
    encoded = encode(start.tokenizer, flat, end=end)
    groups = list(zip(encoded[::2], encoded[1::2], strict=True))
    return fitted(groups, context_of(start.net, cfg.context), tokenizer=start.tokenizer)


def _part(text: str) -> tuple[int, int]:
    """`1/2` as numbers."""
    which, _, of = text.partition("/")
    if not (which.isdigit() and of.isdigit() and 1 <= int(which) <= int(of)):
        raise UsageError(f"--part is {text!r}", todo="write 1/2 and 2/2 for two halves")
    return int(which), int(of)


def _length(pair: Pair) -> int:
    return len(pair.chosen.tokens) + len(pair.rejected.tokens)


def _weights(cfg: Preference, comparisons: Sequence[Comparison]) -> list[float]:
    """How much each comparison counts, 1 on average; none where all count the same."""
    if not cfg.weights:
        return []
    # Of several sources, ids begin with the place of theirs.
    places = [int(each.id.partition("-")[0]) if len(cfg.weights) > 1 else 0 for each in comparisons]
    found = [cfg.weights[place] for place in places]
    mean = sum(found) / len(found)
    return [each / mean for each in found]


def _weighted(
    batch: AnswerBatch | PairBatch, weights: Sequence[float], places: Sequence[int]
) -> AnswerBatch | PairBatch:
    if isinstance(batch, AnswerBatch) or not weights:
        return batch
    return batch._replace(weight_P=torch.tensor([weights[place] for place in places]))


class _Lay(Protocol):
    """Lays a part of the pairs of a step out as a batch."""

    def __call__(self, pairs: Sequence[Pair], *, of: Sequence[Pair]) -> AnswerBatch | PairBatch: ...


def _chosen_only(pairs: Sequence[Pair], *, of: Sequence[Pair]) -> AnswerBatch:
    return answer_batch([pair.chosen for pair in pairs], of=[pair.chosen for pair in of])


def _scalars(scorer: Scorer, pairs: Sequence[Pair]) -> Tensor:
    """Values [2P] of the chosen texts and then of the rejected ones."""
    batch = pair_batch(pairs)
    how = {"positions_BT": batch.positions_BT, "mask": batch.mask_B1TT, "at": batch.ends_P2}
    found: Tensor = scorer.head(scorer.body.hidden(batch.tokens_BT, **how))  # type: ignore[arg-type]  # a TypedDict
    return found


def _log_probabilities(scorer: Scorer, pairs: Sequence[Pair]) -> Tensor:
    """Log-probabilities [2P] of the chosen answers and then of the rejected ones."""
    batch = answer_batch([*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)])
    return -torch.zeros(2 * len(pairs)).index_add(0, batch.row_N, answer_losses(scorer.body, batch))


def _met(learnt: Sequence[Comparison], measured: Sequence[Comparison]) -> str:
    """What the comparisons measured on share with those trained on."""
    return overlap(*([Text(c.prompt, (c.chosen, c.rejected)) for c in side] for side in (learnt, measured))).told
