"""Does a model know, before answering, whether it knows? P(IK) from a trained head.

Kadavath et al. 2022, sec. 5: truth is the share of sampled answers that are right; a head on the last token of the
question predicts it (see `head`). Held-out questions, split by group; with the source sentence in a note; with a wrong
note; with growing parts of a worked solution as a hint; against baselines that need no head. Models whose activations
cannot be read are asked in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnomon.assay.self_knowledge import head
from gnomon.assay.self_knowledge.asking import choose, group_of, wording
from gnomon.assay.self_knowledge.pik_scores import pik_report
from gnomon.assay.self_knowledge.samples import agreement, answer_prompt, answers, entropy, open_questions
from gnomon.assay.self_knowledge.truths import pik_truth
from gnomon.core.record import Item, Row
from gnomon.core.seeds import Seed
from gnomon.data.answers import is_right
from gnomon.models.base import Ability, Completion, Model, Sampling
from gnomon.report.base import Report
from gnomon.trial.base import Cast, Planted

if TYPE_CHECKING:
    from gnomon.assay.self_knowledge import SelfKnowledge

__all__ = [
    "HINTS",
    "baselines",
    "in_one_context",
    "items",
    "knows",
    "planted",
    "prepare",
    "summarise",
    "trial",
    "variants",
]

# Fractions of a worked solution shown as a hint.
HINTS = (0.25, 0.5, 0.75, 1.0)
# Tokens that any server's context holds.
UNKNOWN_CONTEXT = 2048
# Questions whose every token is shown with the head's value there.
TOKENWISE = 8
# Confidences that a model may state in words, in percent.
STATED = tuple(range(0, 101, 10))


def items(cfg: SelfKnowledge, seed: Seed) -> list[Item]:
    """Open questions of held-out clusters, each with another question's note and solution as controls."""
    asked = [i for i in open_questions(cfg, seed, "pik", 2 * cfg.n) if head.held_out(i.cluster)][: cfg.n]
    others = asked[1:] + asked[:1]
    return [
        replace(i, meta={**i.meta, "other": _material(o), "tokenwise": n < TOKENWISE})
        for n, (i, o) in enumerate(zip(asked, others, strict=True))
    ]


async def prepare(cfg: SelfKnowledge, cast: Cast, folder: Path | None, seed: Seed) -> Cast:
    """The cast with the trained head."""
    return await head.prepare(cfg, cast, folder, seed)


async def trial(cfg: SelfKnowledge, item: Item, cast: Cast, rng: Seed) -> dict[str, Any]:
    """The share of sampled answers that are right, and P(IK) of the bare question and of its variants.

    With `--labels` the answers are another model's: the crossed design of sec. 5.5, whose weights predict whose
    knowledge.
    """
    drawn = await answers(cfg, cast.labels, item, cfg.samples, rng)
    share = sum(a["right"] for a in drawn) / len(drawn)
    how = Sampling(max_tokens=_longest(drawn), temperature=0.0, stop=wording(item).stops(), seed=rng.value)
    [greedy] = await cast.labels.sample(answer_prompt(cfg, item), how)
    found: dict[str, Any] = {
        "truth": share,
        "samples": len(drawn),
        **group_of(item),
        "baselines": await baselines(cfg, cast.labels, item, drawn, greedy, rng),
        "greedy right": is_right(item, greedy.text),
        "readout": "head" if "pik" in cast else "words",
    }
    found["pik"] = {name: await knows(cfg, cast, variant, rng) for name, variant in variants(item).items()}
    if item.meta["tokenwise"] and getattr(cast.get("pik"), "head", None) is not None:
        found["tokens"] = head.at_every_token(cfg, cast["pik"], item)
    stated = found["pik"]["question"]
    brier = share * (1 - stated) ** 2 + (1 - share) * stated**2
    scores = {"accuracy": share, "P(IK)": stated, "Brier": brier}
    return {**found, "scores": scores}


