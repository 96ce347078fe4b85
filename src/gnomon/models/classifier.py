"""A sequence classifier as a model: its reward is the log-odds of one label.

    hf:FOLDER               a classifier of toxicity, or a reward model with one label
    hf:ORG/NAME#LABEL       any label of any classifier that `transformers` can load

sigmoid of the reward is the label's probability: the label's own where labels do not exclude each other, and against
all others where they do. A classifier with a single label, as published reward models are, gives that label's logit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gnomon.core.errors import AbilityError, DataError, ModelError, UsageError, closest
from gnomon.models.base import Ability, Choice, Completion, Message, Prompt, Sampling, Score
from gnomon.models.batcher import Batcher, Call

__all__ = ["Classifier", "classifies", "load_classifier"]

_TOXIC = ("toxic", "toxicity", "hate", "hateful", "offensive")
_BATCH = 32


class Classifier:
    """A `transformers` sequence classifier; `gnomon.models.base.Model` with REWARD alone.

    Attributes:
        name, revision, can: as in `Model`.
        label: whose log-odds the reward is; "" where the classifier has one label only.
    """

    can = frozenset({Ability.REWARD})

    def __init__(self, net: Any, tokenizer: Any, *, name: str, revision: str, label: str) -> None:
        """A classifier around a network that is on its device already.

        Args:
            net: the `transformers` model.
            tokenizer: its tokenizer, of `transformers` too.
            name: as the user wrote it.
            revision: content hash of the weights.
            label: one of its labels; "" picks the only one, or the one that is called toxic or the like.
        """
        self.name, self.revision = name, revision
        self._net, self._tokenizer = net, tokenizer
        labels = [str(net.config.id2label[place]) for place in range(net.config.num_labels)]
        self._place = _chosen(labels, label, name)
        self.label = labels[self._place] if len(labels) > 1 else ""
        alone = len(labels) == 1 or net.config.problem_type == "multi_label_classification"
        self._others = [] if alone else [place for place in range(len(labels)) if place != self._place]
        limit = getattr(net.config, "max_position_embeddings", None)
        # RoBERTa's positions begin behind the padding token's.
        begin = net.config.pad_token_id + 1 if "roberta" in net.config.model_type and limit else 0
        self._limit = limit - begin if limit else None
        self._batcher: Batcher[str] = Batcher(self._turn, len)

    async def reward(self, prompt: Prompt) -> float:
        """The label's log-odds for a text, nats.

        Raises:
            ModelError: the text is longer than the classifier reads.
        """
        found: float = await self._batcher.ask(prompt if isinstance(prompt, str) else self._chat(prompt))
        return found

    async def sample(self, prompt: Prompt, how: Sampling, n: int = 1) -> list[Completion]:
        """Not among a classifier's abilities."""
        raise AbilityError(f"{self.name} classifies texts and writes none")

    async def score(self, prompt: Prompt, continuation: str) -> Score:
        """Not among a classifier's abilities."""
        raise AbilityError(f"{self.name} classifies texts and has no probabilities of words")

    async def choose(self, prompt: Prompt, options: Sequence[str]) -> Choice:
        """Not among a classifier's abilities."""
        raise AbilityError(f"{self.name} classifies texts and chooses none")

    async def close(self) -> None:
        """Ends the worker thread."""
        self._batcher.close()

    def _chat(self, messages: Sequence[Message]) -> str:
        if not self._tokenizer.chat_template:
            raise AbilityError(f"{self.name} has no chat template", todo="give it texts")
        turns = [message._asdict() for message in messages]
        return str(self._tokenizer.apply_chat_template(turns, tokenize=False))

    def _turn(self, calls: list[Call[str]]) -> bool:
        """Answers every call; batches are of texts of about one length."""
        encoded = [(call, self._tokenizer(call.asked)["input_ids"]) for call in calls if call.waiting]
        for call, ids in encoded:
            if self._limit and len(ids) > self._limit:
                call.fail(ModelError(f"the text has {len(ids)} tokens, and {self.name} reads {self._limit}"))
        fitting = sorted((e for e in encoded if not (self._limit and len(e[1]) > self._limit)), key=lambda e: len(e[1]))
        size = _BATCH if self._tokenizer.pad_token is not None else 1
        for start in range(0, len(fitting), size):
            some = [call for call, _ in fitting[start : start + size]]
            for call, value in zip(some, self._values([call.asked for call in some]), strict=True):
                call.answer(value)
        return False

    def _values(self, texts: list[str]) -> list[float]:
        inputs = self._tokenizer(texts, padding=len(texts) > 1, return_tensors="pt").to(self._net.device)
        with torch.inference_mode():
            logits_BL = self._net(**inputs).logits.float()
        values_B = logits_BL[:, self._place]
        if self._others:
            values_B = values_B - logits_BL[:, self._others].logsumexp(-1)
        return [float(value) for value in values_B.tolist()]


def classifies(folder: Path) -> bool:
    """Whether the folder holds a sequence classifier, by what its config says."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    named = config.get("architectures") or [] if isinstance(config, dict) else []
    return any(str(each).endswith("ForSequenceClassification") for each in named)


def load_classifier(folder: Path, *, name: str, revision: str, device: str, label: str = "") -> Classifier:
    """The classifier in a Hugging Face folder.

    Raises:
        ModelError: `transformers` cannot load it; code from the folder is never run.
        UsageError: it has no such label, or several of which none is named.
    """
    import transformers

    try:
        net: Any = transformers.AutoModelForSequenceClassification.from_pretrained(str(folder), local_files_only=True)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the library raises whatever a damaged folder makes it stumble over
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"transformers cannot load the classifier ({reason})", where=str(folder)) from None
    if not isinstance(net.config.id2label, dict) or not net.config.num_labels:
        raise DataError("the classifier names no labels", where=str(folder))
    return Classifier(net.float().to(device).eval(), tokenizer, name=name, revision=revision, label=label)


def _chosen(labels: Sequence[str], wanted: str, name: str) -> int:
    """The place of the wanted label, or of the only one, or of the one that says toxic."""
    if wanted:
        if wanted not in labels:
            raise UsageError(f"{name.partition('#')[0]} has no label {wanted!r}", todo=closest(wanted, labels))
        return labels.index(wanted)
    toxic = [place for place, label in enumerate(labels) if label.lower() in _TOXIC]
    if len(labels) > 1 and not toxic:
        raise UsageError(f"which of {', '.join(labels)} of {name}?", todo=f"write {name}#{labels[-1]}")
    return toxic[0] if len(labels) > 1 else 0
