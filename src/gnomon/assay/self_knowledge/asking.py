"""What the experiments share when they ask: worked examples in front, chat framing, order of options, readout."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from gnomon.core.errors import ModelError
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.prompts import Dialect, Shot, dialect, framed
from gnomon.models.base import Ability, Choice, Model, Sampling, require
from gnomon.models.readout import from_counts, match, split

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = [
    "Asked",
    "ask_letters",
    "ask_options",
    "ask_verdict",
    "choose",
    "evidence",
    "group_of",
    "header_of",
    "series",
    "with_answer_key",
    "wording",
]

# Enough for a bracketed letter with the words some chat models put before it.
ANSWER_TOKENS = 12
# With one of these a model says its probabilities; without, they are counted from samples.
_READ_OUT = (Ability.SCORE, Ability.TOPK, Ability.DECIDE)


def wording(item: Item) -> Dialect:
    """The dialect an item's source names."""
    return dialect(str(item.meta.get("dialect", "plain")))


async def ask_letters(cfg: SelfKnowledge, model: Model, item: Item, rng: Seed) -> dict[str, Any]:
    """Probabilities of an item's options by their letters, in the item's order.

    With `cfg.permute` k > 1, k cyclic orders are asked and averaged in log space, which removes a preference for
    positions (honesty protocol; the paper asks one order).
    """
    count = len(item.choices)
    turns = min(cfg.permute, count)
    asked = [_turned_back(await _ask_turned(cfg, model, item, turn, rng), turn) for turn in range(turns)]
    return evidence(asked[0] if turns == 1 else _averaged(asked))


async def _ask_turned(cfg: SelfKnowledge, model: Model, item: Item, turn: int, rng: Seed) -> Asked:
    """The letters' probabilities when the option at place `turn` is listed first."""
    words, choices = wording(item), item.choices
    turned = replace(item, choices=(*choices[turn:], *choices[:turn])) if turn else item
    return await choose(cfg, model, item, words.choice_prompt(turned), words.letters(len(choices)), rng.child(turn))


def _turned_back(asked: Asked, turn: int) -> Asked:
    """What was asked, with its entries in the item's own order."""
    if not turn:
        return asked
    choice = asked.choice
    p, low, high = (values[-turn:] + values[:-turn] for values in (choice.p, choice.low, choice.high))
    halves = tuple(half[-turn:] + half[:-turn] for half in asked.halves)
    return Asked(replace(choice, p=p, low=low, high=high), halves)


async def ask_options(cfg: SelfKnowledge, model: Model, item: Item, rng: Seed) -> dict[str, Any]:
    """Probabilities of an item's options by the likelihood of their whole text (the BIG-Bench default format)."""
    prompt = wording(item).listed_prompt(item)
    return evidence(await choose(cfg, model, item, prompt, [f" {c}" for c in item.choices], rng))


async def ask_verdict(
    cfg: SelfKnowledge, model: Model, item: Item, proposed: str, rng: Seed, ideas: Sequence[str] = ()
) -> dict[str, Any]:
    """P(True) of a proposed answer: the first entry of `p`."""
    words = wording(item)
    prompt = words.verdict_prompt(item, proposed, ideas)
    return evidence(await choose(cfg, model, item, prompt, list(words.verdicts()), rng))


class Asked(NamedTuple):
    """A choice, and where it was sampled here the counts of each option in either half of the samples.

    A reliability curve bins on one half and reads the other; one half for both would flatten it.
    """

    choice: Choice
    halves: tuple[tuple[int, ...], ...] = ()


