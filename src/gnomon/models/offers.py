"""What a server was seen to do; an endpoint asks nothing else of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gnomon.models.base import Ability, Readout

__all__ = ["Decides", "Offers", "best_readout"]

_READOUTS: tuple[tuple[Ability, Readout], ...] = (
    (Ability.SCORE, "exact"),
    (Ability.TOPK, "topk"),
    (Ability.DECIDE, "decision"),
)


class Decides(NamedTuple):
    """A route for typed questions: "/decisions" or "/systemone", and the instructions it wants, "" for none."""

    route: str
    instructions: str


@dataclass(frozen=True, kw_only=True)
class Offers:
    """What a server was seen to do.

    Attributes:
        chat, text: abilities by route; DECIDE by what may stand before the question.
        num_top_chat, num_top_text: most probable tokens it lists.
        honours_n: one call can draw several completions.
        draws_differ: it does sample; some servers are greedy whatever temperature they are asked for.
        continues: body fields that make it continue a last assistant message.
        decides: its route for typed questions; None where none was seen.
    """

    chat: frozenset[Ability] = frozenset({Ability.SAMPLE})
    text: frozenset[Ability] = frozenset({Ability.SAMPLE})
    num_top_chat: int = 0
    num_top_text: int = 0
    honours_n: bool = True
    draws_differ: bool = True
    continues: Mapping[str, Any] | None = None
    decides: Decides | None = None

    @property
    def can(self) -> frozenset[Ability]:
        """The abilities of the model as a whole; PREFILL is about chat wherever there is chat."""
        if Ability.SAMPLE not in self.chat:
            return self.text | self.chat
        return self.chat | (self.text - {Ability.PREFILL})


def best_readout(offered: frozenset[Ability]) -> Readout:
    """The best reading of probabilities among `offered`: full scores, top-k lists, typed questions, else samples."""
    return next((readout for ability, readout in _READOUTS if ability in offered), "sampled")
