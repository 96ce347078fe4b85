"""What the mutation checks are shown: small settings, rows whose truth is known, worked verdicts taken apart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.record import Row
from gnomon.core.seeds import Seed
from gnomon.trial.base import Planted

__all__ = ["answer_of", "judged", "sharpened", "shots_in", "small", "small_scorer"]


def small(part: str, model: str, n: int) -> Planted:
    config = {"only": (part,), "data": ("synthetic",), "forms": ("lettered",), "shots": (0,), "n": n, "resamples": 50}
    return Planted(name=part, cast={"subject": model}, truth={}, config=config)


def sharpened(split: str, t: float, n: int = 400) -> list[Row]:
    """Rows of calibrated probabilities raised to the power of `t`."""
    rng = np.random.default_rng(int(t * 10) + len(split))
    rows = []
    for i in range(n):
        p = rng.dirichlet([1.0, 1.0, 1.0])
        gold = int(rng.choice(3, p=p))
        stated = p**t / (p**t).sum()
        found = {"p": stated.tolist(), "mass": 1.0, "readout": "exact", "n": 0, "gold": gold, "split": split}
        rows.append(Row(key=f"{split}/{i}", cluster=f"{split}/{i}", evidence=found))
    return rows


def judged(number: int, *, right: bool) -> Row:
    """A question whose five samples are all right, or all wrong."""
    sample = {"text": "a", "answer": "a", "right": right, "logprob": -1.0 - number % 3, "tokens": 1}
    verdict = {"p": [0.3 + 0.1 * (number % 5), 0.7 - 0.1 * (number % 5)], "mass": 1.0, "readout": "exact", "n": 0}
    known = {"log-probability": -1.0, "log-probability a token": -1.0, "agreement": 1.0, "negative entropy": 0.0}
    evidence = {"samples": [sample] * 5, "right": right, "verdicts": {"bare": verdict}, "baselines": known}
    return Row(key=str(number), cluster=str(number), evidence={**evidence, "group": ""})


def small_scorer() -> tuple[Any, list[list[int]]]:
    import torch

    from gnomon.learn.heads import ScalarHead, Scorer
    from gnomon.models.transformer import Transformer, TransformerConfig

    config = TransformerConfig(vocab_size=40, d_model=16, num_layers=1, num_heads=2, d_mlp=32, max_positions=32)
    generator = torch.Generator().manual_seed(0)
    head = ScalarHead(16)
    with torch.no_grad():
        head.out.weight.normal_(generator=generator)
    texts = [[3, 5, 7], [4], [9, 8, 7, 6, 5, 4, 3], [11, 12]]
    return Scorer(Transformer(config, generator=generator), head).eval(), texts


def shots_in(header: str) -> list[tuple[str, str, str]]:
    """Question, proposed answer and letter of each worked verdict."""
    found = re.findall(
        r"Question: (.*?)\nProposed Answer: (.*?)\n.*?\(A\) True\n \(B\) False\nThe proposed answer is: \((\w)\)",
        header,
        re.S,
    )
    assert len(found) == 6
    return found


def answer_of(question: str, cfg: SelfKnowledge) -> str:
    from gnomon.data.sources import open_items

    spare = open_items(cfg.data, "choice", cfg.n, Seed(0), spare=6).spare
    [item] = [i for i in spare if i.question == question]
    return item.choices[item.gold or 0]
