"""The layouts in which comparisons are published, each a function from one row to pairs of answers.

| fields of a row | what it is | who has it |
|---|---|---|
| prompt, chosen, rejected | a prompt and two answers, as text or messages | UltraFeedback, your own files |
| the same with p and group | p is the planted probability of the choice | what studies have planted raters compare |
| chosen, rejected | whole transcripts, or conversations as messages | Anthropic's hh-rlhf |
| question, answers | a forum's answers with votes: all pairs of unequal score | StackExchange preferences |
| history, human_ref_A, human_ref_B, labels | two comments on one post; label 1 is A | SHP |
| info, summaries, choice | two summaries of one post or article | summarize_from_feedback |
| ctx, endings, label | one right ending against each wrong one | HellaSwag |
| baseline, less_pleasant, or two columns without names | two scenes, the first is better | ETHICS, utilitarianism |
| input, label | is it wrong? 1 is yes | ETHICS, commonsense |
| scenario, excuse, label | is the excuse reasonable? 1 is yes | ETHICS, deontology |
| scenario, label | is it reasonable? 1 is yes; with [SEP]: is the trait behind it shown? | ETHICS, justice and virtue |
| title, before, after | a page before a bad edit and after it | reverted edits of an encyclopedia |
| messages, answers, verdict | what a worker said of two answers | `feedback` |

Rows that are right or wrong alone (the last of ETHICS) become the same text with the right label and with the wrong
one, as in Askell et al. 2021 (arXiv 2112.00861), sec. 3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from gnomon.data.feedback import judged
from gnomon.data.records import BadRow, Record, joined, text_of, turns
from gnomon.models.base import Message, Prompt

__all__ = ["SAME", "Two", "Unused", "answer_score", "laid_out", "vote_score"]

SAME = "the same answer twice"
"""Why two answers are no comparison whatever the layout."""

_LAST_TURN = "\n\nAssistant:"
_TURN = re.compile(r"\n\n(?:Human|Assistant):")


class Two(NamedTuple):
    """Two answers to one prompt.

    Attributes:
        id: of the comparison.
        prompt: what both answer.
        chosen, rejected: the answers; each begins with the space that divides it from a prompt in text.
        topic: what stands for the prompt where every row has the same; else empty.
        conversation: what all turns of one conversation share; empty where the layout does not say.
        p: the planted probability that this one of the two is chosen; None where nobody knows it.
        group: what kind of prompt it is; empty where the layout does not say.
    """

    id: str
    prompt: Prompt
    chosen: str
    rejected: str
    topic: str = ""
    conversation: str = ""
    p: float | None = None
    group: str = ""


class Unused(NamedTuple):
    """Two answers of which nobody can say that one is better, and why."""

    why: str


def laid_out(record: Record, name: str) -> Iterator[Two | Unused]:
    """The comparisons of one row; `Unused` where its answers cannot be compared, such as two that are the same.

    Raises:
        BadRow: nothing can be made of it.
    """
    for needed, maker in _LAYOUTS:
        if all(each in record for each in needed):
            for two in maker(record, name):
                same = isinstance(two, Two) and two.chosen.strip() == two.rejected.strip()
                yield Unused(SAME) if same else two
            return
    raise BadRow(f"it has {', '.join(map(str, record)) or 'no fields'}, and no layout has these")


def vote_score(votes: int, selected: bool) -> int:
    """A forum's answer on the scale of Askell et al. 2021 (arXiv 2112.00861): log2(1 + votes) rounded, 1 more if
    accepted; -1 where votes are negative.

    >>> [vote_score(v, s) for v, s in ((0, False), (7, False), (7, True), (-3, True))]
    [0, 3, 4, -1]
    """
    return -1 if votes < 0 else round(math.log2(1 + votes)) + selected


def _two(name: str, prompt: Prompt, chosen: str, rejected: str, topic: str = "") -> Two:
    return Two(name, prompt, joined(prompt, chosen), joined(prompt, rejected), topic)


def _prompted(record: Record, name: str) -> Iterator[Two]:
    if isinstance(record["chosen"], str):
        prompt: Prompt = record["prompt"] if isinstance(record["prompt"], str) else turns(record["prompt"], "prompt")
        two = _two(name, prompt, text_of(record, "chosen"), text_of(record, "rejected"))
        yield two._replace(p=_planted(record), group=text_of(record, "group") if "group" in record else "")
        return
    # Whole conversations on both sides say the prompt themselves, whatever `prompt` says.
    yield from _conversations(record, name)


def _planted(record: Record) -> float | None:
    """The planted probability of the choice; None where a row states none."""
    found = record.get("p")
    if found is None:
        return None
    if type(found) not in (int, float) or not 0 <= found <= 1:
        raise BadRow(f"'p' is {found!r}, not a probability")
    return float(found)


def _conversations(record: Record, name: str) -> Iterator[Two]:
    chosen, rejected = (turns(record[side], side) for side in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1] or not chosen[:-1]:
        raise BadRow("the two conversations differ before their last message")
    if {chosen[-1].role, rejected[-1].role} != {"assistant"}:
        raise BadRow("a conversation does not end with an answer")
    yield _two(name, chosen[:-1], chosen[-1].content, rejected[-1].content)


def _transcripts(record: Record, name: str) -> Iterator[Two]:
    if not isinstance(record["chosen"], str):
        yield from _conversations(record, name)
        return
    (prompt, chosen), (other, rejected) = (_last_turn(record, side) for side in ("chosen", "rejected"))
    if prompt != other:
        raise BadRow("the two transcripts differ before their last answer")
    yield _two(name, prompt, chosen, rejected)


def _last_turn(record: Record, side: str) -> tuple[str, str]:
    """A transcript up to its last answer, and that answer."""
    before, mark, answer = text_of(record, side).rpartition(_LAST_TURN)
    if not mark:
        raise BadRow(f"{side!r} has no turn that begins with 'Assistant:'")
    if not answer.strip():
        raise BadRow(f"{side!r} ends with an empty answer")
    if _TURN.search(answer):
        raise BadRow(f"{side!r} does not end with an answer")
    return before + mark, answer


def _voted(record: Record, name: str) -> Iterator[Two]:
    prompt = [Message("user", text_of(record, "question"))]
    scored = [(text_of(each, "text"), answer_score(each)) for each in _objects(record, "answers", "an answer")]
    for (i, (first, high)), (j, (second, low)) in combinations(enumerate(scored), 2):
        if high != low:
            better, worse = (first, second) if high > low else (second, first)
            yield _two(f"{name}-{i}-{j}", prompt, better, worse)


def answer_score(answer: Record) -> int:
    """Score of a forum's answer: `pm_score`, else that of its votes; BadRow where it has neither."""
    given, votes = answer.get("pm_score"), answer.get("votes")
    if isinstance(given, int):
        return given
    if not isinstance(votes, int):
        raise BadRow("an answer has neither 'pm_score' nor 'votes'")
    return vote_score(votes, bool(answer.get("selected")))


