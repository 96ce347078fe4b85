"""What clients of text-only endpoints share: choosing by samples, prefills, stop strings, options in names."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

from gnomon.core.errors import UsageError, closest
from gnomon.models.base import Choice, Message, Model, Prompt, Sampling
from gnomon.models.readout import from_counts, match, split

__all__ = ["choose_by_samples", "cut_at", "extended", "parse_name", "trimmed"]


async def choose_by_samples(
    model: Model, prompt: Prompt, options: Sequence[str], samples: int, forceable: bool
) -> Choice:
    """Probabilities of `options` from `samples` completions at temperature 1.

    Args:
        samples: completions to draw.
        forceable: the model continues a text or prefill, so what the options begin with is put there. Otherwise it
            answers freely, and a completion counts for the option it begins with, its opening bracket optional.
    """
    parts = split(options)
    if forceable:
        prompt = extended(prompt, parts.forced)
        # A character is at most four tokens of a byte-level tokenizer, and nearly always less than one.
        budget = 4 + max(len(r) for r in parts.rests)
    else:
        budget = 16 + max(len(o) for o in options)
    drawn = await model.sample(prompt, Sampling(max_tokens=budget, temperature=1.0), samples)
    counts = [0] * len(options)
    for completion in drawn:
        hit = match(completion.text, parts.rests)
        if hit is None and not forceable:
            hit = match(completion.text, options)
        if hit is not None:
            counts[hit] += 1
    return from_counts(counts, len(drawn))


def extended(prompt: Prompt, text: str) -> Prompt:
    """`prompt` with `text` behind it: as text, or at the end of the assistant's message, which is begun if need be."""
    if isinstance(prompt, str) or not text:
        return prompt + text if isinstance(prompt, str) else prompt
    if prompt[-1].role == "assistant":
        return [*prompt[:-1], Message("assistant", prompt[-1].content + text)]
    return [*prompt, Message("assistant", text.lstrip())]


def trimmed(messages: Sequence[Message]) -> tuple[list[Message], str]:
    """`messages` without white space at the end of a last assistant message, and that white space.

    Chat templates and the Anthropic API drop or refuse it; the reply begins with it instead.
    """
    last = messages[-1]
    bare = last.content.rstrip()
    if last.role != "assistant" or bare == last.content:
        return list(messages), ""
    return [*messages[:-1], Message("assistant", bare)], last.content[len(bare) :]


def cut_at(text: str, stop: Sequence[str]) -> tuple[str, bool]:
    """`text` before the first stop string in it, and whether there was one.

    >>> cut_at("a. b", (".",))
    ('a', True)
    """
    ends = [at for s in stop if s and (at := text.find(s)) >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def parse_name(name: str, options: Sequence[str]) -> tuple[str, dict[str, str]]:
    """A model name taken apart: what stands before "?", and the options behind it.

    Raises:
        UsageError: an unknown option, or `samples` that is no whole number of 2 or more.
    """
    bare, _, query = name.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    for option in given:
        if option not in options:
            raise UsageError(f"no option {option!r}", where=name, todo=closest(option, options))
    samples = given.get("samples", "20")
    if not samples.isdecimal() or int(samples) < 2:
        raise UsageError(f"samples={samples} must be a whole number, 2 or more", where=name)
    return bare, given
