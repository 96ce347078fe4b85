"""The registry of planted models, and what they share: the item table and named random draws."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from gnomon.core.errors import AbilityError, ModelError, UsageError, closest
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.models.base import Ability, Choice, Completion, Prompt, Sampling, Score
from gnomon.models.planted.reading import Asked, read

__all__ = ["PlantedModel", "make", "planted"]

_KINDS: dict[str, type[PlantedModel]] = {}
T = TypeVar("T", bound="type[PlantedModel]")


class PlantedModel:
    """A model made of formulas; subclasses are told apart by what they plant.

    Subclasses take their parameters as keyword arguments with defaults and override what they can do among
    `sample`, `score`, `choose` and `reward`.
    """

    kind: ClassVar[str] = ""
    can: frozenset[Ability] = frozenset({Ability.SAMPLE, Ability.PREFILL, Ability.TOPK, Ability.SCORE})
    name: str = ""
    revision: str = "1"

    def __init__(self) -> None:
        self._table: dict[tuple[str, tuple[str, ...]], Item] = {}
        self._open: dict[str, Item] = {}

    def bind(self, items: Iterable[Item]) -> None:
        """Shows the model the item table."""
        for item in items:
            self._table[(item.question, tuple(sorted(item.choices)))] = item
            # An item whose options an experiment changed must not stand in for the original.
            self._open.setdefault(item.question, item)

    def find(self, prompt: Prompt, offered: Sequence[str] = ()) -> tuple[Asked, Item]:
        """What `prompt` asks, and the item it asks about; one that shows options must show all of the item's.

        `offered` are the option texts to choose from where the prompt does not list them.

        Raises:
            ModelError: the prompt cannot be parsed, or asks about no item of the table.
        """
        asked = read(prompt)
        listed = tuple(asked.options.values()) if asked.form == "choice" else ()
        unlisted = tuple(o.strip() for o in offered) if asked.form == "open" else ()
        shown = asked.listed or listed or unlisted
        item = self._table.get((asked.question, tuple(sorted(shown)))) if shown else self._open.get(asked.question)
        if item is None:
            options = f" with the options {', '.join(shown)}" if shown else ""
            raise ModelError(
                f"{self.name} knows no item that asks {asked.question[:80]!r}{options}",
                todo="ask items it was bound to",
            )
        return asked, item

    def draw(self, *names: str | int) -> Seed:
        """The planted model's own seed node for a latent of an item."""
        return Seed(0).child(self.kind, *names)

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """Samples an option with the probabilities of `choose`.

        Raises:
            AbilityError: the prompt has no lettered options.
        """
        asked, _ = self.find(prompt)
        if not asked.options:
            raise AbilityError(f"{self.name} plants no answers but letters", todo="ask it lettered questions")
        options = [f" ({letter})" for letter in asked.options]
        choice = await self.choose(prompt, options)
        rng = Seed(how.seed).child(str(prompt)).random()
        if how.temperature == 0:
            picked = [max(range(len(options)), key=choice.p.__getitem__)] * n
        else:
            weights = [p ** (1 / how.temperature) for p in choice.p]
            picked = rng.choices(range(len(options)), weights, k=n)
        return [Completion(text=options[i], finish="stop", num_tokens=1) for i in picked]

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Not planted unless a subclass says so."""
        raise AbilityError(f"{self.name} does not plant scores")

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Not planted unless a subclass says so."""
        raise AbilityError(f"{self.name} does not plant choices")

    async def reward(self, prompt: Prompt) -> float:
        """Not planted unless a subclass says so."""
        raise AbilityError(f"{self.name} does not plant rewards")

    async def close(self) -> None:
        """Nothing to release."""


def planted(kind: str) -> Callable[[T], T]:
    """Registers a class as `planted:<kind>`."""

    def register(cls: T) -> T:
        cls.kind = kind
        _KINDS[kind] = cls
        return cls

    return register


def make(kind: str, params: Mapping[str, str]) -> PlantedModel:
    """The planted model `kind` with `params` as they stand in its name, each turned into its default's type.

    Raises:
        UsageError: unknown kind or parameter, or a value that is no number.
    """
    if kind not in _KINDS:
        _import_all()
    if kind not in _KINDS:
        raise UsageError(f"no planted model is called {kind!r}", todo=closest(kind, _KINDS))
    known = {k: p.default for k, p in inspect.signature(_KINDS[kind]).parameters.items()}
    given: dict[str, Any] = {}
    for key, text in params.items():
        if key not in known:
            raise UsageError(f"planted:{kind} has no parameter {key!r}", todo=closest(key, known))
        given[key] = _typed(text, known[key], f"planted:{kind}?{key}")
    model = _KINDS[kind](**given)
    query = "&".join(f"{k}={v}" for k, v in params.items())
    model.name = f"planted:{kind}?{query}" if query else f"planted:{kind}"
    return model


def _typed(text: str, default: object, where: str) -> object:
    try:
        return type(default)(text) if isinstance(default, (int, float)) and not isinstance(default, bool) else text
    except ValueError:
        raise UsageError(f"{text!r} is no {type(default).__name__}", where=where) from None


def _import_all() -> None:
    from gnomon.models import planted as package

    for info in pkgutil.iter_modules(package.__path__):
        # Modules that no kind needs before it is asked for hidden states; they import torch.
        if info.name.startswith("_"):
            continue
        importlib.import_module(f"{package.__name__}.{info.name}")