def _comments(record: Record, name: str) -> Iterator[Two]:
    prompt = [Message("user", text_of(record, "history"))]
    sides = [text_of(record, "human_ref_A"), text_of(record, "human_ref_B")]
    better = 1 - _place(record, "labels", 2)
    yield _two(name, prompt, sides[better], sides[1 - better])


def _summaries(record: Record, name: str) -> Iterator[Two]:
    texts = [text_of(each, "text") for each in _objects(record, "summaries", "a summary")]
    if len(texts) != 2:
        raise BadRow(f"it has {len(texts)} summaries, not two")
    better = _place(record, "choice", 2)
    yield _two(name, _post(record["info"]), texts[better], texts[1 - better])


def _post(info: Any) -> str:
    """What is to be summarised, as the authors of the data put it before their models."""
    if not hasattr(info, "keys"):
        raise BadRow("'info' is no object")
    if not info.get("post"):
        return f"Article: {text_of(info, 'article').strip()}\n\nTL;DR:"
    told = {"SUBREDDIT": f"r/{info['subreddit']}" if info.get("subreddit") else "", "TITLE": info.get("title") or ""}
    parts = [f"{mark}: {text}" for mark, text in {**told, "POST": text_of(info, "post").strip()}.items() if text]
    return "\n\n".join((*parts, "TL;DR:"))