async def knows(cfg: SelfKnowledge, cast: Cast, item: Item, rng: Seed) -> float:
    """P(IK) of a question: the head's value as a probability, or the mean confidence stated in words."""
    if "pik" in cast:
        return 1 / (1 + math.exp(-await cast["pik"].reward(answer_prompt(cfg, item))))
    options = [f" {percent}%" for percent in STATED]
    asked = await choose(cfg, cast.subject, item, wording(item).confidence_prompt(item), options, rng.child("words"))
    return sum(p * percent / 100 for p, percent in zip(asked.choice.p, STATED, strict=True))


def variants(item: Item) -> dict[str, Item]:
    """The question as it was sampled, and where there is material: with its source, a wrong source, and hints."""
    own, other = _material(item), item.meta["other"]
    found = {"question": item}
    if own["sentence"] and not item.note:
        found["source"] = replace(item, note=own["sentence"])
    if own["sentence"] and other["sentence"] and not item.note:
        found["wrong source"] = replace(item, note=other["sentence"])
    for name, material in (("hint", own), ("wrong hint", other)):
        for fraction in HINTS if own["solution"] and material["solution"] else ():
            words = str(material["solution"]).split(" ")
            shown = " ".join(words[: max(1, round(fraction * len(words)))])
            found[f"{name} {fraction:g}"] = replace(item, meta={**item.meta, "hint": shown})
    return found


async def baselines(
    cfg: SelfKnowledge, model: Model, item: Item, drawn: Sequence[dict[str, Any]], greedy: Completion, rng: Seed
) -> Mapping[str, float | None]:
    """What needs no head; more is surer: entropy and agreement of the samples, log-probability a token of the greedy
    answer, and of all samples written one after the other into one context."""
    many = drawn
    if cfg.entropy_samples > len(drawn):
        many = await answers(cfg, model, item, cfg.entropy_samples, rng.child("entropy"))
    logprob = None if greedy.logprob is None else greedy.logprob / max(1, greedy.num_tokens)
    agreed = float(np.mean([agreement(drawn, i) for i in range(len(drawn))])) if len(drawn) > 1 else None
    return {
        "negative entropy": -entropy(many),
        "agreement": agreed,
        "log-probability a token": logprob,
        "samples in one context": await in_one_context(cfg, model, item, drawn),
    }


async def in_one_context(
    cfg: SelfKnowledge, model: Model, item: Item, drawn: Sequence[Mapping[str, Any]]
) -> float | None:
    """Mean log-probability of a token of all samples, a line each behind the question; None where it cannot be had.

    A model that knows the answer finds each further sample likelier (Kadavath et al. 2022, appendix on baselines).
    """
    prompt = answer_prompt(cfg, item)
    limit = getattr(getattr(model, "engine", None), "limit", UNKNOWN_CONTEXT)
    # A prompt has no more tokens than letters, and every sample gets a line's end.
    wanted = len(str(prompt)) + sum(int(d["tokens"]) + 1 for d in drawn)
    if Ability.SCORE not in model.can or wanted > limit:
        return None
    found = await model.score(prompt, "\n".join(f" {d['text']}" for d in drawn))
    return found.total / max(1, len(found.logprobs))


def summarise(cfg: SelfKnowledge, rows: Sequence[Row]) -> Report:
    """Discrimination, calibration and the effect of sources and hints."""
    return pik_report(cfg, rows)


def planted() -> Iterator[Planted]:
    """A body whose hidden state holds the log-odds of a right answer, with little noise, and with none of it."""
    base = {
        "only": ("pik",),
        "data": ("synthetic",),
        "shots": (0,),
        "n": 150,
        "head_questions": 120,
        "samples": 10,
        "resamples": 400,
    }
    for noise in (0.5, math.inf):
        yield Planted(
            name=f"pik-noise-{noise:g}",
            cast={"subject": f"planted:pik?noise={noise:g}"},
            config=base,
            truth={"AUROC [P(IK)]": pik_truth(noise, 10)},
            null=math.isinf(noise),
        )


def _material(item: Item) -> dict[str, str]:
    steps = item.meta.get("steps")
    solution = " ".join(steps) if steps else item.meta.get("solution", "")
    return {"sentence": str(item.meta.get("sentence", "")), "solution": str(solution)}


def _longest(drawn: Sequence[Mapping[str, Any]]) -> int:
    return max(1, *(int(d["tokens"]) for d in drawn))
