"""A model whose weights are here: scores, chooses, samples, and gives its activations and gradients.

    model = load("brook")                                   # gnomon.models.load
    choice = await model.choose("Q: … A:", [" (A)", " (B)"])

Every call is awaited alone and answered together with all others in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard, cast

import torch
from torch import Tensor

from gnomon.core.errors import DataError, UsageError
from gnomon.models.base import Ability, Choice, Completion, Prompt, Sampling, Score, require
from gnomon.models.batcher import Batcher
from gnomon.models.cache import KVCache
from gnomon.models.decode import Decoder
from gnomon.models.engine import Asked, Choosing, Engine, Listed, Place, Rewarding, Sampled, Scored
from gnomon.models.headers import Headers, Net
from gnomon.models.hooks import Plan
from gnomon.models.scoring import Scorer
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer

__all__ = ["Adapter", "Fit", "Head", "LocalModel"]

# Final hidden states [N, D] to values [N] or [N, 1].
Head = Callable[[Tensor], Tensor]

_TEXT = (Ability.SAMPLE, Ability.PREFILL, Ability.TOPK, Ability.SCORE)
# Measured on models of a few million parameters: larger batches leave the processor's cache.
_CPU_BATCH_TOKENS, _GPU_BATCH_TOKENS = 1024, 16_384
_CPU_ROWS, _GPU_ROWS = 64, 256
_CPU_CACHE_BYTES, _GPU_CACHE_SHARE = 1 << 30, 0.3


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the engine must know about a network.

    Attributes:
        device: where it is.
        limit: longest context in tokens.
        tree: whether it takes any mask and any positions.
        held_bytes: what its cache needs for a token.
        new_cache: makes an empty cache.
    """

    device: torch.device
    limit: int
    tree: bool
    held_bytes: int
    new_cache: Callable[[], KVCache]


class Adapter(Net, Protocol):
    """A network that is not `Transformer` and says itself how it fits."""

    @property
    def fit(self) -> Fit:
        """What the engine must know."""
        ...