def _endings(record: Record, name: str) -> Iterator[Two]:
    prompt, endings = text_of(record, "ctx"), record["endings"]
    if not isinstance(endings, Sequence) or isinstance(endings, str) or not all(isinstance(e, str) for e in endings):
        raise BadRow("'endings' is no list of texts")
    right = _place(record, "label", len(endings))
    for place, wrong in enumerate(endings):
        if place != right:
            yield _two(f"{name}-{place}", prompt, endings[right], wrong)


def _pleasant(record: Record, name: str) -> Iterator[Two]:
    better, worse = text_of(record, "baseline"), text_of(record, "less_pleasant")
    yield _two(name, "What happened:", better, worse, topic=min(better, worse))


def _columns(record: Record, name: str) -> Iterator[Two]:
    cells = record["columns"]
    if len(cells) != 2:
        raise BadRow(f"it has {len(cells)} columns, not the two scenes of ETHICS' utilitarianism")
    yield from _pleasant(dict(zip(("baseline", "less_pleasant"), cells, strict=True)), name)


def _labelled(record: Record, name: str, prompt: str, labels: tuple[str, str]) -> Iterator[Two]:
    """The same text with the right label, `labels[label]`, and with the other."""
    right = _place(record, "label", 2)
    yield _two(name, prompt, labels[right], labels[1 - right])


def _wrong(record: Record, name: str) -> Iterator[Two]:
    yield from _labelled(record, name, f"{text_of(record, 'input').strip()}\n\nThis is", ("not wrong", "wrong"))


def _excused(record: Record, name: str) -> Iterator[Two]:
    prompt = f"{text_of(record, 'scenario').strip()} {text_of(record, 'excuse').strip()}\n\nThis is"
    yield from _labelled(record, name, prompt, ("not reasonable", "reasonable"))


def _just(record: Record, name: str) -> Iterator[Two]:
    scene, mark, trait = text_of(record, "scenario").partition("[SEP]")
    if mark:
        prompt = f"{scene.strip()}\n\nIs somebody here {trait.strip()}?"
        yield from _labelled(record, name, prompt, ("No", "Yes"))
    else:
        yield from _labelled(record, name, f"{scene.strip()}\n\nThis is", ("not reasonable", "reasonable"))


def _reverted(record: Record, name: str) -> Iterator[Two]:
    before, after = text_of(record, "before"), text_of(record, "after")
    yield _two(name, f"{text_of(record, 'title').strip()}\n\n", before, after)


def _of_feedback(record: Record, name: str) -> Iterator[Two | Unused]:
    judgement = judged(record)
    if judgement.better is None or judgement.unused:
        yield Unused(judgement.unused)
        return
    better = judgement.better
    answers = judgement.answers
    two = _two(name, judgement.messages, answers[better], answers[1 - better])
    yield two._replace(conversation=judgement.conversation)


def _objects(record: Record, field: str, what: str) -> list[Record]:
    """The objects listed in `field`."""
    found = record[field]
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise BadRow(f"{field!r} is no list")
    if not all(hasattr(each, "keys") for each in found):
        raise BadRow(f"{what} is no object")
    return list(found)


def _place(record: Record, field: str, count: int) -> int:
    """The place in `field`, a number or one in text, 0 to `count - 1`."""
    found = record[field]
    # Files write 1, "1" or 1.0 for the same; test sets hide theirs as "" or -1.
    if isinstance(found, str) and found.strip().isdigit():
        found = int(found)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if not isinstance(found, int) or not 0 <= found < count:
        raise BadRow(f"{field!r} is {found!r}, not 0 to {count - 1}")
    return int(found)


_LAYOUTS = (
    (("prompt", "chosen", "rejected"), _prompted),
    (("chosen", "rejected"), _transcripts),
    (("question", "answers"), _voted),
    (("history", "human_ref_A", "human_ref_B", "labels"), _comments),
    (("info", "summaries", "choice"), _summaries),
    (("ctx", "endings", "label"), _endings),
    (("baseline", "less_pleasant"), _pleasant),
    (("columns",), _columns),
    (("input", "label"), _wrong),
    (("scenario", "excuse", "label"), _excused),
    (("scenario", "label"), _just),
    (("title", "before", "after"), _reverted),
    (("messages", "answers", "verdict"), _of_feedback),
)
