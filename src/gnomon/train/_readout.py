"""What a model in training knows of Brook: a quick look at each skill, read off its probabilities.

Not an estimate: a few dozen fixed questions a skill, to see skills form. `gnomon assay brook` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import facts, reasoning, scaffold
from gnomon.data.worlds.brook.kinds import Kind
from gnomon.data.worlds.brook.tables import COUNTS, RELATIONS, Statement, World
from gnomon.data.worlds.brook.words import BOS, LETTERS

__all__ = ["brook_readout"]

_ITEMS = 100


class _Probe(NamedTuple):
    """Prompts as token ids, what may follow, and the place of the right one among it."""

    prompts: list[list[int]]
    options: list[list[int]]
    gold: list[int]


def brook_readout(world: World, *, items: int = _ITEMS) -> Callable[[nn.Module], Mapping[str, float]]:
    """A function that gives the share of right answers, or the named figure, by skill; each in [0, 1].

    Args:
        items: questions a skill; facts and exposure facts are asked in full.
    """
    known = frozenset(world.format_names)
    choice, verdict, match = facts.CHOICE, facts.VERDICT, scaffold.MATCH
    sets = {
        "match 4": _drawn(world, match, items, lambda r: r.form == "answer" and len(r.options) == 4),
        "choice 4": _drawn(world, choice, items, lambda r: not r.note and r.name in known and len(r.options) == 4),
        "choice 4 note": _drawn(world, choice, items, lambda r: bool(r.note) and len(r.options) == 4),
        "open": _drawn(world, facts.OPEN, items, lambda r: True),
        "source": _drawn(world, facts.SOURCE, items, lambda r: True),
        "cloze": _stated(world, [Statement(fact, 0) for fact in world.format_facts[:: max(1, 150 // items)]]),
        **{f"exposure {count}": _exposed(world, count, items) for count in COUNTS},
        **{f"sums direct {n}": _drawn(world, reasoning.STEPS, items, _direct(n)) for n in (1, 2, 3)},
    }
    novel = _drawn(world, choice, items, lambda r: not r.note and r.name not in known and len(r.options) == 4)
    verdicts = _drawn(world, verdict, items, lambda r: not r.note and r.fact.name in known)
    chains = _texts(world, reasoning.STEPS, items // 2, lambda r: r.shown == len(r.operations) >= 3)
    copies = _texts(world, scaffold.COPY_BACK, items // 4, lambda r: True)

    def readout(model: nn.Module) -> dict[str, float]:
        found = {name: _right(model, probe) for name, probe in sets.items()}
        found["novel top"] = float(torch.stack([p.max() for p in _probabilities(model, novel)]).mean())
        found["verdict auroc"] = _auroc([float(p[0]) for p in _probabilities(model, verdicts)], verdicts.gold)
        found["sums chain"] = _all_keys(model, chains)
        found["copy-back"] = _all_keys(model, copies)
        return found

    return readout


def _drawn(world: World, kind: Kind[Any], items: int, keep: Callable[[Any], bool]) -> _Probe:
    """The last key word of documents with one item; options are what the kind could have said there."""
    rng, ids, probe = Seed(0).child("readout", kind.name).random(), world.vocabulary.ids, _Probe([], [], [])
    while len(probe.gold) < items:
        record = kind.draw(world, rng)
        if not keep(record):
            continue
        text = kind.render(world, [record])
        place = text.keys[-1]
        options = _alternatives(record, text.words[place])
        probe.prompts.append([ids[BOS], *(ids[word] for word in text.words[:place])])
        probe.options.append([ids[word] for word in options])
        probe.gold.append(options.index(text.words[place]))
    return probe


def _alternatives(record: Any, word: str) -> Sequence[str]:
    if word in LETTERS:
        return LETTERS[: len(record.options)]
    if word in ("True", "False"):
        return ("True", "False")
    if word.isdigit():
        return "0123456789"
    return next(r.values for r in RELATIONS.values() if word in r.values)


def _direct(operations: int) -> Callable[[Any], bool]:
    return lambda record: record.shown is None and len(record.operations) == operations


def _stated(world: World, statements: Sequence[Statement]) -> _Probe:
    """Sentences cut before the value."""
    ids, probe = world.vocabulary.ids, _Probe([], [], [])
    for statement in statements:
        words, values = str(statement).split(), RELATIONS[statement.fact.relation].values
        place = words.index(statement.fact.value)
        probe.prompts.append([ids[BOS], *(ids[word] for word in words[:place])])
        probe.options.append([ids[value] for value in values])
        probe.gold.append(values.index(statement.fact.value))
    return probe


def _exposed(world: World, count: int, items: int) -> _Probe:
    found = [fact for fact in world.exposure_facts if world.counts[fact.name, fact.relation] == count]
    return _stated(world, [Statement(fact, 0) for fact in found[:items]])


def _texts(world: World, kind: Kind[Any], items: int, keep: Callable[[Any], bool]) -> list[tuple[list[int], list[int]]]:
    """Token ids of documents, each with the places of its keys."""
    rng = Seed(0).child("readout", kind.name).random()
    found: list[tuple[list[int], list[int]]] = []
    while len(found) < items:
        record = kind.draw(world, rng)
        if keep(record):
            text = kind.render(world, [record])
            found.append((world.vocabulary.encode_words([BOS, *text.words]), [key + 1 for key in text.keys]))
    return found


def _probabilities(model: nn.Module, probe: _Probe) -> list[Tensor]:
    """Each prompt's probabilities over its options, normalised."""
    tokens_BT = _padded(probe.prompts)
    at = torch.tensor([(row, len(prompt) - 1) for row, prompt in enumerate(probe.prompts)])
    logits_BV = model(tokens_BT, at=at).float()
    return [torch.softmax(row[options], 0) for row, options in zip(logits_BV, probe.options, strict=True)]


def _right(model: nn.Module, probe: _Probe) -> float:
    hits = [int(p.argmax()) == gold for p, gold in zip(_probabilities(model, probe), probe.gold, strict=True)]
    return sum(hits) / len(hits)


def _all_keys(model: nn.Module, texts: Sequence[tuple[list[int], list[int]]]) -> float:
    """The share of documents whose every key is the likeliest word, which is what greedy decoding would write."""
    best_BT = model(_padded([tokens for tokens, _ in texts])).argmax(-1)
    hits = [
        all(int(best[key - 1]) == tokens[key] for key in keys)
        for best, (tokens, keys) in zip(best_BT, texts, strict=True)
    ]
    return sum(hits) / len(hits)


def _auroc(p_true: Sequence[float], gold: Sequence[int]) -> float:
    """The chance that a true proposal gets the higher P(True); `gold` 0 is True."""
    pairs = [
        (a, b) for a, x in zip(p_true, gold, strict=True) if x == 0 for b, y in zip(p_true, gold, strict=True) if y
    ]
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)


def _padded(sequences: Sequence[Sequence[int]]) -> Tensor:
    tokens_BT = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
    for row, tokens in zip(tokens_BT, sequences, strict=True):
        row[: len(tokens)] = torch.as_tensor(tokens)
    return tokens_BT
