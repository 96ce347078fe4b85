"""GPT-2 small's heads are those that others found; skipped where its weights are not in `GNOMON_DATA/gpt2`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
import transformers as hf

from gnomon.core.seeds import Seed
from gnomon.explain.induction.attention import looked_back, looks
from gnomon.explain.induction.sequences import plain_tokens, repeats
from gnomon.models.load import load
from gnomon.models.local import LocalModel

pytestmark = pytest.mark.slow

# What the community calls its induction heads, and the head before them.
KNOWN, ALWAYS, BEFORE = {"5.0", "5.1", "5.5", "6.9", "7.2", "7.10", "7.11", "10.7"}, {"5.1", "5.5", "6.9"}, "4.11"
TEXT = "Mr and Mrs Dursley, of number four, were proud to say that they were perfectly normal, thank you very much."


@pytest.fixture
def gpt2(gnomon_data: Path) -> LocalModel:
    folder = gnomon_data / "gpt2"
    if not (folder / "config.json").is_file():
        pytest.skip(f"{folder} holds no model")
    return cast(LocalModel, load(f"hf:{folder}"))


@torch.no_grad()
def test_known_heads_come_first(gpt2: LocalModel) -> None:
    shown = repeats(plain_tokens(gpt2.tokenizer), 10, Seed(0), bos=gpt2.tokenizer.eos_id)
    matched_LH = looks(gpt2.net, shown)["prefix matching"].mean(0)
    first = {f"{at // 12}.{at % 12}" for at in matched_LH.flatten().topk(5).indices.tolist()}
    assert first <= KNOWN and first >= ALWAYS, first
    tokens_BT = torch.tensor([gpt2.tokenizer.encode(TEXT)])
    best = int(looked_back(gpt2.net, tokens_BT)[0].argmax())
    assert f"{best // 12}.{best % 12}" == BEFORE


@torch.no_grad()
def test_logits_equal_the_reference(gpt2: LocalModel, gnomon_data: Path) -> None:
    reference = hf.AutoModelForCausalLM.from_pretrained(gnomon_data / "gpt2", dtype=torch.float32).eval()
    tokens_BT = torch.tensor([gpt2.tokenizer.encode(TEXT)])
    torch.testing.assert_close(gpt2.net(tokens_BT), reference(tokens_BT).logits, atol=2e-4, rtol=0)
