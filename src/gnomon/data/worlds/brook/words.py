"""Which words Brook has, and how text becomes token ids: one word, one token, split on white space.

There is no unknown token. A word outside the list is an error that names the word and the nearest three.
"""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from gnomon.core.errors import DataError

__all__ = ["BOS", "EOS", "FIXED", "LETTERS", "PAD", "SPECIAL", "Vocabulary", "listed", "made_up_names"]


def listed(text: str) -> tuple[str, ...]:
    """The words of `text`, in order.

    >>> listed("red blue")
    ('red', 'blue')
    """
    return tuple(text.split())


PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
SPECIAL = (PAD, BOS, EOS, "<eoc>", "<sub_q>", "<sub_a>", "<FIN>")
# Bracket and letter are one token, so a prompt that asks for a letter ends before the bracket.
LETTERS = tuple(f"({c})" for c in "ABCDEFGHIJ")
DIGITS = tuple("0123456789")
AGES = tuple(str(age) for age in range(20, 101, 10))
MARKS = listed(
    "Human: Assistant: Question: Choices: Options: Answer: Proposed: Verdict: Find: Note: Known: Problem: Steps: "
    "Survey: Country: Case: Scene: Task: Code: CritiqueRequest: Critique: RevisionRequest: Revision: Principle: "
    "GOOD BAD Yes No True False"
)
SIGNS = listed(". , ? : ( ) = + - * %")
FIXED = (*SPECIAL, *LETTERS, *MARKS, *DIGITS, *AGES, *SIGNS, "none")

_CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'user' %} Human: {{ m['content'] }}"
    "{% elif m['role'] == 'assistant' %} Assistant: {{ m['content'] }}"
    "{% else %} {{ m['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} Assistant:{% endif %}"
)
# Made-up words that happen to be words or names of people are left out.
_REAL_WORDS = listed(
    "balta bambi banda barbi bembo berta bimbo bingo bongo bulba bumpi dandi dildo dildu dingo dumbo fanta fonda "
    "fondu fungi gumbo kanta karma kendo kinda lambda landa lenta lento limbo linda lingo londo mamba mambo manda "
    "mandi manga mango manta marga marta melba mento milda milka milva monda mongo monte mundi narko nelda pampa "
    "panda pando penta pinto polka pongo porto punto rambo randi ronda rondo rumba salta salvo salza samba sandi "
    "santa selva senda silva silvi simba sondi tanga tango tanti tempo tenda tilda tonga tonto torta turbo valda "
    "vanda velda velvi vendo vilda volga volta volvo vulva zelda zorba zumba"
)
_FIRST, _MIDDLE, _SECOND, _VOWELS = "bdfgklmnprstvz", "lmnr", "bdfgkptvz", "aeiou"


def made_up_names(rng: random.Random, count: int, avoid: Collection[str]) -> list[str]:
    """`count` different pronounceable words of two syllables, such as `dulvo`, none of them in `avoid`."""
    taken = {*avoid, *_REAL_WORDS}
    names: list[str] = []
    while len(names) < count:
        name = "".join(rng.choice(letters) for letters in (_FIRST, _VOWELS, _MIDDLE, _SECOND, _VOWELS))
        if name not in taken:
            taken.add(name)
            names.append(name)
    return names


class Vocabulary:
    """Brook's words with their token ids: a word's id is its place in the list.

    Args:
        words: the words in order, specials first; no duplicates.
        size: token ids in all; the list is filled up with `<spare_n>`, so that words added later move no id.

    Raises:
        DataError: there are more words than `size`, or a word twice.
    """

    def __init__(self, words: Iterable[str], size: int) -> None:
        listed = list(words)
        if len(listed) > size:
            raise DataError(f"{len(listed)} words do not fit a vocabulary of {size}", todo="use fewer names")
        listed += [f"<spare_{n}>" for n in range(size - len(listed))]
        self.words: tuple[str, ...] = tuple(listed)
        self.ids: dict[str, int] = {word: place for place, word in enumerate(self.words)}
        if len(self.ids) != size:
            twice = sorted({w for w in listed if listed.count(w) > 1})
            raise DataError(f"words occur twice in the vocabulary: {', '.join(twice)}")

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: str, *, bos: bool = False, where: str = "") -> list[int]:
        """Token ids of `text`, with `<bos>` before them when `bos`.

        Raises:
            DataError: a word is not in the vocabulary; `where` says in which text.
        """
        return self.encode_words([BOS, *text.split()] if bos else text.split(), where)

    def encode_words(self, words: Sequence[str], where: str = "") -> list[int]:
        """Token ids of `words`; errors as in `encode`."""
        ids = self.ids
        try:
            return [ids[word] for word in words]
        except KeyError as missing:
            raise self._unknown(str(missing.args[0]), where) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The words of `ids`, joined by single spaces."""
        return " ".join(self.words[i] for i in ids)

    def save(self, folder: Path) -> None:
        """Writes `tokenizer.json` and its two companions, which `transformers.AutoTokenizer` loads."""
        folder.mkdir(parents=True, exist_ok=True)
        special = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD}
        config = {
            **special,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 1024,
            "clean_up_tokenization_spaces": False,
            "chat_template": _CHAT_TEMPLATE,
        }
        files = {
            "tokenizer.json": self._tokenizer(),
            "tokenizer_config.json": config,
            "special_tokens_map.json": special,
        }
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _tokenizer(self) -> dict[str, object]:
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        bos = {"SpecialToken": {"id": BOS, "type_id": 0}}
        pieces = [{"Sequence": {"id": part, "type_id": 0}} for part in ("A", "B")]
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": self.ids[word], "content": word, **flags} for word in SPECIAL],
            "normalizer": None,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [bos, pieces[0]],
                "pair": [bos, *pieces],
                "special_tokens": {BOS: {"id": BOS, "ids": [self.ids[BOS]], "tokens": [BOS]}},
            },
            "decoder": None,
            # An unknown-token that is not in the vocabulary makes the library raise, which is what we want.
            "model": {"type": "WordLevel", "vocab": self.ids, "unk_token": "<unk>"},
        }

    def _unknown(self, word: str, where: str) -> DataError:
        near = difflib.get_close_matches(word, self.words, n=3, cutoff=0.0)
        return DataError(f"{word!r} is not a word of Brook", where=where, todo=f"the nearest are {', '.join(near)}")
