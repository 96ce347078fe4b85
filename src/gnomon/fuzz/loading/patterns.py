"""Regular expressions as servers write them, in the dialect that validators read.

A pattern is kept where the validator compiles it. Else what Python, Java, PHP and older ECMAScript write differently is
put into the common form, one difference after the other; what is still no pattern then has no meaning to keep. Where
Python's `re`, which draws matching texts, cannot read what the validator can, the spelling that both read is taken.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

import jsonschema_rs

__all__ = ["is_common", "readable"]

_ESCAPES = {
    r"\Z": "$",
    r"\z": "$",
    r"\A": "^",
    r"\h": r"[ \t]",
    r"\e": r"\x1b",
    r"\R": r"(?:\r\n|\n|\r)",
    r"\p{Alnum}": "[A-Za-z0-9]",
    r"\p{Alpha}": "[A-Za-z]",
    r"\p{Digit}": "[0-9]",
    r"\p{Lower}": "[a-z]",
    r"\p{Upper}": "[A-Z]",
}
# For Python alone: letters and numbers as its classes have them.
_CLASSES = {r"\p{L}": r"[^\W\d_]", r"\p{N}": r"\d", r"\p{Nd}": r"\d", r"\P{L}": r"[\W\d_]"}
_ANCHORED = re.compile(r"/(\^.*\$)/[a-z]*", re.DOTALL)
_TOKEN = re.compile(r"\\[pP]\{\w+\}|\\[pP][A-Z]|\\c[A-Za-z]|\\u\{[0-9a-fA-F]+\}|\\.|\[\^?\]|\[|\]|.", re.DOTALL)


def is_common(pattern: str) -> bool:
    """Whether validators read a pattern as it stands, and as it is meant."""
    return _compiles(pattern) and not _ANCHORED.fullmatch(pattern)


@lru_cache(maxsize=10_000)
def readable(pattern: str) -> str | None:
    """The pattern as validators read it, as it stands where they do; None where it is no pattern in any dialect.

    >>> readable("^[a-z]+$"), readable("[\\\\w-.]"), readable("(")
    ('^[a-z]+$', '[\\\\w\\\\-.]', None)
    """
    anchored = _ANCHORED.fullmatch(pattern)
    if anchored:  # as it stands it compiles, and matches nothing
        pattern = anchored[1]
    if _compiles(pattern):
        return pattern if _in_python(pattern) else _for_python(pattern)
    delimited = re.fullmatch(r"/(.*)/[a-z]*", pattern, re.DOTALL)
    candidates = [_groups(_tokens(each, _ESCAPES)) for each in ((delimited[1], pattern) if delimited else (pattern,))]
    for candidate in candidates:
        if candidate != pattern and _compiles(candidate):
            return candidate
    return None


def _compiles(pattern: str) -> bool:
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern})
    except ValueError:
        return False
    return True


def _in_python(pattern: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _for_python(pattern: str) -> str:
    other = _tokens(pattern, _ESCAPES | _CLASSES)
    return other if _compiles(other) and _in_python(other) else pattern


def _tokens(pattern: str, words: dict[str, str]) -> str:
    """With escapes in common spelling, and what must be escaped in a class escaped."""
    out: list[str] = []
    tokens = _TOKEN.findall(pattern)
    inside = False
    for i, token in enumerate(tokens):
        if token in ("[^]", "[]"):
            out.append(r"[\s\S]" if token == "[^]" else r"[^\s\S]")
        elif inside:
            inside = token != "]"
            out.append(_in_class(tokens, i, words))
        elif token == "[":
            inside = True
            out.append(token)
        elif token == "{" and not re.match(r"\{\d*(,\d*)?\}", "".join(tokens[i : i + 24])):
            out.append(r"\{")
        else:
            out.append(_escape(token, words))
    return "".join(out)


def _in_class(tokens: list[str], i: int, words: dict[str, str]) -> str:
    token = tokens[i]
    if token == "[":
        return r"\["
    if token == "-" and (_is_set(tokens[i - 1]) or _is_set(tokens[i + 1] if i + 1 < len(tokens) else "")):
        return r"\-"
    word = _escape(token, words)
    # A class within a class: `[^\W\d_]` has no such form, the others lose their brackets.
    return token if word.startswith("[^") else word.removeprefix("[").removesuffix("]") if len(word) > 1 else word


def _is_set(token: str) -> bool:
    return token in (r"\w", r"\d", r"\s", r"\W", r"\D", r"\S")


def _escape(token: str, words: dict[str, str]) -> str:
    if token in words:
        return words[token]
    if token[:2] == r"\p" and len(token) == 3:
        return words.get(rf"\p{{{token[2]}}}", token)
    if token[:2] == r"\c":
        return rf"\x{ord(token[2].upper()) - 64:02x}"
    if token.startswith(r"\u{"):
        code = int(token[3:-1], 16)
        return rf"\u{code:04x}" if code < 0x10000 else chr(code) if code < 0x110000 else token
    return token


def _groups(pattern: str) -> str:
    """Without named, atomic and commented groups, and with a lower bound in every count."""
    names: list[str] = []

    def unnamed(match: re.Match[str]) -> str:
        names.append(match[1])
        return "("

    pattern = re.sub(r"\(\?P?<([A-Za-z_]\w*)>", unnamed, pattern)
    if names and len(re.findall(r"(?<!\\)\((?!\?)", pattern)) == len(names):
        for number, name in enumerate(names, 1):
            pattern = pattern.replace(rf"\k<{name}>", rf"\{number}").replace(f"(?P={name})", rf"\{number}")
    pattern = pattern.replace("(?>", "(?:").replace("{,", "{0,")
    return re.sub(r"\(\?#[^)]*\)", "", pattern)
