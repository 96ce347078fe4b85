"""An induction circuit set by hand: the truth that instruments for heads are held to."""

from __future__ import annotations

from typing import cast

import torch

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
