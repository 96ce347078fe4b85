"""Text to token ids and back, from a model folder, without importing `transformers` where `tokenizer.json` is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import tokenizers

from gnomon.core.errors import DataError, ModelError
from gnomon.models.base import Message, Prompt
from gnomon.models.chat_template import render, render_plainly

__all__ = ["TextStream", "Tokenizer"]

_SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token")
_BROKEN = "\ufffd"


class Tokenizer:
    """A tokenizer with what surrounds it: special tokens, the chat template, the ids that end a text.

    Attributes:
        backend: the `tokenizers` object.
        special: texts of `bos_token`, `eos_token`, `pad_token`, `unk_token`, those that exist.
        chat_template: Jinja source; None where the model has none.
        bos_id: id of the first token of a text; None where there is none.
        eos_ids: ids that end a completion, perhaps none.
        unk_id: id of every word outside the vocabulary; None where there is none.
        pad_id: id to fill rows with; masked, so where the model names none, an end token or 0 serves.
        name: for messages of errors.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        *,
        special: Mapping[str, str] | None = None,
        chat_template: str | None = None,
        eos_ids: Sequence[int] = (),
        name: str = "tokenizer",
    ) -> None:
        """A tokenizer from its parts; `Tokenizer.load` reads them from a folder.

        Args:
            backend: the `tokenizers` object.
            special: texts of special tokens by Hugging Face name.
            chat_template: Jinja source.
            eos_ids: ids that end a completion besides the one of `eos_token`.
            name: for messages of errors.
        """
        self.backend = backend
        # A stored tokenizer may ask for cut or padded batches, which nobody here wants.
        backend.no_truncation()
        backend.no_padding()
        self.special = {key: text for key, text in (special or {}).items() if text}
        self.chat_template = chat_template
        self.name = name
        own = self._special_id("eos_token")
        self.bos_id = self._special_id("bos_token")
        unknown = getattr(backend.model, "unk_token", None)
        self.unk_id = backend.token_to_id(unknown) if unknown else None
        self.eos_ids = tuple(dict.fromkeys([*([] if own is None else [own]), *eos_ids]))
        pad = self._special_id("pad_token")
        self.pad_id = pad if pad is not None else self.eos_ids[0] if self.eos_ids else 0

    @classmethod
    def load(cls, folder: Path | str) -> Tokenizer:
        """The tokenizer of a Hugging Face model folder.

        Raises:
            ModelError: no tokenizer in the folder, or one that cannot be read.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise ModelError("there is no such folder", where=str(folder))
        config = _read_json(folder / "tokenizer_config.json")
        special = {key: _token_text(config.get(key)) for key in _SPECIAL}
        for key, value in _read_json(folder / "special_tokens_map.json").items():
            if key in special:
                special[key] = special[key] or _token_text(value)
        return cls(
            _backend(folder),
            special={key: text for key, text in special.items() if text},
            chat_template=_chat_template(folder, config),
            eos_ids=_declared_eos(folder),
            name=str(folder),
        )

    def save(self, folder: Path | str) -> None:
        """Writes `tokenizer.json` and `tokenizer_config.json`, which `transformers.AutoTokenizer` loads."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
        config |= self.special
        if self.chat_template is not None:
            config["chat_template"] = self.chat_template
        (folder / "tokenizer.json").write_text(self.backend.to_str(pretty=True), encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")

    @property
    def eos_id(self) -> int | None:
        """The id of the end of text; None where there is none."""
        return self.eos_ids[0] if self.eos_ids else None

    @property
    def vocab_size(self) -> int:
        """Number of ids, special ones included."""
        return int(self.backend.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids of `text`.

        Args:
            text: any text; special tokens spelled out in it become their ids.
            special: whether to add what the model's own tokenizer adds (Llama's begin-of-text token).

        Raises:
            DataError: the text has a word that a closed vocabulary lacks.
        """
        return self.encode_batch([text], special=special)[0]

    def encode_batch(self, texts: Sequence[str], *, special: bool = True) -> list[list[int]]:
        """Token ids of each text; as `encode`."""
        return [found.ids for found in self._encodings(self.backend.encode_batch_fast, texts, special)]

    def encode_from(self, texts: Sequence[tuple[str, int]], *, special: bool = True) -> list[tuple[list[int], int]]:
        """Token ids of each text, and the place of the first one that reaches beyond the character beside it.

        The place is the number of ids where no text stands beyond that character. Errors as in `encode`.
        """
        found = self._encodings(self.backend.encode_batch, [text for text, _ in texts], special)
        cuts: list[tuple[list[int], int]] = []
        for encoding, (_, start) in zip(found, texts, strict=True):
            beyond = (place for place, (_, last) in enumerate(encoding.offsets) if last > start)
            cuts.append((encoding.ids, next(beyond, len(encoding.ids))))
        return cuts

    def unknown(self, text: str) -> list[str]:
        """Words of `text` that become the unknown token; none where the vocabulary spells everything out."""
        if self.unk_id is None:
            return []
        found = self.backend.encode(text, add_special_tokens=False)
        return [
            text[begin:end]
            for token, (begin, end) in zip(found.ids, found.offsets, strict=True)
            if token == self.unk_id
        ]

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """Token ids of a prompt; a conversation's template writes its own special tokens, so none are added to it."""
        if isinstance(prompt, str):
            return self.encode(prompt)
        return self.encode(self.chat(prompt), special=self.chat_template is None)

    def spelled(self, text: str, *, special: bool = True) -> list[tuple[int, str]]:
        """Token ids of `text`, each with its stretch of it; the stretches laid end to end are the text.

        White space that the tokenizer passes over belongs to the token behind it, and a letter that is several tokens
        to the first of them. Special tokens that are added stand for none of it. Arguments and errors as in `encode`.
        """
        ids = self.encode(text, special=special)
        found = self.backend.encode(text, add_special_tokens=special)
        own = [i for i, added in enumerate(found.special_tokens_mask) if not added]
        reached, pieces = 0, [""] * len(ids)
        for i in own:
            end = len(text) if i == own[-1] else max(reached, found.offsets[i][1])
            pieces[i], reached = text[reached:end], end
        return list(zip(ids, pieces, strict=True))

    def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
        """The text of `ids`; special tokens are written out only if asked."""
        return str(self.backend.decode(list(ids), skip_special_tokens=not special))

    def chat(self, messages: Sequence[Message]) -> str:
        """The text of a conversation, ready to be continued; a last assistant message is continued verbatim.

        Raises:
            ModelError: the model's chat template refuses the conversation.
        """
        if self.chat_template is None:
            return render_plainly(messages)
        return render(self.chat_template, messages, special=self.special, where=self.name)

    def token_text(self, token_id: int) -> str:
        """The text a token stands for inside a text, its leading space included; bytes of a split letter show as �."""
        before = self.decode([self._anchor], special=True)
        return self.decode([self._anchor, token_id], special=True).removeprefix(before)

    def stream(self, *, stop: Sequence[str] = (), after: Sequence[int] = ()) -> TextStream:
        """A decoder of ids that arrive one by one; see `TextStream` for `after`."""
        return TextStream(self, stop=stop, after=after)

    @cached_property
    def _anchor(self) -> int:
        """A plain word to decode others behind, since many decoders drop the first token's space."""
        for index in range(self.vocab_size):
            if self.decode([index]).strip().isalpha():
                return index
        return 0

    def _encodings(
        self, encode: Callable[..., list[tokenizers.Encoding]], texts: Sequence[str], special: bool
    ) -> list[tokenizers.Encoding]:
        try:
            return encode(list(texts), add_special_tokens=special)
        except Exception as error:  # the library raises plain Exception for a word outside the vocabulary
            words = list(dict.fromkeys(word for text in texts for word in self._lacking(text)))
            named = f", which lacks {', '.join(map(repr, words[:5]))}" if words else ""
            raise DataError(
                f"the text cannot be tokenized ({error}{named})",
                where=self.name,
                todo="give text in its words (--data), or use a model whose vocabulary holds this text",
            ) from None

    def _lacking(self, text: str) -> list[str]:
        """Words that a vocabulary of whole words does not hold."""
        split = self.backend.pre_tokenizer
        words = [text] if split is None else [word for word, _ in split.pre_tokenize_str(text)]
        return [word for word in words if self.backend.token_to_id(word) is None]

    def _special_id(self, key: str) -> int | None:
        text = self.special.get(key)
        return None if text is None else self.backend.token_to_id(text)


class TextStream:
    """Text of a growing list of ids: each piece is shown once, whole letters only, nothing of a stop string.

    Attributes:
        text: everything up to now, without the stop string; held-back pieces included.
        stopped: whether a stop string was met; ids pushed afterwards are ignored.
    """

    def __init__(self, tokenizer: Tokenizer, *, stop: Sequence[str] = (), after: Sequence[int] = ()) -> None:
        """A text without ids yet.

        Args:
            tokenizer: decodes the ids.
            stop: the text ends before the first of these.
            after: ids that stand before the first one pushed, such as the last few of a prompt. They are not part of
                the text; behind them the first id keeps its leading space, which many decoders drop otherwise.
        """
        self.text = ""
        self.stopped = False
        self._tokenizer = tokenizer
        self._stop = tuple(text for text in stop if text)
        self._ids = list(after)
        self._settled = len(self._ids)  # ids before this one are decoded for good
        self._context = 0  # decoding starts here, so that the first new token is not the first of its text
        self._shown = 0

    def push(self, token_id: int) -> str:
        """Takes the next id; returns the text that has become certain, perhaps none."""
        if self.stopped:
            return ""
        self._ids.append(token_id)
        before = self._tokenizer.decode(self._ids[self._context : self._settled])
        after = self._tokenizer.decode(self._ids[self._context :])
        if after.endswith(_BROKEN) or len(after) <= len(before):
            return ""
        self._context, self._settled = self._settled, len(self._ids)
        return self._grow(after[len(before) :])

    def extend(self, ids: Sequence[int]) -> None:
        """Takes many ids at once; `finish` gives their text."""
        if not self.stopped:
            self._ids += ids

    def finish(self) -> str:
        """The text held back until now, for when no more ids come."""
        if self.stopped:
            return ""
        before = self._tokenizer.decode(self._ids[self._context : self._settled])
        after = self._tokenizer.decode(self._ids[self._context :])
        self._settled = len(self._ids)
        return self._grow(after[len(before) :]) + self._show(len(self.text))

    def _grow(self, piece: str) -> str:
        # A stop string may have begun before this piece, but not in what was shown.
        self.text += piece
        ends = [at for text in self._stop if (at := self.text.find(text, self._shown)) >= 0]
        if ends:
            self.stopped = True
            self.text = self.text[: min(ends)]
            return self._show(len(self.text))
        return self._show(len(self.text) - self._held())

    def _held(self) -> int:
        """Length of the longest end of the text with which a stop string begins."""
        tail = self.text[self._shown :]
        sizes = (n for text in self._stop for n in range(1, min(len(text), len(tail) + 1)) if tail.endswith(text[:n]))
        return max(sizes, default=0)

    def _show(self, end: int) -> str:
        piece, self._shown = self.text[self._shown : end], max(self._shown, end)
        return piece


def _backend(folder: Path) -> tokenizers.Tokenizer:
    path = folder / "tokenizer.json"
    if path.is_file():
        try:
            return tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise ModelError(f"not a readable tokenizer ({error})", where=str(path)) from None
    import transformers

    try:
        loaded = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"no tokenizer can be loaded ({reason})", where=str(folder)) from None
    backend = getattr(loaded, "backend_tokenizer", None)
    if not isinstance(backend, tokenizers.Tokenizer):
        raise ModelError("the tokenizer has no fast form", where=str(folder), todo="save it with a tokenizer.json")
    # Of a folder without a tokenizer transformers makes one that knows no word, and every text is empty to it.
    if set(backend.get_vocab()) <= set(loaded.all_special_tokens):
        todo = "put the tokenizer.json of this model beside its weights"
        raise ModelError("no tokenizer can be loaded (none is there)", where=str(folder), todo=todo)
    return backend


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = config.get("chat_template")
    if isinstance(found, list):  # several, by name
        found = {entry["name"]: entry["template"] for entry in found}.get("default")
    return found


def _declared_eos(folder: Path) -> list[int]:
    """End-of-text ids that `transformers` would stop generation at."""
    for name in ("generation_config.json", "config.json"):
        found = _read_json(folder / name).get("eos_token_id")
        if found is not None:
            return list(found) if isinstance(found, list) else [found]
    return []


def _token_text(found: object) -> str | None:
    if isinstance(found, Mapping):
        found = found.get("content")
    return found if isinstance(found, str) else None


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"not valid JSON ({error})", where=str(path)) from None
    return found if isinstance(found, dict) else {}
