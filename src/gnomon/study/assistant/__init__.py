"""What does a prompt make of a model, how much of that stays when it is distilled into the weights, and at what cost?

    gnomon study assistant
    gnomon study assistant --model run:7f3a,run:19ab,brook --seeds 3 --also wordings,mixes,samples --workers 2
    gnomon study assistant --model hf:FOLDER --prompt assistant-v1 --data notes.txt,answers.jsonl --comparisons hhh

Askell et al. 2021 (arXiv 2112.00861), sec. 2: HHH comparisons bare, prompted, distilled, and both, by size; the length
and the wording of the prompt; the tax on what the model could do before; the mix of the distillation's data. Every
model is asked the same items, so everything is compared item by item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gnomon.assay.ability import Ability
from gnomon.assay.hhh import HHH
from gnomon.core.config import digest
from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.data.assistants import prompt_text, prompt_wordings
from gnomon.data.exercises import Mix
from gnomon.models.families import read_config
from gnomon.models.load import checkpoint_folder
from gnomon.models.tokenizer import Tokenizer
from gnomon.store.files import replace_file
from gnomon.store.manifest import runs_root
from gnomon.study._family import sized
from gnomon.study._lab import Lab
from gnomon.study._trained import Studied, Trained, environment, train_all
from gnomon.study.assistant.summary import Effect, Learnt, Longer, report
from gnomon.train.distill import Distill, measure

__all__ = ["Assistant", "study"]

_MIXES: tuple[Mix, ...] = ("text", "questions")
# Texts of this seed are in no training: a half that one mix holds out is what another learns.
_FRESH = 10_000


@registered
@dataclass(frozen=True, kw_only=True)
class Assistant:
    """Prompt a model, distil the prompt into it, and compare: HHH, divergence, and what it could do before."""

    model: tuple[str, ...] = ("brook",)
    "Models to start from; several are a ladder of sizes."
    prompt: str = "brook"
    "What makes an assistant of them: brook[:DIALOGUES], assistant-v1[:DIALOGUES], or a file."
    data: tuple[str, ...] = ("brook",)
    "Texts to distil on, as for `gnomon train distill --data`."
    comparisons: tuple[str, ...] = ("brook",)
    "HHH comparisons, as for `gnomon assay hhh --data`."
    tasks: tuple[str, ...] = ("brook",)
    "What the tax is read on, as for `gnomon assay ability --tasks`."
    lengths: tuple[int, ...] = (1, 2, 4, 8, 14)
    "Numbers of dialogues to try the prompt with, on the largest model; a file has one length."
    also: tuple[Literal["wordings", "mixes", "samples"], ...] = ()
    "Also: the prompt worded otherwise or worked against; other mixes of texts; learning sampled answers by heart."
    n: int = 100
    "Comparisons a category, and items a task."
    texts: int = 4000
    "Texts to distil on."
    held_out: int = 400
    "Texts to measure divergences on."
    top_k: int = 0
    "As for `gnomon train distill`: 0 computes all of the teacher's probabilities in place."
    peak_rate: float = 3e-4
    "Highest learning rate."
    seeds: int = 1
    "Distillations of each model; a seed draws texts and their order."

    def __post_init__(self) -> None:
        if self.seeds < 1 or not self.model or min(self.lengths, default=1) < 1:
            raise UsageError("a study needs a model, a seed, and lengths of 1 or more", todo="--seeds 1 --lengths 2,4")

    @property
    def cuttable(self) -> bool:
        """Whether the prompt has dialogues that can be counted."""
        return not Path(self.prompt).expanduser().is_file()


def study(cfg: Assistant, root: Path | None, workers: int) -> Studied:
    """Distils the prompt into every model, asks all of them, and reads the answers together.

    Raises:
        UsageError: the prompt at one of its lengths does not fit the largest model.
        GnomonError: a training or an evaluation failed; those that were done are kept.
    """
    family = sized(cfg.model, least=1)
    if cfg.cuttable:
        _refuse_too_long(cfg, family[-1].name)
    wanted = [_distilled(cfg, m.name, seed) for m in family for seed in range(cfg.seeds)]
    extra = _extra(cfg, family[-1].name)
    trained = train_all([*wanted, *extra.values()], root=root, workers=workers)
    lab = Lab(root, workers)
    with environment(root, workers):
        effects = []
        for place, model in enumerate(family):
            students = trained[place * cfg.seeds : (place + 1) * cfg.seeds]
            effects.append(_effect(cfg, lab, model.name, model.parameters, students))
        largest = family[-1].name
        longer = _lengths(cfg, lab, largest) if cfg.cuttable else []
        wordings = _wordings(cfg, lab, largest) if "wordings" in cfg.also else []
        students = [*trained[len(wanted) - cfg.seeds : len(wanted)][:1], *trained[len(wanted) :]]
        learnt = _learnt(cfg, lab, largest, dict(zip(("half", *extra), students, strict=True))) if extra else []
    found = report(effects, longer, wordings, learnt, planted="brook" in cfg.comparisons and cfg.prompt == "brook")
    return Studied(found, [*trained, *lab.parts])


def _refuse_too_long(cfg: Assistant, model: str) -> None:
    """Before anything is trained, for a long training would end in this."""
    folder = checkpoint_folder(model)
    positions, tokenizer = read_config(folder).max_positions, Tokenizer.load(folder)
    name = cfg.prompt.partition(":")[0]
    for count in sorted(cfg.lengths):
        tokens = len(tokenizer.encode(prompt_text(f"{name}:{count}")))
        if tokens >= positions:
            what = f"{name}:{count} has {tokens} tokens, and {model} {positions} positions"
            raise UsageError(what, where="--lengths", todo="leave out what is too long, such as --lengths 1,2")


def _distilled(cfg: Assistant, model: str, seed: int, **more: Any) -> Distill:
    given = {"prompt": cfg.prompt, "data": cfg.data, "texts": cfg.texts, "held_out": cfg.held_out, "seed": seed}
    given["peak_rate"] = cfg.peak_rate
    return Distill(**{**given, "model": model, "top_k": cfg.top_k, **more})


def _extra(cfg: Assistant, model: str) -> dict[str, Distill]:
    """Further distillations of the largest model, by what is different in them."""
    found: dict[str, Distill] = (
        {mix: _distilled(cfg, model, 0, mix=mix) for mix in _MIXES} if "mixes" in cfg.also else {}
    )
    if "samples" in cfg.also:
        found["samples"] = _distilled(cfg, model, 0, mix="questions", objective="samples", top_k=0)
    return found


def _effect(cfg: Assistant, lab: Lab, model: str, parameters: float, students: Sequence[Trained]) -> Effect:
    prompt = cfg.prompt
    return Effect(
        model,
        parameters,
        _compared(cfg, lab, model, prompt),
        [_compared(cfg, lab, each.model, prompt) for each in students],
        _able(cfg, lab, model, prompt),
        [_able(cfg, lab, each.model, "") for each in students],
        [each.report for each in students],
    )


def _compared(cfg: Assistant, lab: Lab, model: str, prompt: str, label: str = "") -> list[Row]:
    """The HHH comparisons, bare and behind `prompt`."""
    config = HHH(data=cfg.comparisons, n=cfg.n, scores=("sum",), prompt=prompt)
    return lab.ask(config, "hhh", model, f"hhh of {model}{label}").rows


def _able(cfg: Assistant, lab: Lab, model: str, prompt: str) -> list[Row]:
    """What it can do, bare and where a prompt is given also behind it."""
    return lab.ask(Ability(tasks=cfg.tasks, n=cfg.n, prompt=prompt), "ability", model).rows


def _lengths(cfg: Assistant, lab: Lab, model: str) -> list[Longer]:
    """The prompt at every length; its first rows are those without one."""
    name = cfg.prompt.partition(":")[0]
    return [
        Longer(
            str(count),
            len(prompt_text(f"{name}:{count}").split()),
            _compared(cfg, lab, model, f"{name}:{count}", f", {count}"),
        )
        for count in sorted(cfg.lengths)
    ]


def _wordings(cfg: Assistant, lab: Lab, model: str) -> list[Longer]:
    """The prompt as it is, in other wordings, and worked against; texts are kept below the runs' folder."""
    found = [
        Longer("as it is", len(prompt_text(cfg.prompt).split()), _compared(cfg, lab, model, cfg.prompt, ", as it is"))
    ]
    for name, text in prompt_wordings(cfg.prompt).items():
        file = runs_root(lab.root) / "prompts" / f"{name}-{digest(text)[:8]}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, text)
        found.append(Longer(name, len(text.split()), _compared(cfg, lab, model, str(file.resolve()), f", {name}")))
    return found


def _learnt(cfg: Assistant, lab: Lab, model: str, students: Mapping[str, Trained]) -> list[Learnt]:
    """What was learnt in each way, measured on the same fresh texts of both halves."""
    fresh = _distilled(cfg, model, _FRESH, texts=cfg.texts and 64, top_k=0)
    return [
        Learnt(name, _compared(cfg, lab, each.model, cfg.prompt, f" ({name})"), measure(fresh, each.model))
        for name, each in students.items()
    ]
