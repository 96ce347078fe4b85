"""A user's own text as training batches: files to documents, documents to token ids, ids to rows.

Files: `.txt` and `.md` (a document each), `.jsonl` (`text` of every line), `.parquet` and `.arrow` (column `text`, as
Hugging Face data sets keep it); a folder is all of these below it, in the order of their paths.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gnomon.core.errors import DataError
from gnomon.core.seeds import Seed
from gnomon.data.worlds.brook.packing import Batch

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import nn

__all__ = ["Special", "TextCorpus", "TextDocuments", "open_documents", "open_text", "read_texts", "text_hash"]

_END = "<|endoftext|>"
_SUFFIXES = (".txt", ".md", ".jsonl", ".parquet", ".arrow")
_BPE_WORDS = 2048


class Special(NamedTuple):
    """What a model must know of its tokenizer: how many token ids there are, and which begin, end and pad."""

    vocab_size: int
    bos: int
    eos: int
    pad: int


class TextDocuments(NamedTuple):
    """Documents as token ids, each with the end-of-text token behind it; the tokenizer's folder, and what it is."""

    documents: list[list[int]]
    tokenizer: Path
    special: Special


class TextCorpus:
    """Rows cut from a long line of token ids, documents divided by the end-of-text token.

    Attributes:
        tokens: all token ids, int32.
        special: what the model must know of the tokenizer.
        num_steps: batches in the run.
        begin: None: rows are cut anywhere, and documents see what stands before them.
    """

    watch: Callable[[nn.Module], Mapping[str, float]] | None = None
    begin: int | None = None

    def __init__(
        self,
        tokens: npt.NDArray[np.int32],
        tokenizer: Path,
        special: Special,
        *,
        num_tokens: int,
        rows: int,
        width: int,
        seed: int,
    ) -> None:
        self.tokens, self.special = tokens, special
        self.num_steps = num_tokens // (rows * width)
        self._tokenizer, self._rows, self._width, self._seed = tokenizer, rows, width, seed
        self._kept: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, np.int64))
        if len(tokens) < width:
            raise DataError(f"the text has {len(tokens)} tokens, a row needs {width}", todo="give more text")

    def batch(self, step: int) -> Batch:
        """The rows of `step`: whole windows of the text, every one once an epoch, in an order drawn for the epoch."""
        num_windows = len(self.tokens) // self._width
        shape = (self._rows, self._width)
        tokens = np.empty(shape, np.int32)
        for row in range(self._rows):
            epoch, place = divmod(step * self._rows + row, num_windows)
            start = int(self._order(epoch)[place]) * self._width
            tokens[row] = self.tokens[start : start + self._width]
        none = np.empty(0, np.int32)
        return Batch(tokens, np.ones(shape, np.float32), none.astype(np.int64), none, none.astype(np.float32))

    def save_tokenizer(self, folder: Path) -> None:
        """Copies the tokenizer's files into `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(self._tokenizer.glob("*token*.json")):
            shutil.copyfile(file, folder / file.name)

    def facts(self) -> Mapping[str, Any]:
        """What the corpus is, for the recipe."""
        return {"corpus_hash": self._hash, "text_tokens": len(self.tokens), "vocabulary": self.special.vocab_size}

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._kept[0] != epoch:
            draw = Seed(self._seed).child("text", epoch).numpy()
            self._kept = (epoch, draw.permutation(len(self.tokens) // self._width))
        return self._kept[1]

    @cached_property
    def _hash(self) -> str:
        return blake2b(self.tokens.tobytes(), digest_size=8).hexdigest()


def open_text(
    data: Path, tokenizer: Path | None, folder: Path, *, num_tokens: int, rows: int, width: int, seed: int
) -> TextCorpus:
    """The corpus of the files at `data`.

    Args:
        data: a file or folder.
        tokenizer: a Hugging Face tokenizer folder; None trains a byte-level BPE of 2,048 words on the text and
            keeps it in `folder`, where a resumed run finds it.
        folder: the run's.

    Raises:
        DataError: nothing to read, a damaged file, or less than one row of text.
    """
    of = open_documents(data, tokenizer, folder)
    tokens = np.array([token for ids in of.documents for token in ids], np.int32)
    return TextCorpus(tokens, of.tokenizer, of.special, num_tokens=num_tokens, rows=rows, width=width, seed=seed)


def open_documents(data: Path, tokenizer: Path | None, folder: Path) -> TextDocuments:
    """The documents of the files at `data` as token ids; arguments and errors as in `open_text`."""
    place = tokenizer or folder / "tokenizer"
    if tokenizer is None and not (place / "tokenizer.json").exists():
        _train_bpe(data, place)
    coder, special = _load(place)
    ids = [[*coder.encode(text, add_special_tokens=False).ids, special.eos] for text in read_texts(data)]
    return TextDocuments(ids, place, special)


def read_texts(data: Path) -> Iterator[str]:
    """The documents at `data`, empty ones left out.

    Raises:
        DataError: nothing there, or a file that cannot be read; the message names file and line.
    """
    for file in _files(data):
        try:
            yield from (text for text in _READERS.get(file.suffix, _whole)(file) if text.strip())
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot be read as text: {error}", where=str(file)) from error


def text_hash(data: Path) -> str:
    """A hash over the files at `data`, their paths below it and their bytes; `DataError` where there are none."""
    found = blake2b(digest_size=16)
    for file in _files(data):
        found.update(file.relative_to(data).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def _files(data: Path) -> list[Path]:
    files = [data] if data.is_file() else sorted(p for p in data.rglob("*") if p.suffix in _SUFFIXES)
    if not files:
        raise DataError("no text there", where=str(data), todo=f"give a file or folder of {', '.join(_SUFFIXES)}")
    return files


def _whole(file: Path) -> Iterator[str]:
    yield file.read_text(encoding="utf-8")


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _text_of(line, f"{file}:{number}")


def _text_of(line: str, where: str) -> str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}", where=where, todo="mend the line or remove it") from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise DataError("the line has no text", where=where, todo='lines look like {"text": "..."}')
    return str(record["text"])


def _parquet(file: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        yield from _column(pq.read_table(file, columns=["text"]))
    except (pa.ArrowException, KeyError) as error:
        raise DataError(f"no column 'text' to read: {error}", where=str(file)) from None


def _arrow(file: Path) -> Iterator[str]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(file)) as source:
            yield from _column(pa.ipc.open_stream(source).read_all())
    except (pa.ArrowException, KeyError) as error:
        raise DataError(f"no column 'text' to read: {error}", where=str(file)) from None


def _column(table: Any) -> list[str]:
    return [text for text in table.column("text").to_pylist() if text is not None]


_READERS = {".jsonl": _lines, ".parquet": _parquet, ".arrow": _arrow}


def _train_bpe(data: Path, place: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    coder = Tokenizer(models.BPE())
    coder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    coder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_BPE_WORDS,
        special_tokens=[_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    coder.train_from_iterator(read_texts(data), trainer)
    place.mkdir(parents=True, exist_ok=True)
    special = {"bos_token": _END, "eos_token": _END, "pad_token": _END}
    config = {**special, "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (place / "special_tokens_map.json").write_text(json.dumps(special) + "\n", encoding="utf-8")
    (place / "tokenizer_config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
    # Last, because its presence says that the others are complete.
    coder.save(str(place / "tokenizer.json"))


def _load(place: Path) -> tuple[Tokenizer, Special]:
    from tokenizers import Tokenizer

    path = place / "tokenizer.json"
    if not path.exists():
        raise DataError("no tokenizer.json there", where=str(place), todo="give a Hugging Face tokenizer folder")
    coder = Tokenizer.from_file(str(path))
    config = json.loads((place / "tokenizer_config.json").read_text(encoding="utf-8"))
    end = _id(coder, config.get("eos_token"))
    if end is None:
        raise DataError("the tokenizer has no end-of-text token", where=str(place), todo="set eos_token")
    begin, pad = (_id(coder, config.get(name)) for name in ("bos_token", "pad_token"))
    return coder, Special(coder.get_vocab_size(), end if begin is None else begin, end, end if pad is None else pad)


def _id(coder: Tokenizer, token: Any) -> int | None:
    """The id of a special token, which tokenizer_config.json gives as text or as an object with its content."""
    text = token.get("content") if isinstance(token, dict) else token
    return coder.token_to_id(text) if text else None
