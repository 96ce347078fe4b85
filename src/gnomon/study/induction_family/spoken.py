"""One document before and after in-context learning changed, with the probability of each of its tokens.

Olsson et al. 2022 (arXiv 2209.11895) colour a text by the difference: what says again what stood above becomes
likelier, and what breaks off such a copy becomes less likely.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gnomon.explain.induction.snapshots import Shown
from gnomon.models.families import load_folder
from gnomon.models.load import checkpoint_folder
from gnomon.models.tails import token_losses
from gnomon.models.tokenizer import Tokenizer
from gnomon.report.tokens import Token, TokenText
from gnomon.study.induction_family.figures import Told

__all__ = ["before_and_after"]

_LONGEST = 160


def before_and_after(told: Sequence[Told], shown: Shown) -> list[TokenText]:
    """The first document to the first series that changed; nothing where none did."""
    changed = next((each for each in told if each.changes.icl.detected), None)
    if changed is None:
        return []
    seen, of = changed
    models = {each.step: each.model for each in seen.series.snapshots}
    ids = shown.tokens_NT[0, :_LONGEST]
    texts = []
    for place in (of.before, of.after):
        step = int(seen.steps[place])
        folder = checkpoint_folder(models[step])
        with torch.no_grad():
            net = load_folder(folder).eval()
            p = (-token_losses(net(ids[None]), ids[None])[0]).exp().tolist()
        backend = Tokenizer.load(folder).backend
        words = [backend.decode([token], skip_special_tokens=False) for token in ids[1:].tolist()]
        label = f"{seen.name}, step {step:,}"
        texts.append(TokenText(label, [Token(word, round(value, 3)) for word, value in zip(words, p, strict=True)]))
    return texts
