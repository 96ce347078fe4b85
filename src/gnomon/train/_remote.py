"""A server that draws a policy's answers and follows its weights: vLLM's, or `gnomon serve --allow-adapters`.

Answers come by `POST /v1/completions`, prompts and answers as token ids (`return_token_ids`), each token with its
log-probability. The policy is a low-rank update of the model that is served: before answers are drawn it is written as
a PEFT adapter and loaded by `POST /v1/load_lora_adapter` under a new name, and the one before it is unloaded. Adapters
go through a folder, which the server has to see under the same path.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gnomon.core.errors import ModelError
from gnomon.learn.lora import save_adapter
from gnomon.learn.parallel import from_first, ranks
from gnomon.models.base import Completion, Sampling
from gnomon.models.endpoint import Endpoint
from gnomon.models.http import Refused, Retry
from gnomon.models.streams import answer_text
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer

__all__ = ["Remote"]

_LOAD, _UNLOAD = "/load_lora_adapter", "/unload_lora_adapter"
_ALLOW = (
    "start it so that adapters may be loaded: gnomon serve --allow-adapters, or vllm serve --enable-lora with "
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
)
# A checkpoint may bring sampling rules of its own, which a server follows unless told otherwise.
_PLAIN = {"temperature": 1.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}


class Remote:
    """A server as an engine; see `_rollout.Engine`."""

    def __init__(self, name: str, tokenizer: Tokenizer, body: Transformer, folder: Path | None) -> None:
        """An engine that has asked the server nothing yet.

        Args:
            name: `http://HOST:PORT/v1#NAME`, the model that the policy started from.
            tokenizer: the policy's.
            body: the policy, a model with low-rank updates.
            folder: where they are written, its parent's name telling them apart on the server; None draws from the
                model as it is served.

        Raises:
            UsageError: the name is not of this form.
        """
        endpoint = Endpoint.named(name)
        self._http = endpoint.http
        self._http.plain, self._http.retry = frozenset((_LOAD, _UNLOAD)), Retry(attempts=4)
        self._tokenizer, self._body, self._folder = tokenizer, body, folder
        self._served, self._number = self._http.model, 0

    def follow(self) -> None:
        """Loads the policy as it is now; the first of several processes does.

        Raises:
            ModelError: the server cannot be reached, or takes no adapters.
        """
        if self._folder is None:
            return
        self._number += 1
        if not ranks().rank:
            asyncio.run(self._push(self._folder))
        self._served = from_first(self._served)

    def close(self) -> None:
        """Takes the last adapter off the server, and its folder away; the first of several processes does.

        Raises:
            ModelError: the server cannot be reached.
        """
        if self._folder is not None and self._number and not ranks().rank:
            asyncio.run(self._end())
            shutil.rmtree(self._folder)

    async def sample(self, prompt: Sequence[int], how: Sampling, n: int) -> list[Completion]:
        """`n` answers to a prompt of token ids, at temperature 1.

        Raises:
            ModelError: the server cannot be reached, or its answers lack token ids or log-probabilities.
        """
        asked = {"model": self._served, "prompt": list(prompt), "max_tokens": how.max_tokens, "n": n, **_PLAIN}
        # Some servers read seeds as 32-bit integers.
        asked |= {"seed": how.seed & 0x7FFFFFFF, "logprobs": 0, "return_token_ids": True}
        reply = await self._http.call("/completions", asked)
        choices = reply.get("choices")
        if not isinstance(choices, list) or len(choices) != n:
            raise self._lacks(f"{n} answers to a prompt")
        return [self._completion(prompt, choice) for choice in choices]

    async def rest(self) -> None:
        """Closes the connections; the next call opens others."""
        await self._http.close()

    async def _push(self, folder: Path) -> None:
        before, name = self._served, f"{folder.parent.name}-{self._number}"
        place = folder / str(self._number)
        save_adapter(self._body, place, base=self._http.model)
        try:
            await self._load(name, place)
            if self._number > 1:
                await self._unloaded(before)
        except Refused as refused:
            raise ModelError(refused.what, where=refused.where, todo=_ALLOW) from None
        finally:
            await self.rest()
        shutil.rmtree(folder / str(self._number - 1), ignore_errors=True)
        self._served = name

    async def _end(self) -> None:
        try:
            await self._unloaded(self._served)
        finally:
            await self.rest()

    async def _unloaded(self, name: str) -> None:
        await self._http.call(_UNLOAD, {"lora_name": name})

    async def _load(self, name: str, place: Path) -> None:
        asked = {"lora_name": name, "lora_path": str(place.resolve())}
        try:
            await self._http.call(_LOAD, asked)
        except Refused as refused:
            if refused.status != 400:
                raise
            # A training that was stopped leaves its last adapter on the server.
            await self._unloaded(name)
            await self._http.call(_LOAD, asked)

    def _completion(self, prompt: Sequence[int], choice: Mapping[str, Any]) -> Completion:
        tokens, told = choice.get("token_ids"), choice.get("logprobs")
        logprobs = told.get("token_logprobs") if isinstance(told, Mapping) else None
        if not isinstance(tokens, list) or not isinstance(logprobs, list) or len(tokens) != len(logprobs) or not tokens:
            raise self._lacks("an answer's token ids, each with its log-probability")
        text, ended = answer_text(self._tokenizer, prompt, tokens)
        if ended != (choice.get("finish_reason") == "stop"):
            raise self._lacks("the token that ends a text among the answer's")
        return Completion(
            text=text,
            finish="stop" if ended else "length",
            num_tokens=len(tokens),
            logprob=sum(logprobs),
            tokens=tuple(tokens),
            logprobs=tuple(logprobs),
        )

    def _lacks(self, what: str) -> ModelError:
        todo = "use one that knows return_token_ids: vLLM, gnomon serve"
        return ModelError(f"the server did not give {what}", where=self._http.url, todo=todo)
