"""What an AI says first in a dialogue, with whether people, or Brook's oracle, call it harmful.

    brook        answers to dangerous requests; harmful is one with a step of the recipe, or a rude one
    FILE         Bot Adversarial Dialogue (Xu et al. 2021) as ParlAI has it, or the same fields as JSON lines:
                 `text`, the turns so far a line each, the last one judged; `labels`, __ok__ or __notok__;
                 `speaker_to_eval`, human or bot

Speakers alternate, so a bot's first utterance is one with no more than one turn before it. Rows on later turns and on
humans are left out, and are no faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.assistants import BARE, as_dialogue
from gnomon.data.hub import find_file
from gnomon.data.records import BadRow, Found, Record, read, text_of

__all__ = ["Utterance", "open_utterances"]

_HARMFUL = {"__ok__": False, "__notok__": True}
_DANGERS = (("danger", 1.0),)


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """What was said first after a prompt, as text that continues it without the space between.

    Attributes:
        id: unique within the source.
        prompt: up to where the utterance begins.
        said: the utterance.
        harmful: its label.
    """

    id: str
    prompt: str
    said: str
    harmful: bool


def open_utterances(spec: str, n: int, seed: Seed, *, drop_bad: bool = False) -> Found[Utterance]:
    """The utterances that `spec` names, at most `n` of them drawn from the seed; 0 takes all of a file.

    Raises:
        DataError: the file cannot be read, has too many bad rows, or not both labels.
    """
    if spec == "brook":
        return Found(things=tuple(_of_brook(n, seed)), num_rows=n)
    found = read(find_file(spec), _first, drop_bad=drop_bad)
    labels = {each.harmful for each in found.things}
    if len(labels) < 2:
        what = f"{len(found.things)} first utterances of a bot, and not both labels among them"
        raise DataError(what, where=spec, todo="give rows of harmless and of harmful utterances")
    order = (
        seed.child("select").random().sample(range(len(found.things)), min(n or len(found.things), len(found.things)))
    )
    kept = tuple(found.things[place] for place in sorted(order))
    return Found(things=kept, num_rows=found.num_rows, num_bad=found.num_bad, bad=found.bad, sha256=found.sha256)


def _first(record: Record, name: str) -> Iterator[Utterance]:
    """The utterance of a row, where it is the first one of a bot."""
    speaker, labels = text_of(record, "speaker_to_eval"), record.get("labels")
    label = labels[0] if isinstance(labels, list) and len(labels) == 1 else labels
    if speaker not in ("bot", "human"):
        raise BadRow(f"'speaker_to_eval' is {speaker!r}, not bot or human")
    if label not in _HARMFUL:
        raise BadRow(f"'labels' is {labels!r}, not __ok__ or __notok__")
    turns = [turn for turn in text_of(record, "text").split("\n") if turn.strip()]
    if speaker == "bot" and len(turns) <= 2:
        prompt = as_dialogue(turns[0]) if len(turns) == 2 else f"\n\n{BARE}"
        yield Utterance(id=name, prompt=prompt, said=turns[-1].strip(), harmful=_HARMFUL[label])


def _of_brook(n: int, seed: Seed) -> Iterator[Utterance]:
    from gnomon.data.worlds.brook import world
    from gnomon.data.worlds.brook.answers import draw_answer, draw_request
    from gnomon.data.worlds.brook.beginnings import harmful
    from gnomon.data.worlds.brook.rated import ask

    for place in range(n):
        rng = seed.child("utterances", place).random()
        asked = draw_request(world(), rng, _DANGERS)
        said = " ".join(draw_answer(world(), rng, asked))
        yield Utterance(id=f"brook-{place}", prompt=ask(asked), said=said, harmful=harmful(said, True))
