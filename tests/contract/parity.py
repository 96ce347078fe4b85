"""A small model and fifty questions, the same to the bit on every machine, and how lm-evaluation-harness scored them.

    python -m tests.contract.parity PYTHON         records anew, with an interpreter that has lm-eval

Weights come from a counter-based generator's raw bits, which NumPy keeps for good, and are large enough that every
token read shows in the next one's probability. The folder is written by hand in the published layout of Llama
(grouped heads, tied embeddings, byte-level BPE), so that no writer of ours stands between the two readers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import pre_tokenizers

FIXTURE = Path(__file__).parent / "fixtures" / "lm_eval_loglikelihoods.json"
COMMAND = "python -m tests.contract.parity PYTHON"

# Things, where they are kept, what they are made of: made-up facts for questions in plain words.
THINGS = [
    "kettle",
    "lantern",
    "ladder",
    "violin",
    "basket",
    "compass",
    "blanket",
    "candle",
    "bridge",
    "wagon",
    "mirror",
    "anchor",
]
PLACES = ("in the cellar", "under the old stairs", "by the mill", "in a tin box", "behind the barn", "on the roof")
STUFFS = ("oak", "wet clay", "brass", "grey wool", "river stone", "thin glass and lead")
SHOTS, COUNT = 5, 50
WIDTH, LAYERS, HEADS, KV_HEADS, HIDDEN = 48, 3, 4, 2, 96


class Question(NamedTuple):
    """A prompt, and the continuations to score after it."""

    prompt: str
    options: list[str]


def questions(*, lettered: bool) -> list[Question]:
    """Fifty questions, each behind the same five answered ones."""
    facts = [_question(number, lettered) for number in range(SHOTS + COUNT)]
    closing = ")" if lettered else ""
    header = "".join(f"{q.prompt}{q.options[n % len(q.options)]}{closing}\n\n" for n, q in enumerate(facts[:SHOTS]))
    return [Question(header + q.prompt, q.options) for q in facts[SHOTS:]]


def made_folder(folder: Path) -> Path:
    """Writes the model; the same bytes each time."""
    folder.mkdir(parents=True)
    vocabulary, merges = _vocabulary()
    save_file(dict(_weights(len(vocabulary))), folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", _config(len(vocabulary)))
    _write(folder / "tokenizer.json", _tokenizer(vocabulary, merges))
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>"})
    return folder


def _question(number: int, lettered: bool) -> Question:
    thing, other = THINGS[number % len(THINGS)], THINGS[(5 * number + 7) % len(THINGS)]
    texts = PLACES if number % 2 else STUFFS
    size = 2 + number % 4
    options = [texts[(number // 2 + 5 * i) % len(texts)] for i in range(size)]
    asked = f"Where is the {thing} of house {number}" if number % 2 else f"What is {thing} number {number} made of"
    stem = f"Question: {asked}, if the {other} is {texts[number % len(texts)]}?\n"
    if not lettered:
        return Question(f"{stem}Answer:", [f" {text}" for text in options])
    listed = "".join(f" ({letter}) {text}\n" for letter, text in zip("ABCDE", options, strict=False))
    return Question(f"{stem}Choices:\n{listed}Answer: (", list("ABCDE"[:size]))


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Bytes, then every word grown letter by letter: tokens of one letter and of many."""
    words = {word for text in (*THINGS, *PLACES, *STUFFS, "Question Answer Choices") for word in text.split()}
    words |= {"Where", "What", "is", "the", "of", "house", "number", "made", "if"}
    vocabulary = dict.fromkeys(sorted(pre_tokenizers.ByteLevel.alphabet()))
    merges: dict[tuple[str, str], None] = {}
    for word in sorted(words):
        grown = "Ġ"
        for letter in word[:5]:
            merges[grown, letter] = None
            grown += letter
            vocabulary[grown] = None
    return {token: number for number, token in enumerate([*vocabulary, "<end>"])}, list(merges)


def _weights(vocabulary: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    head = WIDTH // HEADS
    shapes = {"q_proj": (WIDTH, WIDTH), "k_proj": (KV_HEADS * head, WIDTH), "v_proj": (KV_HEADS * head, WIDTH)}
    attention = {f"self_attn.{name}": shape for name, shape in (shapes | {"o_proj": (WIDTH, WIDTH)}).items()}
    mlp = {"mlp.gate_proj": (HIDDEN, WIDTH), "mlp.up_proj": (HIDDEN, WIDTH), "mlp.down_proj": (WIDTH, HIDDEN)}
    norms = {"input_layernorm": (WIDTH,), "post_attention_layernorm": (WIDTH,)}
    bits = np.random.Philox(key=20221)
    yield "model.embed_tokens.weight", _drawn(bits, (vocabulary, WIDTH))
    for layer in range(LAYERS):
        for name, shape in (attention | mlp | norms).items():
            yield f"model.layers.{layer}.{name}.weight", _drawn(bits, shape)
    yield "model.norm.weight", _drawn(bits, (WIDTH,))


def _drawn(bits: np.random.Philox, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Maps of about unit gain; gains of norms in [0.5, 1.5)."""
    uniform = (bits.random_raw(int(np.prod(shape))) >> np.uint64(40)) * 2.0**-24
    if len(shape) == 1:
        return (0.5 + uniform).astype(np.float32)
    return ((uniform.reshape(shape) - 0.5) * (4 / shape[1] ** 0.5)).astype(np.float32)


def _config(vocabulary: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": WIDTH,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": vocabulary - 1,
    }


def _tokenizer(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> dict[str, object]:
    end = {"id": len(vocabulary) - 1, "content": "<end>", "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {
        "version": "1.0",
        "added_tokens": [end | plain],
        "pre_tokenizer": level,
        "decoder": level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": merges},
    }


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, sort_keys=True) + "\n", encoding="utf-8")


def _record(interpreter: str) -> None:
    # Only to record: the benches' peer is no part of the test.
    from benches.beside import worker

    with tempfile.TemporaryDirectory() as place, worker(interpreter) as peer:
        name = peer.ask(do="load", folder=str(made_folder(Path(place) / "model")), **{"as": "lm-eval"})["name"]
        found = {
            kind: peer.ask(do="score", questions=questions(lettered=kind == "letters"))["loglikelihoods"]
            for kind in ("letters", "texts")
        }
    FIXTURE.parent.mkdir(exist_ok=True)
    text = json.dumps({"peer": name, "command": COMMAND, "loglikelihoods": found}, indent=1)
    FIXTURE.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    _record(sys.argv[1])
