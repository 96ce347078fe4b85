"""The questions of Brook's check table: every item carries the prompts it is read out by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook import KINDS, RELATIONS, World, dialect
from gnomon.data.worlds.brook.scaffold import Copied, Match
from gnomon.data.worlds.brook.source import EXPOSURE, SUMS, items

__all__ = ["CHECKS", "DIGITS"]

DIGITS = [f" {digit}" for digit in range(10)]
_CHAINS = ("sum-3", "sum-4", "sum-5")
Make = Callable[[World, int, Seed], Iterator[Item]]


def _asked(check: str, item: Item, prompt: str, options: list[str], right: int, group: str = "") -> Item:
    meta = {**item.meta, "group": group, "prompt": prompt, "options": options, "right": right}
    return replace(item, id=f"{check}:{item.id}", part=check, source="brook", meta=meta)


def _values(item: Item) -> list[str]:
    return [f" {value}" for value in RELATIONS[item.meta["relation"]].values]


def _fact(check: str, item: Item, prompt: str, group: str = "") -> Item:
    """An item read out over the twelve values of its relation."""
    options = _values(item)
    return _asked(check, item, prompt, options, options.index(f" {item.meta['value']}"), group)


def _stem(item: Item) -> str:
    return str(item.meta["sentence"]).partition(f" {item.meta['value']} ")[0]


def _cloze(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items({"format": 1}, len(of.format_facts), seed, of=of):
        yield _fact("cloze", item, _stem(item))


def _exposure(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(EXPOSURE, 1), len(of.exposure_facts), seed, of=of):
        yield _fact("exposure", item, _stem(item), str(item.meta["count"]))


def _exposure_open(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(EXPOSURE, 1), len(of.exposure_facts), seed, of=of):
        yield _fact("exposure-open", item, dialect.open_prompt(item), str(item.meta["count"]))


def _open(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items({"format": 1}, len(of.format_facts), seed, of=of):
        yield _fact("open", item, dialect.open_prompt(item))


def _source(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items({"note": 1}, n, seed, of=of):
        yield _fact("source", item, dialect.open_prompt(item))


def _choice(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items({"format": 1, "note": 1, "novel": 1}, 3 * n, seed, of=of):
        gold = 0 if item.gold is None else item.gold
        yield _asked("choice", item, dialect.choice_prompt(item), dialect.letters(4), gold, item.meta["group"])


def _verdict(of: World, n: int, seed: Seed) -> Iterator[Item]:
    exposed = items(dict.fromkeys(EXPOSURE, 1), len(of.exposure_facts), seed, of=of)
    for item in (*items({"format": 1}, n, seed, of=of), *exposed):
        wrong = next(choice for choice in item.choices if choice != item.meta["value"])
        for right, proposed in enumerate((item.meta["value"], wrong)):
            prompt = dialect.verdict_prompt(item, proposed)
            twin = replace(item, id=f"{item.id}-{'FT'[right == 0]}")
            yield _asked("verdict", twin, prompt, list(dialect.verdicts()), right, item.meta["group"])


def _match(of: World, n: int, seed: Seed) -> Iterator[Item]:
    rng, made = seed.random(), 0
    while made < n:
        record = KINDS["match"].draw(of, rng)
        if not isinstance(record, Match) or record.form != "answer" or len(record.options) != 4:
            continue
        prompt = " ".join(KINDS["match"].render(of, (record,)).words[:-1])
        right = record.options.index(record.found[0])
        yield _asked("match", Item(id=f"match-{made}"), prompt, dialect.letters(4), right)
        made += 1


def _copy_back(of: World, n: int, seed: Seed) -> Iterator[Item]:
    rng = seed.random()
    for number in range(n // 4):
        record = KINDS["copy-back"].draw(of, rng)
        assert isinstance(record, Copied)
        words = " ".join(record.words)
        item = Item(id=f"copy-{number}", part="copy-back", source="brook")
        yield replace(
            item, id=f"copy-back:{number}", meta={"group": "", "prompt": f"{words} .", "continuation": f" {words}"}
        )


def _steps(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(_CHAINS, 1), n // 2, seed, of=of):
        yield _asked("steps", item, dialect.steps_prompt(item), DIGITS, int(item.answers[0]))


def _direct(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(SUMS, 1), 2 * n, seed, of=of):
        operations = str(item.meta["operations"])
        yield _asked("direct", item, dialect.open_prompt(item), DIGITS, int(item.answers[0]), operations)


def _corrupted(of: World, n: int, seed: Seed) -> Iterator[Item]:
    for item in items(dict.fromkeys(_CHAINS, 1), n, seed, of=of):
        wrong = (int(item.answers[0]) + seed.child(item.id).random().randrange(1, 10)) % 10
        lines = [*item.meta["steps"]]
        lines[-1] = f"{lines[-1].partition('=')[0]}= {wrong} ."
        shown = replace(item, meta={**item.meta, "hint": " ".join(lines)})
        yield _asked("corrupted", shown, dialect.open_prompt(shown), DIGITS, wrong)


# The kinds' readouts by check name; each makes about `n` items, or as many as there are facts.
CHECKS: Mapping[str, Make] = {
    "cloze": _cloze,
    "exposure": _exposure,
    "exposure-open": _exposure_open,
    "open": _open,
    "choice": _choice,
    "verdict": _verdict,
    "source": _source,
    "match": _match,
    "copy-back": _copy_back,
    "steps": _steps,
    "direct": _direct,
    "corrupted": _corrupted,
}
