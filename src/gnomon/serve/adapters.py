"""Low-rank updates that clients put over a model while it is served, each under a name of its own.

Two routes of vLLM, under the names it documents: `POST /v1/load_lora_adapter` with `lora_name` and `lora_path`, a
folder on the server's machine in the layout of PEFT, and `POST /v1/unload_lora_adapter` with `lora_name`. They are
there only where a service was started with them: whoever may ask may then have any adapter read that the server can.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from gnomon.core.errors import UsageError
from gnomon.models.base import Ability
from gnomon.serve.fields import Fields, text
from gnomon.serve.refusal import Refusal
from gnomon.serve.speaker import Speaker, Weights

if TYPE_CHECKING:
    from gnomon.models.local import LocalModel

__all__ = ["Adapters"]


class Adapters:
    """The adapters over one model; its weights are in memory once, whatever their number."""

    def __init__(self, model: LocalModel) -> None:
        """No adapters yet.

        Raises:
            UsageError: the model's network is not one that an update can be put over.
        """
        if Ability.ACTIVATIONS not in model.can:
            raise UsageError(f"no update can be put over {model.name}", todo="leave --allow-adapters out")
        self._model = model
        self._held: dict[str, LocalModel] = {}

    @property
    def names(self) -> list[str]:
        """The names under which adapters answer, in the order they came."""
        return list(self._held)

    def speaker(self, name: str) -> Speaker | None:
        """What answers under `name`; None where nothing does."""
        return Weights(self._held[name]) if name in self._held else None

    async def load(self, body: object) -> str:
        """Reads an adapter; what is said to the client.

        Raises:
            Refusal: a field is wrong, or the name is taken.
            ModelError: the folder holds no adapter of this model.
        """
        fields = Fields(body)
        name, path = (_needed(fields, field) for field in ("lora_name", "lora_path"))
        fields.refuse_the_rest()
        if name in self._held or name == self._model.name:
            raise Refusal(f"The lora adapter '{name}' has already been loaded.", param="lora_name")
        self._held[name] = await asyncio.to_thread(self._read, name, Path(path))
        return f"Success: LoRA adapter '{name}' added successfully."

    async def unload(self, body: object) -> str:
        """Forgets an adapter, with no request to it in flight; what is said to the client.

        Raises:
            Refusal: a field is wrong, or there is no such adapter.
        """
        fields = Fields(body)
        name = _needed(fields, "lora_name")
        fields.refuse_the_rest()
        if name not in self._held:
            raise Refusal(f"The lora adapter '{name}' cannot be found.", status=404, param="lora_name")
        await self._held.pop(name).close()
        return f"Success: LoRA adapter '{name}' removed successfully."

    async def close(self) -> None:
        """Forgets all."""
        while self._held:
            await self._held.popitem()[1].close()

    def _read(self, name: str, folder: Path) -> LocalModel:
        from gnomon.learn.lora import adapted
        from gnomon.models.load import content_hash
        from gnomon.models.local import LocalModel

        net = adapted(self._model.net, folder)
        return LocalModel(net, self._model.tokenizer, name=name, revision=content_hash(folder))


def _needed(fields: Fields, name: str) -> str:
    found = fields.take(name, text)
    if not found:
        raise Refusal(f"the body has no {name}", param=name)
    return found
