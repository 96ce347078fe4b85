"""Texts with a number at every token, as coloured words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gnomon.report.base import Figure

__all__ = ["Token", "TokenText", "tokens"]

# Letters a line: with letters of 11 pixels it fits a phone.
_LINE, _LINE_PX = 46, 24
_WIDE = 0.7
# Pale colours, so that dark text reads on every one of them.
_SHADES = ("#eba58f", "#f4f1e8", "#8fbfe6")


class Token(NamedTuple):
    """A token's text, and what was read at it: in [0, 1], or any difference."""

    text: str
    value: float


class TokenText(NamedTuple):
    """A text, token by token, and what stands above it."""

    label: str
    tokens: Sequence[Token]


def tokens(
    texts: Sequence[TokenText],
    *,
    legend: str,
    title: str,
    caption: str = "",
    section: str = "",
    differences: bool = False,
) -> Figure:
    """The texts one below the other, each token on a colour that says its value; `legend` names the values.

    Args:
        differences: values are more (red) or less (blue) than 0; else they are shares, red at 0 and blue at 1.
    """
    import altair as alt

    boxes, labels, line = [], [], 0
    for text in texts:
        labels.append({"y": line + 0.75, "label": text.label})
        placed = _placed(text.tokens)
        boxes += [{**box, "top": line + 1 + box["line"], "bottom": line + 1.85 + box["line"]} for box in placed]
        line += 2 + int(max((box["line"] for box in placed), default=0))
    x = alt.X("start:Q", axis=None, scale=alt.Scale(domain=[0, _LINE], nice=False))
    y = alt.Y("top:Q", axis=None, scale=alt.Scale(domain=[line, 0], nice=False))
    base = alt.Chart(alt.InlineData(values=boxes)).encode(x=x, y=y)
    most = max((abs(box["value"]) for box in boxes), default=1.0) or 1.0
    shades = alt.Scale(domain=[most, 0, -most] if differences else [0, 0.5, 1], range=[*_SHADES])
    tips = [alt.Tooltip("text:N", title="token"), alt.Tooltip("value:Q", title=legend, format=".3f")]
    rects = base.mark_rect(cornerRadius=2).encode(
        x2="end:Q",
        y2="bottom:Q",
        color=alt.Color("value:Q", scale=shades, title=legend, legend=alt.Legend(orient="top")),
        tooltip=tips,
    )
    words = base.mark_text(fontSize=11, font="ui-monospace, Menlo, Consolas, monospace").encode(
        x=alt.X("middle:Q", axis=None), y=alt.Y("centre:Q", axis=None), text="text:N", color=alt.value("#1d1c19")
    )
    words = words.transform_calculate(middle="(datum.start + datum.end) / 2", centre="(datum.top + datum.bottom) / 2")
    heads = alt.Chart(alt.InlineData(values=labels)).mark_text(
        align="left", baseline="bottom", fontSize=11, opacity=0.75
    )
    heads = heads.encode(x=alt.datum(0), y=alt.Y("y:Q"), text="label:N")
    spec = alt.layer(rects, words, heads, height=max(1, line) * _LINE_PX).to_dict()
    spec.pop("config", None)
    return Figure(title=title, spec=spec, caption=caption, section=section)


def _placed(of: Sequence[Token]) -> list[dict[str, Any]]:
    """Each token's place: line, and where it starts and ends on it, in letters."""
    found: list[dict[str, Any]] = []
    line, at = 0, 0.0
    for token in of:
        shown = token.text.strip() or "↵" * ("\n" in token.text) or "·"
        width = min(len(shown) + _WIDE, _LINE)
        if at + width > _LINE:
            line, at = line + 1, 0.0
        found.append({"text": shown, "value": token.value, "line": line, "start": at, "end": at + width})
        at += width + 0.15
    return found
