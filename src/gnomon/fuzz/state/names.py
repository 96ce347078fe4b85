"""Names as people vary them: `userId`, `user_id` and `users/{id}` speak of one thing."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_identifier", "is_key", "kind_of", "plain", "singular", "subject_of", "words"]

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_KEYS = frozenset({"id", "ids", "uuid", "guid"})
_IDENTIFIERS = _KEYS | frozenset({"key", "slug", "code", "pk", "identifier", "name", "number", "ref"})


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """`("user", "id")` of userId, user_id, User-ID, user.id."""
    return tuple(word.lower() for word in _WORDS.findall(name))


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """`userid` of userId, user_id, User-ID."""
    return "".join(words(name))


@lru_cache(maxsize=4096)
def singular(word: str) -> str:
    """`city` of cities, `box` of boxes, `user` of users; other words as they are."""
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@lru_cache(maxsize=4096)
def is_identifier(name: str) -> bool:
    """Whether a name by itself says that it identifies something: id, user_id, orderNumber."""
    found = words(name)
    return bool(found) and found[-1] in _IDENTIFIERS


@lru_cache(maxsize=4096)
def is_key(name: str) -> bool:
    """Whether a name is that of an identifier and does not say of what: id, ids, uuid."""
    found = words(name)
    return len(found) == 1 and found[0] in _KEYS


def kind_of(name: str) -> str:
    """What a member may name that is called like a kind of thing and nothing else: `author` of author and authors."""
    return singular(plain(name))


@lru_cache(maxsize=4096)
def subject_of(name: str) -> str:
    """What a name identifies: `user` of userId; "" of a bare id."""
    found = words(name)
    return singular("".join(found[:-1])) if len(found) > 1 and found[-1] in _IDENTIFIERS else ""