async def choose(cfg: SelfKnowledge, model: Model, item: Item, prompt: str, options: Sequence[str], rng: Seed) -> Asked:
    """The options' probabilities at the readout the config asks for."""
    whole = framed(str(item.meta.get("header", "")) + prompt, cfg.chat)
    if cfg.readout == "exact":
        instead = "use --readout sampled --samples 20, or a server that gives log-probabilities"
        require(model, Ability.SCORE, why="--readout exact", todo=instead)
    if cfg.readout == "exact" or (cfg.readout == "auto" and model.can.intersection(_READ_OUT)):
        return Asked(await model.choose(whole, options))
    require(model, Ability.SAMPLE, why="--readout sampled")
    how = Sampling(max_tokens=ANSWER_TOKENS, seed=rng.child("readout").value)
    drawn = await model.sample(whole, how, n=cfg.samples)
    parts = split(options)
    said = [match(c.text.lstrip().removeprefix(parts.forced.lstrip()), parts.rests) for c in drawn]
    counts = [said.count(i) for i in range(len(options))]
    if not sum(counts):
        raise ModelError(
            f"none of {len(drawn)} answers is one of the options; the first: {drawn[0].text[:60]!r}", where=item.id
        )
    halves = tuple(tuple(said[start::2].count(i) for i in range(len(options))) for start in (0, 1))
    return Asked(from_counts(counts, len(drawn)), halves)


def evidence(asked: Asked) -> dict[str, Any]:
    """What was asked as JSON values."""
    choice = asked.choice
    found: dict[str, Any] = {"p": list(choice.p), "mass": choice.mass, "readout": choice.readout, "n": choice.n}
    if choice.low and choice.low != choice.p:
        found |= {"low": list(choice.low), "high": list(choice.high)}
    if asked.halves:
        found["halves"] = [list(half) for half in asked.halves]
    return found


def _averaged(orders: Sequence[Asked]) -> Asked:
    """The mean of log-probabilities over orders, normalised again; a probability of 0 stays 0."""
    asked = [order.choice for order in orders]
    columns = zip(*(c.p for c in asked), strict=True)
    logs = [sum(math.log(p) if p > 0 else -math.inf for p in column) / len(asked) for column in columns]
    weights = [math.exp(x - max(logs)) for x in logs]
    p = tuple(w / sum(weights) for w in weights)
    mass = sum(c.mass for c in asked) / len(asked)
    choice = Choice(p=p, mass=mass, readout=asked[0].readout, n=sum(c.n for c in asked), low=p, high=p)
    halves = [tuple(map(sum, zip(*half, strict=True))) for half in zip(*(o.halves for o in orders), strict=True)]
    return Asked(choice, tuple(halves))


def series(evidence_: Mapping[str, Any]) -> str:
    """What curve of its experiment a row belongs to, such as "lettered 5-shot"."""
    return str(evidence_["series"]).removeprefix(f"{evidence_['part']} ")


def with_answer_key(item: Item, found: dict[str, Any]) -> dict[str, Any]:
    """Evidence of a multiple-choice row: probabilities, right option, what it belongs to, per-item scores."""
    p, gold = found["p"], item.gold
    assert gold is not None
    best = [i for i, value in enumerate(p) if value == max(p)]
    scores = {"accuracy": (gold in best) / len(best), "probability of the right option": p[gold]}
    return {**found, "gold": gold, **group_of(item), "scores": scores}


def group_of(item: Item) -> dict[str, Any]:
    """What an item is reported under: group, source, and how often training stated its fact where that is known."""
    group = str(item.meta.get("group") or item.meta.get("task") or "")
    return {"group": group, "count": item.meta.get("count"), "source": item.source}


def header_of(items: Sequence[Item], form: str) -> str:
    """Worked examples of one form, ready to stand before a prompt; "" for none."""
    if not items:
        return ""
    make = _lettered_shots if form == "lettered" else _listed_shots
    return wording(items[0]).header(make(items))


def _listed_shots(items: Sequence[Item]) -> list[Shot]:
    """Worked questions with options listed without letters, each followed by the right option's text."""
    return [Shot(wording(i).listed_prompt(i), f" {i.choices[i.gold or 0]}") for i in items]


def _lettered_shots(items: Sequence[Item]) -> list[Shot]:
    """Worked lettered questions, each followed by its right letter."""
    shots = []
    for item in items:
        assert item.gold is not None
        words = wording(item)
        shots.append(Shot(words.choice_prompt(item), words.letters(len(item.choices))[item.gold]))
    return shots
