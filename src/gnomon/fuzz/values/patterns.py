"""Patterns of JSON Schema (ECMA-262) as Python has them, with a length where the pattern lets it be written in."""

from __future__ import annotations

import re

__all__ = ["bounded", "to_python"]

PROPERTIES = {
    "L": "a-zA-Zéßж",
    "Letter": "a-zA-Zéßж",
    "Lu": "A-ZÉЖ",
    "Ll": "a-zéßж",
    "N": "0-9",
    "Nd": "0-9",
    "P": "!-#%-*,-/:;?@_",
    "Z": " ",
    "Zs": " ",
    "S": "$+<=>^|~",
}
"Some of the characters of a Unicode property; values are drawn from these alone."

TOKEN = re.compile(r"\\p\{(?:\w+=)?(\w+)\}|\\[dDwWsS]|\\.|\(\?<(?![=!])|\[\^?\]?|\]|\$|.", re.DOTALL)
CLASSES = {r"\d": "0-9", r"\w": "a-zA-Z0-9_", r"\s": r" \t\n\r\f\v"}
REPEATED = re.compile(
    r"\^?(?P<unit>\[\^?(?:\\.|[^\]\\])+\]|\\[dw]|\.)(?P<count>[*+]|\{(?P<low>\d+)(?P<comma>,)?(?P<high>\d+)?\})\$"
)


def to_python(pattern: str) -> str:
    """The pattern for `re`: `$` is the very end, classes are ASCII, groups and properties are written its way.

    >>> to_python("^\\\\d+$")
    '^[0-9]+\\\\Z'
    >>> to_python("[\\\\p{Lu}x](?<y>a)")
    '[A-ZÉЖx](?P<y>a)'
    """
    found, inside = [], False
    for match in TOKEN.finditer(pattern):
        token = match.group()
        if match.group(1):
            letters = PROPERTIES.get(match.group(1), "a-z")
            found.append(letters if inside else f"[{letters}]")
        elif token in CLASSES:
            found.append(CLASSES[token] if inside else f"[{CLASSES[token]}]")
        elif not inside and token.startswith("[") and token != "[":
            inside = True
            found.append(token)
        elif token == "[":
            found.append(r"\[" if inside else token)
            inside = True
        elif token == "]":
            inside = False
            found.append(token)
        else:
            found.append({"$": r"\Z", "(?<": "(?P<", r"\/": "/", r"\Z": "Z"}.get(token, token) if not inside else token)
    return "".join(found)


def bounded(pattern: str, low: int, high: int | None) -> str | None:
    """The pattern with a length written into it where it is one repeated class; else None.

    >>> bounded("^[a-z]+$", 3, 8)
    '^[a-z]{3,8}$'
    >>> bounded("^(ab)+$", 3, 8) is None
    True
    """
    match = REPEATED.fullmatch(pattern)
    if match is None or not pattern.startswith("^"):
        return None
    least = int(match["low"] or 0) if match["count"].startswith("{") else int(match["count"] == "+")
    most = int(match["high"]) if match["high"] else least if match["low"] and not match["comma"] else None
    ends = [end for end in (most, high) if end is not None]
    least = max(least, low)
    most = min(ends) if ends else None
    if most is not None and most < least:
        return None
    return f"^{match['unit']}{{{least},{'' if most is None else most}}}$"
