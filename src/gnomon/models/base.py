"""The one protocol every model speaks, whatever is behind it: weights, an endpoint, a formula or a person.

A method is written against `Model` and asks `require` for the abilities it needs. Abilities are proved by
`models.probe`, never assumed from a name.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from gnomon.core.errors import AbilityError

__all__ = ["Ability", "Choice", "Completion", "Message", "Model", "Prompt", "Readout", "Sampling", "Score", "require"]


class Message(NamedTuple):
    """One turn of a conversation; `role` is system, user or assistant."""

    role: Literal["system", "user", "assistant"]
    content: str


# A string is continued as it stands. Messages go through the chat template; a last assistant message is a
# prefill that the model continues.
Prompt: TypeAlias = str | Sequence[Message]

# How the probabilities of a `Choice` were read.
Readout: TypeAlias = Literal["exact", "topk", "decision", "sampled"]


class Ability(enum.StrEnum):
    """What a model can do."""

    SAMPLE = "sample"
    PREFILL = "prefill"
    TOPK = "topk"
    DECIDE = "decide"
    SCORE = "score"
    REWARD = "reward"
    ACTIVATIONS = "activations"
    GRADIENTS = "gradients"
    TOOLS = "tools"


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample.

    Attributes:
        max_tokens: most new tokens a completion may have.
        temperature: 0 is greedy; 1 samples from the model's own distribution.
        top_p: nucleus mass in (0, 1].
        stop: the completion ends before the first of these strings, which is not part of the text.
        seed: the draw's seed; the same seed and prompt give the same completions.
        tools: tool declarations in JSON-schema form, for models with TOOLS.
        on_token: called with each new piece of text as it arrives.
        logprobs: asks a server that can to tell the log-probability of what it draws; local models tell always.
    """

    max_tokens: int = 64
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    tools: tuple[Mapping[str, Any], ...] = ()
    on_token: Callable[[str], None] | None = field(default=None, compare=False)
    logprobs: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One sampled continuation.

    Attributes:
        text: without the prompt and without the stop string.
        finish: "stop" (stop string or end of text), "length" or "error".
        num_tokens: new tokens, the end-of-text token included.
        logprob: their summed log-probability in nats at temperature 1; None where the model does not say.
        raw: the endpoint's own record, secrets removed; empty for local models.
        tokens: their ids, a stop string's included; empty where the model does not say.
        logprobs: log-probability of each of `tokens`, in nats at temperature 1; empty where the model does not say.
    """

    text: str
    finish: str
    num_tokens: int
    logprob: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Log-probabilities of a given continuation, one per token, in nats, shape [t]."""

    logprobs: tuple[float, ...]

    @property
    def total(self) -> float:
        """The continuation's log-probability in nats."""
        return sum(self.logprobs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Probabilities of given options.

    Attributes:
        p: shape [len(options)], sums to 1.
        mass: the options' total probability before normalising, in [0, 1].
        readout: how it was read.
        n: samples behind it; 0 where nothing was sampled.
        low, high: bounds of `p` where the endpoint hid some options' probabilities; equal to `p` otherwise.
    """

    p: tuple[float, ...]
    mass: float
    readout: Readout
    n: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@runtime_checkable
class Model(Protocol):
    """Anything that answers prompts.

    Attributes:
        name: as the user wrote it: "brook", "hf:FOLDER", "run:7f3a", "openai:x", "anthropic:x",
            "http://host:8000/v1#name", "planted:biased?b=0.4".
        revision: content hash or version string of what answered; part of a run's identity.
        can: the abilities.
    """

    name: str
    revision: str
    can: frozenset[Ability]

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """`n` independent continuations of `prompt`; needs SAMPLE."""
        ...

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Log-probabilities of `continuation` after `prompt`; needs SCORE."""
        ...

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Probabilities of whole continuations (`" (A)"`, `" mill"`); needs SCORE, TOPK, DECIDE or SAMPLE.

        What all options begin with is forced, and what all end with is not scored, so no tokenizer's
        merging matters and letters cost one forward.
        """
        ...

    async def reward(self, prompt: Prompt) -> float:
        """The scalar head's value at the last token; needs REWARD."""
        ...

    async def close(self) -> None:
        """Releases connections and threads; the model is not used afterwards."""
        ...


def require(
    model: Model,
    *abilities: Ability,
    why: str,
    todo: str = "use a model that offers it, or leave this part out with --only",
) -> None:
    """Raises `AbilityError` unless `model` has one of `abilities`; `why` names the method that needs it."""
    if not model.can.intersection(abilities):
        wanted = " or ".join(a.value.upper() for a in abilities)
        has = ", ".join(sorted(a.value.upper() for a in model.can)) or "nothing"
        raise AbilityError(
            f"{why} needs {wanted}, and model {model.name!r} can {has}",
            todo=todo,
        )