class LocalModel:
    """A network, its tokenizer and the engine that keeps it busy; `gnomon.models.base.Model`.

    Attributes:
        name, revision, can: as in `Model`.
        net: the network; its weights may be changed between calls if `weights_changed` is called afterwards.
        tokenizer: its tokenizer.
        head: the scalar head behind `reward`; None where there is none.
        read_at: the token at which the head reads a text, put behind it; "" where it reads the text's own last one.
        recipe: what the folder says about how its weights were made (`recipe.json`); empty where it says nothing.
    """

    def __init__(
        self,
        net: Transformer | Adapter,
        tokenizer: Tokenizer,
        *,
        name: str,
        revision: str = "",
        head: Head | None = None,
        read_at: str = "",
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        """A model around a network that is on its device already.

        Args:
            net: the network.
            tokenizer: its tokenizer.
            name: as the user wrote it.
            revision: content hash of the weights.
            head: scalar head on the final hidden state of the last token.
            read_at: token that is put behind a text before its value is read; "" reads the text's own last token.
            recipe: how the weights were made.
        """
        self.name, self.revision, self.recipe = name, revision, recipe or {}
        # Typed for those who hold ACTIVATIONS; without that ability it is an `Adapter`.
        self.net, self.tokenizer, self.head, self.read_at = cast(Transformer, net), tokenizer, head, read_at
        fit = _fit(net) if isinstance(net, Transformer) else net.fit
        white = (Ability.ACTIVATIONS, Ability.GRADIENTS) if isinstance(net, Transformer) else ()
        self.can = frozenset((*_TEXT, *white, *([Ability.REWARD] if head is not None else [])))
        self.engine = _engine(cast(Net, net), tokenizer, fit, name, head)
        self._batcher = Batcher(self.engine.turn, _size)

    async def sample(self, prompt: Prompt | Sequence[int], how: Sampling, n: int = 1) -> list[Completion]:
        """`n` independent continuations; a prompt may also be given as token ids.

        A completion is a function of prompt, `how` and its number, whatever else is decoded beside it. Prompt and
        completion laid end to end are the whole text: a leading space is kept.

        Raises:
            UsageError: settings that make no sense, such as a negative temperature.
            AbilityError: tools are declared.
            ModelError: the prompt fills the context.
        """
        _check_sampling(how, n)
        if how.tools:
            require(self, Ability.TOOLS, why="sampling with tools")
        given: str | tuple[int, ...]
        if _is_ids(prompt):
            given, special = tuple(prompt), False
        else:
            given, special = self._rendered(cast(Prompt, prompt))
        found: list[Completion] = await self._batcher.ask(Sampled(prompt=given, special=special, how=how, n=n))
        return found

    async def listed(self, tokens: Sequence[int], start: int, top: int = 0) -> list[Place]:
        """What the model makes of a text from its token `start` on: its log-probabilities, and what it would have said.

        Args:
            tokens: ids of the whole text.
            start: the first one wanted, 1 or more.
            top: how many of the most probable tokens to list at each place.

        Raises:
            UsageError: `start` is not in the text.
            ModelError: the text is longer than the context.
        """
        if not 1 <= start < len(tokens):
            raise UsageError(f"start is {start}, and the text has {len(tokens)} tokens", where="listed")
        found: list[Place] = await self._batcher.ask(Listed(prompt=tuple(tokens), start=start, top=top))
        return found

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Log-probabilities of the tokens of `continuation`; see `gnomon.models.spans` for where they begin.

        Raises:
            ModelError: the text is longer than the context.
        """
        if not continuation:
            return Score(logprobs=())
        text, special = self._rendered(prompt)
        found: Score = await self._batcher.ask(Scored(prompt=text, special=special, text=continuation))
        return found

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Probabilities of whole continuations; the readout is "exact".

        Raises:
            DataError: fewer than two options, or two alike.
            ModelError: the text is longer than the context.
        """
        if len(options) < 2 or len(set(options)) < len(options) or not all(options):
            raise DataError(f"options {list(options)!r} must be two or more, not empty, all different")
        text, special = self._rendered(prompt)
        found: Choice = await self._batcher.ask(Choosing(prompt=text, special=special, options=tuple(options)))
        return found

    async def reward(self, prompt: Prompt) -> float:
        """The scalar head's value of a whole text, at its last token or at the one it was trained to end texts with.

        Raises:
            AbilityError: the model has no head.
        """
        require(self, Ability.REWARD, why="a reward")
        text, special = self._rendered(prompt)
        found: float = await self._batcher.ask(Rewarding(prompt=text + self.read_at, special=special))
        return found

    def run(self, tokens_BT: Tensor, plan: Plan | None = None) -> Tensor:
        """Logits [B, T, V] of one forward in the calling thread, gradients included.

        Args:
            tokens_BT: token ids.
            plan: activations to read and write on the way.

        Raises:
            AbilityError: the architecture is one that `transformers` runs for us.
        """
        require(self, Ability.ACTIVATIONS, why="reading activations")
        logits: Tensor = self.net(tokens_BT.to(self.engine.scorer.headers.device), plan=plan)
        return logits

    def weights_changed(self) -> None:
        """Forgets what was computed with earlier weights; call it after a training step, with no calls in flight."""
        self.engine.scorer.headers.clear()

    async def close(self) -> None:
        """Ends the worker thread."""
        self._batcher.close()

    def _rendered(self, prompt: Prompt) -> tuple[str, bool]:
        """The prompt's text, and whether the tokenizer adds its special tokens to it."""
        if isinstance(prompt, str):
            return prompt, True
        return self.tokenizer.chat(prompt), self.tokenizer.chat_template is None


def _fit(net: Transformer) -> Fit:
    config, weight = net.config, net.embed.weight
    return Fit(
        device=weight.device,
        limit=config.max_positions,
        # A smeared key mixes in the key of the slot before it, which in a tree may be another branch's.
        tree=not config.smear_keys,
        held_bytes=2 * config.num_layers * config.num_kv_heads * config.d_head * weight.element_size(),
        new_cache=lambda: KVCache(config.num_layers),
    )


def _engine(net: Net, tokenizer: Tokenizer, fit: Fit, name: str, head: Head | None) -> Engine:
    """An engine with budgets that suit the device."""
    on_gpu = fit.device.type == "cuda"
    batch_tokens = _GPU_BATCH_TOKENS if on_gpu else _CPU_BATCH_TOKENS
    cache_bytes = int(torch.cuda.mem_get_info(fit.device)[0] * _GPU_CACHE_SHARE) if on_gpu else _CPU_CACHE_BYTES
    headers = Headers(net, fit.new_cache, fit.device)
    decoder = Decoder(
        net,
        headers,
        tokenizer,
        tree=fit.tree,
        batch_tokens=batch_tokens,
        max_rows=_GPU_ROWS if on_gpu else _CPU_ROWS,
        max_held_tokens=cache_bytes // max(1, fit.held_bytes),
    )
    scorer = Scorer(net, headers, tree=fit.tree, batch_tokens=batch_tokens, head=head)
    return Engine(scorer, decoder, tokenizer, limit=fit.limit, name=name)


def _check_sampling(how: Sampling, n: int) -> None:
    """Raises `UsageError` for settings that make no sense."""
    wrong = [
        (how.max_tokens < 1, f"max_tokens is {how.max_tokens}", "1 or more"),
        (not how.temperature >= 0, f"temperature is {how.temperature}", "0 or more"),
        (not 0 < how.top_p <= 1, f"top_p is {how.top_p}", "in (0, 1]"),
        (n < 1, f"n is {n}", "1 or more"),
        (n > 1 and how.on_token is not None, f"on_token hears one stream, and n is {n}", "1 when streaming"),
        (not all(how.stop), "a stop string is empty", "non-empty stop strings"),
    ]
    for is_wrong, what, wanted in wrong:
        if is_wrong:
            raise UsageError(what, where="sampling", todo=f"give {wanted}")


def _is_ids(prompt: Prompt | Sequence[int]) -> TypeGuard[Sequence[int]]:
    return not isinstance(prompt, str) and bool(prompt) and isinstance(prompt[0], int)


def _size(asked: Asked) -> int:
    if isinstance(asked, Choosing):
        return len(asked.options) * len(asked.prompt)
    return len(asked.prompt)
