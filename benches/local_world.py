"""Random weights and made-up questions for the benches of the local engine; the same on every machine."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import tokenizers
import torch
from tokenizers import decoders, models, pre_tokenizers, trainers

from gnomon.models.families import save_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Transformer, TransformerConfig

__all__ = ["MEDIUM", "SMALL", "Question", "made_folder", "questions"]

MEDIUM = TransformerConfig(vocab_size=4096, d_model=192, num_layers=4, num_heads=6, d_mlp=512, max_positions=2048)
SMALL = TransformerConfig(vocab_size=2048, d_model=144, num_layers=4, num_heads=4, d_mlp=384, max_positions=2048)

# A fresh model finds every word equally probable, whatever it has read; one with larger weights does not.
_SHARPNESS = 3.0


class Question(NamedTuple):
    """What a model reads, and the continuations to choose among."""

    prompt: str
    options: list[str]


def made_folder(folder: Path, config: TransformerConfig) -> Path:
    """Writes random weights and a tokenizer as a Hugging Face folder."""
    words = _words()
    rng = random.Random(1)
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size, initial_alphabet=alphabet, special_tokens=["<end>"], show_progress=False
    )
    backend.train_from_iterator((_sentence(words, rng, 40) for _ in range(4000)), trainer)
    while backend.get_vocab_size() < config.vocab_size:
        backend.add_tokens([f"<unused{backend.get_vocab_size()}>"])
    net = Transformer(config, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(_SHARPNESS if weight.ndim == 2 else 1.0)
    save_folder(net, folder, tokenizer=Tokenizer(backend, special={"eos_token": "<end>"}))
    # Servers sample only where the folder says so.
    (folder / "generation_config.json").write_text('{"do_sample": true, "top_k": 0}\n', encoding="utf-8")
    return folder


def questions(count: int, *, lettered: bool, shots: int = 5) -> list[Question]:
    """Four-option questions behind a header of `shots` answered ones; a letter's bracket is open already."""
    words, rng = _words(), random.Random(2)
    made = [_question(words, rng, lettered) for _ in range(shots + count)]
    closing = ")" if lettered else ""
    header = "".join(f"{q.prompt}{q.options[rng.randrange(4)]}{closing}\n\n" for q in made[:shots])
    return [Question(header + q.prompt, q.options) for q in made[shots:]]


def _question(words: list[str], rng: random.Random, lettered: bool) -> Question:
    stem = f"Question: {_sentence(words, rng, rng.randint(30, 90))}?\n"
    texts = [_sentence(words, rng, rng.randint(2, 7)) for _ in range(4)]
    if not lettered:
        return Question(f"{stem}Answer:", [f" {text}" for text in texts])
    listed = "".join(f" ({letter}) {text}\n" for letter, text in zip("ABCD", texts, strict=True))
    return Question(f"{stem}Choices:\n{listed}Answer: (", list("ABCD"))


def _words() -> list[str]:
    rng = random.Random(0)
    syllables = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in ("", "n", "r", "l", "s")]
    return sorted({"".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(3000)})


def _sentence(words: list[str], rng: random.Random, size: int) -> str:
    # A square makes common words and rare ones.
    return " ".join(words[int(len(words) * rng.random() ** 2)] for _ in range(size))
