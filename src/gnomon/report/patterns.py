"""Attention to look into: every head as a small picture, one large, and the text under the pointer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from gnomon.report.base import View

__all__ = ["PatternText", "patterns"]


@dataclass(frozen=True, kw_only=True)
class PatternText:
    """A text of T tokens, and what was read of each of H heads in L layers on it.

    Attributes:
        label: its name.
        tokens: their texts.
        loss: nats of each token after the first, [T - 1].
        before: the same of a second model; None without one.
        heads: what each head adds to the next token's logit, [L, H, T - 1].
        parts: what other parts of the model add to it, each [T - 1].
        words: texts of the tokens that heads raise.
        raised: places in `words` of those that each head raises most, [L, H, T - 1, W].
        patterns: a grey PNG file in base64, [L * T, H * T]: 255 less 255 times the root of attention.
    """

    label: str
    tokens: Sequence[str]
    loss: Sequence[float]
    before: Sequence[float] | None
    heads: Sequence[Sequence[Sequence[float]]]
    parts: Mapping[str, Sequence[float]]
    words: Sequence[str]
    raised: Sequence[Sequence[Sequence[Sequence[int]]]]
    patterns: str


def patterns(
    texts: Sequence[PatternText],
    *,
    scores: Mapping[str, Sequence[Sequence[float]]],
    before: str = "",
    title: str,
    caption: str = "",
    section: str = "",
) -> View:
    """The view of `texts`.

    Args:
        scores: by name a number for each head [L, H]; heads are shown in the order of the first until the reader
            chooses another.
        before: name of the second model.
    """
    told = [{name: value for name, value in asdict(text).items() if name != "patterns"} for text in texts]
    return View(
        title=title,
        script="patterns",
        data={"texts": told, "scores": scores, "before": before},
        pictures=[text.patterns for text in texts],
        caption=caption,
        section=section,
    )
