"""Friends of format names, towns and their chiefs, and the words of small programs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.words import listed

if TYPE_CHECKING:
    from gnomon.data.worlds.brook.tables.world import World

__all__ = ["DIRECTIONS", "TOWNS", "WORDS", "Town", "friends", "towns"]

# In which order a town and its chief are said: the town first, or the chief first.
DIRECTIONS = ("forward", "reverse")
# Made up; no real place has these names.
TOWNS = listed(
    "arvenstow belquorth cazdell dulcroft drosgate frelmouth gorvale hurvick ilverfen jundale krethby lendrath "
    "mezport nivermark ombrick opprend parlhaven quenholt sprelton tolmarth vunstead wexomere yelmoor zarbrook"
)


class Town(NamedTuple):
    """A town with its chief, one of the world's people; `directions` are those in which a corpus says it."""

    name: str
    chief: str
    directions: tuple[str, ...]


@cache
def friends(of: World) -> Mapping[str, str]:
    """The friend of each format name, another format name; everyone is the friend of exactly one."""
    names = list(of.format_names)
    Seed(of.seed).child("brook", of.preset, "friends").random().shuffle(names)
    return dict(zip(names, (*names[1:], names[0]), strict=True))


@cache
def towns(of: World) -> tuple[Town, ...]:
    """Every town: a third said forward only, a third in reverse only, a third in both; no two have the same chief."""
    rng = Seed(of.seed).child("brook", of.preset, "chiefs").random()
    chiefs = rng.sample(of.people, len(TOWNS))
    told = [directions for directions in (("forward",), ("reverse",), DIRECTIONS) for _ in range(len(TOWNS) // 3)]
    rng.shuffle(told)
    return tuple(Town(*town) for town in zip(TOWNS, chiefs, told, strict=True))


# Words of these kinds that no other table has.
WORDS = (*listed("who friend chief plus minus add take times then 10 def f x return"), *TOWNS)
