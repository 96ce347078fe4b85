"""An induction circuit set by hand: the truth that instruments for heads are held to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import torch

from gnomon.models.local import LocalModel
from gnomon.models.tokenizer import Tokenizer
from gnomon.models.transformer import Block, Transformer, TransformerConfig

WORDS, PLACES = 64, 128
SHARP = 40.0


def wired() -> Transformer:
    """Two layers of two heads over one-hot tokens: head 0.0 looks one token back and moves what it sees beside the
    token, head 1.0 looks for tokens whose neighbour is the current one and raises them; heads 0.1 and 1.1 add nothing.

    The residual stream holds the token, the token before it, and, for queries and keys alone, the position.
    """
    shape = TransformerConfig(
        vocab_size=WORDS,
        d_model=2 * WORDS + PLACES,
        num_layers=2,
        num_heads=2,
        d_head=PLACES,
        max_positions=PLACES,
        positions="shortformer",
        mlp="none",
        tie_embeddings=False,
        family="toy",
    )
    net = Transformer(shape)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 2:
                parameter.zero_()
        word, place = torch.eye(WORDS), torch.eye(PLACES)
        net.embed.weight[:, :WORDS] = word
        assert net.unembed is not None and net.pos_embed is not None
        # What comes out of the circuit is louder than the token itself, which also stands in the stream.
        net.unembed.weight[:, :WORDS] = word
        net.pos_embed.weight[:, 2 * WORDS :] = place
        back, match = (cast(Block, block).attn for block in net.blocks)
        back.w_q[0][:, 2 * WORDS :] = 10 * SHARP * place.roll(-1, dims=0)
        back.w_k[0][:, 2 * WORDS :] = place
        back.w_v[0][:WORDS, :WORDS] = word
        back.w_o[0][WORDS : 2 * WORDS, :WORDS] = word
        match.w_q[0][:WORDS, :WORDS] = SHARP * word
        match.w_k[0][:WORDS, WORDS : 2 * WORDS] = word
        match.w_v[0][:WORDS, :WORDS] = word
        match.w_o[0][:WORDS, :WORDS] = 20 * word
    return net.eval()


def narrowed(net: Transformer, width: int, sign: int = 1) -> Transformer:
    """The circuit, with what head 1.0 moves squeezed through `width` directions, so that other tokens rise by the way.

    Args:
        sign: -1 lowers what it looks at.
    """
    match = cast(Block, net.blocks[1]).attn
    drawn, _ = torch.linalg.qr(torch.randn(WORDS, width, generator=torch.Generator().manual_seed(0)))
    with torch.no_grad():
        for kept in (match.w_v[0], match.w_o[0]):
            kept.zero_()
        match.w_v[0][:width, :WORDS] = drawn.T
        match.w_o[0][:WORDS, :width] = sign * 20 * WORDS / width * drawn
    return net


def wired_model(folder: Path) -> LocalModel:
    """The circuit with words for its tokens: w0, w1, …, the first of which is token 2."""
    words = [f"w{i}" for i in range(WORDS - 2)]
    vocabulary = {"<bos>": 0, "<unk>": 1} | {word: i + 2 for i, word in enumerate(words)}
    backend = {
        "version": "1.0",
        "added_tokens": [
            {"id": 0, "content": "<bos>", "special": True}
            | dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        ],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(backend), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<bos>"}), encoding="utf-8")
    return LocalModel(wired(), Tokenizer.load(folder), name="wired", revision="1")
