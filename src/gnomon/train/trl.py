"""TRL's trainers as a back end: the data, the run's record and the measuring are ours, the steps are TRL's.

    gnomon train trl                                       RewardTrainer: a preference model, `run:ID`
    gnomon train trl --trainer rloo --reward run:ID        RLOOTrainer; grpo: GRPOTrainer
    gnomon train trl --trainer dpo                         DPOTrainer: no preference model, comparisons alone
    gnomon train trl --trainer sft --model brook           SFTTrainer

`pip install 'gnomon[trl]'` installs it; nothing else needs it. Comparisons, answers and prompts are those that `train
preference`, `train sft` and `train rlhf` would take, and held-out ones are measured as there, by our own networks on
the weights that TRL left, so runs of both back ends stand side by side. Metrics but loss, gradient norm and rate have
TRL's names behind `trl/`. Every step learns from `--batch` fresh rows, at a constant rate after a short rise; what is
not a flag is TRL's default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from gnomon.core.errors import DataError, UsageError
from gnomon.core.record import Row
from gnomon.core.registry import registered
from gnomon.core.seeds import Seed
from gnomon.data.comparisons import Comparison
from gnomon.data.worlds.fingerprint import in_identity
from gnomon.learn.heads import ScalarHead, Scorer, save_head
from gnomon.learn.parallel import ranks
from gnomon.learn.policy import Actor
from gnomon.learn.texts import Pair, encode
from gnomon.models.base import Prompt
from gnomon.models.families import load_folder
from gnomon.models.load import checkpoint_folder, content_hash
from gnomon.models.streams import answer_text
from gnomon.models.tokenizer import Tokenizer
from gnomon.report.base import Report
from gnomon.train import _fitting, _ranking, _rewarded, preference, sft
from gnomon.train._fitting import Start, at_least, context_of, end_of, start_from, write_recipe
from gnomon.train._questions import Question, Questions, Reward, gold, open_reward
from gnomon.train._rollout import Sampler, known, refuse_no_numbers, still
from gnomon.train._running import CHECKPOINT
from gnomon.train._trl import Lesson, package, quiet, taught

if TYPE_CHECKING:
    from gnomon.store.run import Run

__all__ = ["Trl", "identity", "summarise", "train"]

Trainer = Literal["reward", "rloo", "grpo", "dpo", "sft"]

_NAMES: Mapping[Trainer, str] = {"reward": "Reward", "rloo": "RLOO", "grpo": "GRPO", "dpo": "DPO", "sft": "SFT"}
_RATES: Mapping[Trainer, float] = {"reward": 6e-4, "rloo": 1e-4, "grpo": 1e-4, "dpo": 1e-4, "sft": 3e-4}
_BETAS: Mapping[Trainer, float] = {"rloo": 0.05, "grpo": 0.0, "dpo": 0.1}


@registered
@dataclass(frozen=True, kw_only=True)
class Trl:
    """Train with one of TRL's trainers, with the same data, record and measures as our own."""

    trainer: Trainer = "reward"
    "RewardTrainer, RLOOTrainer, GRPOTrainer, DPOTrainer or SFTTrainer."
    data: str = "brook"
    "What to learn from: comparisons (reward, dpo), prompts (rloo, grpo) or answers (sft); brook or a file."
    model: str = "brook-assistant"
    "Where to start: brook, brook-assistant, hf:FOLDER or run:ID."
    reward: str = ""
    "What values answers, for rloo and grpo: run:ID of a preference model, another model with a scalar, or brook:RATER."
    steps: int = 100
    "Steps."
    batch: int = 32
    "Comparisons or answers a step."
    per_prompt: int = 4
    "Answers to each prompt, for rloo and grpo."
    peak_rate: float | None = None
    "Learning rate after the rise; by default 6e-4 for reward, 3e-4 for sft, 1e-4 for the others."
    beta: float | None = None
    "TRL's weight of KL (rloo: 0.05, grpo: 0), or the factor of its log-ratio (dpo: 0.1)."
    max_tokens: int = 40
    "Longest answer that rloo and grpo draw."
    held_out: int = 400
    "Comparisons, prompts or answers to measure on."
    context: int = 0
    "Longest text in tokens, 0 for the model's; longer prompts lose their beginning (reward, sft) or are left out."
    drop_bad: bool = False
    "Go on without bad rows of a file even if they are more than one in a hundred."
    lora: int = 0
    "Rank of an update that PEFT learns in place of all weights; 0 learns all weights."
    seed: int = 0
    "Seed of the data, and of TRL's own draws."

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps, batch=self.batch, held_out=self.held_out, max_tokens=self.max_tokens)
        at_least(0, context=self.context, lora=self.lora)
        at_least(2, per_prompt=self.per_prompt)
        if self.trainer in ("rloo", "grpo"):
            if not self.reward:
                todo = "give --reward run:ID, what a preference model's training left, or brook:gold"
                raise UsageError("nothing says what an answer is worth", where="--reward", todo=todo)
            if self.batch % self.per_prompt:
                what = f"--batch is {self.batch}, with --per-prompt {self.per_prompt}"
                raise UsageError(what, todo="give a multiple of it")
        elif self.reward:
            raise UsageError(f"{self.trainer} asks for no values", where="--reward", todo="leave it out")


def identity(cfg: Trl) -> dict[str, str]:
    """What decides the run's numbers beside its config: hashes of models, file and Brook, and TRL's version.

    Raises:
        UsageError: TRL is not installed, or torchrun started several processes.
    """
    if ranks().size > 1:
        raise UsageError(f"{ranks().size} processes cannot share TRL's trainers", todo="start it without torchrun")
    found = {**_fitting.identity(cfg), **in_identity([cfg.reward]), "trl": str(package("trl").__version__)}
    if cfg.reward and not cfg.reward.startswith("brook:"):
        found["reward"] = content_hash(checkpoint_folder(cfg.reward.partition("#")[0]))
    return found


def train(cfg: Trl, run: Run) -> Path:
    """Trains and returns the folder of the checkpoint; the run's rows are what was held out, measured.

    Raises:
        Stopped: Ctrl-C; the same call goes on.
        UsageError: a package is missing.
        DataError: the data cannot be used.
        ModelError: a model cannot.
        RunError: a loss or a reward is no number.
    """
    ways: Mapping[Trainer, Callable[[Trl, Run], Path]] = {
        "reward": _reward,
        "dpo": _dpo,
        "sft": _sft,
        "rloo": _answers,
        "grpo": _answers,
    }
    return ways[cfg.trainer](cfg, run)


def summarise(rows: Sequence[Row]) -> Report:
    """The report that our own training of this kind makes of such rows."""
    if "objective" in rows[0].evidence:
        return _ranking.summarise(rows)
    return sft.summarise(rows) if any("met" in row.evidence for row in rows) else _rewarded.summarise(rows)


def _as_preference(cfg: Trl) -> preference.Preference:
    """The training of ours that takes the same comparisons."""
    return preference.Preference(
        data=cfg.data,
        model=cfg.model,
        pairs=cfg.steps * cfg.batch,
        held_out=cfg.held_out,
        batch=cfg.batch,
        context=cfg.context,
        drop_bad=cfg.drop_bad,
        seed=cfg.seed,
    )


def _reward(cfg: Trl, run: Run) -> Path:
    start, ours = start_from(cfg.model, cfg.data), _as_preference(cfg)
    end, read_at = _end(start.tokenizer)
    given, learnt, measured = preference.sides(ours)
    texts, held = (preference.tokenized(ours, start, side, end) for side in (learnt, measured))
    net = _auto("AutoModelForSequenceClassification", cfg.model, num_labels=1)
    # As ours: a scalar that is 0 until the data say otherwise.
    torch.nn.init.zeros_(net.score.weight)
    rows = [{"chosen_ids": a.tokens.tolist(), "rejected_ids": b.tokens.tolist()} for a, b in texts.groups]
    trained = _taught(cfg, run, net, rows, {"max_length": None})
    head = ScalarHead(start.net.config.d_model)
    with torch.no_grad():
        head.out.weight.copy_(trained.score.weight)
    whole = _auto("AutoModelForCausalLM", cfg.model)
    whole.base_model.load_state_dict(trained.base_model.state_dict())
    facts = {"comparisons": len(rows), "read_at": read_at, **_ranking.left_out_of(given), "cut": texts.num_cut}
    facts["long"] = texts.num_long + held.num_long
    folder = _kept(cfg, run, start, whole, facts)
    save_head(head, folder, read_at=read_at)
    pairs = [Pair(*sides) for sides in held.groups]
    found = preference.values(Scorer(load_folder(folder), head), pairs, "ranked", batch=cfg.batch)
    run.add(_ranking.measured_rows([measured[i] for i in held.places], pairs, found, "ranked", facts))
    return folder


def _dpo(cfg: Trl, run: Run) -> Path:
    """As of any preference model, the chance that one answer is chosen is sigmoid of a difference: DPO's is that of
    beta times the log-ratio of policy and start (Rafailov et al. 2023, eq. 6)."""
    start, ours = start_from(cfg.model, cfg.data), _as_preference(cfg)
    given, learnt, measured = preference.sides(ours)
    end, _ = end_of(start.tokenizer, context=False)
    held = preference.tokenized(ours, start, measured, end)
    fitting = _fitting_whole(learnt, start, end, cfg)
    puts = _puts(start.tokenizer, [each.prompt for each in fitting])
    rows = [
        {"prompt": put, "chosen": _said(put, each.chosen), "rejected": _said(put, each.rejected)}
        for put, each in zip(puts, fitting, strict=True)
    ]
    beta = _beta(cfg)
    trained = _taught(cfg, run, str(checkpoint_folder(cfg.model)), rows, {"max_length": None, "beta": beta})
    facts = {"comparisons": len(rows), **_ranking.left_out_of(given)}
    facts["long"] = len(learnt) - len(rows) + held.num_long
    folder = _kept(cfg, run, start, trained, facts)
    pairs = [Pair(*sides) for sides in held.groups]
    before, after = (
        preference.values(Scorer(net, ScalarHead(net.config.d_model)), pairs, "imitation", batch=cfg.batch)
        for net in (start.net, load_folder(folder))
    )
    values = [(beta * (a - b), beta * (c - d)) for (a, c), (b, d) in zip(after, before, strict=True)]
    run.add(_ranking.measured_rows([measured[i] for i in held.places], pairs, values, "dpo", facts))
    return folder


def _sft(cfg: Trl, run: Run) -> Path:
    start = start_from(cfg.model, cfg.data)
    ours = sft.Sft(
        data=cfg.data,
        model=cfg.model,
        dialogues=cfg.steps * cfg.batch,
        held_out=cfg.held_out,
        context=cfg.context,
        drop_bad=cfg.drop_bad,
        seed=cfg.seed,
    )
    found, learnt, measured = sft.sides(ours)
    texts, held = (sft.tokenized(ours, start, side) for side in (learnt, measured))
    rows = []
    for (text,) in texts.groups:
        ids = text.tokens.tolist()
        rows.append({"input_ids": ids, "labels": [-100] * text.start + ids[text.start :]})
    trained = _taught(cfg, run, str(checkpoint_folder(cfg.model)), rows, {"max_length": None})
    facts = {"answers": len(rows), "rows": found.num_rows, "bad": found.num_bad, "shown": found.bad}
    facts |= {"cut": texts.num_cut, "long": texts.num_long + held.num_long}
    folder = _kept(cfg, run, start, trained, facts)
    before, after = (
        sft.mean_losses(net, [text for (text,) in held.groups], batch=cfg.batch)
        for net in (start.net, load_folder(folder))
    )
    run.add(sft.measured_rows([measured[i] for i in held.places], before, after, met=sft.met(learnt, measured)))
    return folder


def _answers(cfg: Trl, run: Run) -> Path:
    start, reward = start_from(cfg.model, cfg.data), open_reward(cfg.reward)
    questions = Questions(cfg.data, cfg.held_out, Seed(cfg.seed), drop_bad=cfg.drop_bad)
    asked, num_long = _asked(cfg, start, questions)
    puts = _puts(start.tokenizer, [question.prompt for question in asked])
    rows = [{"prompt": put, "place": place} for place, put in enumerate(puts)]
    settings = {
        "num_generations": cfg.per_prompt,
        "max_completion_length": cfg.max_tokens,
        "temperature": 1.0,
        "beta": _beta(cfg),
        "shuffle_dataset": False,
    }
    values = _Values(start.tokenizer, asked, reward)
    trained = _taught(cfg, run, str(checkpoint_folder(cfg.model)), rows, settings, {"reward_funcs": values})
    folder = _kept(cfg, run, start, trained, {"prompts": len(rows), "long": num_long})
    policy = load_folder(folder)
    seed = Seed(cfg.seed).child("measured")
    before, after = (
        Sampler(net, start.tokenizer, reward, max_tokens=cfg.max_tokens).draw(questions.held_out, seed)
        for net in (start.net, policy)
    )
    e, _ = known(Actor(policy, "none"), still(start.net), after, on_policy=False)
    run.add(_rewarded.rows(before, after, e))
    return folder


class _Values:
    """A reward as TRL calls it."""

    # TRL names its metrics after it.
    __name__ = "ours"

    def __init__(self, tokenizer: Tokenizer, asked: Sequence[Question], reward: Reward) -> None:
        self._tokenizer, self._asked, self._reward = tokenizer, asked, reward

    def __call__(
        self, *, completion_ids: Sequence[Sequence[int]], place: Sequence[int], log_metric: Any, **_: Any
    ) -> list[float]:
        """The value of each answer; the mean gold utility is logged where it is known."""
        questions = [self._asked[i] for i in place]
        prompts = [self._tokenizer.encode_prompt(question.prompt) for question in questions]
        answers = [answer_text(self._tokenizer, *each) for each in zip(prompts, completion_ids, strict=True)]
        values = self._reward(questions, answers)
        refuse_no_numbers(questions, [text for text, _ in answers], values)
        utilities = [each for each in gold(questions, answers) if each is not None]
        if utilities:
            log_metric("gold", sum(utilities) / len(utilities))
        return values


def _taught(
    cfg: Trl,
    run: Run,
    net: Any,
    rows: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    more: Mapping[str, Any] | None = None,
) -> Any:
    """The network that TRL leaves."""
    tokenizer = package("transformers").AutoTokenizer.from_pretrained(str(checkpoint_folder(cfg.model)))
    peak = _RATES[cfg.trainer] if cfg.peak_rate is None else cfg.peak_rate
    common: dict[str, Any] = {
        "per_device_train_batch_size": cfg.batch,
        "learning_rate": peak,
        "warmup_steps": min(20, cfg.steps // 5),
    }
    if isinstance(net, str):
        common["model_init_kwargs"] = {"dtype": "float32"}
    lesson = Lesson(_NAMES[cfg.trainer], net, tokenizer, rows, {**common, **settings}, more or {})
    seed = Seed(cfg.seed).child("trl").value & 0x7FFFFFFF
    return taught(lesson, run, steps=cfg.steps, rank=cfg.lora, seed=seed)


def _auto(kind: str, model: str, **how: Any) -> Any:
    """A network of `transformers` from the model's folder."""
    found = getattr(package("transformers"), kind)
    return found.from_pretrained(str(checkpoint_folder(model)), dtype=torch.float32, **how)


def _kept(cfg: Trl, run: Run, start: Start, net: Any, facts: Mapping[str, Any]) -> Path:
    folder = run.folder / CHECKPOINT
    with quiet():
        net.save_pretrained(folder)
    start.tokenizer.save(folder)
    write_recipe(cfg, folder, start, {"steps": cfg.steps, "trl": str(package("trl").__version__), **facts})
    return folder


def _beta(cfg: Trl) -> float:
    return _BETAS[cfg.trainer] if cfg.beta is None else cfg.beta


def _end(tokenizer: Tokenizer) -> tuple[int | None, str]:
    """The token put behind every text, as id and text; none where it is also what fills rows.

    A classifier of `transformers` reads its scalar at the last token that is no padding, which would pass over it.
    """
    end, text = end_of(tokenizer, context=True)
    return (None, "") if end == tokenizer.pad_id else (end, text)


def _fitting_whole(learnt: Sequence[Comparison], start: Start, end: int, cfg: Trl) -> list[Comparison]:
    """The comparisons both texts of which fit the context as they are; TRL's own cutting would drop the others."""
    flat = [(c.prompt, answer) for c in learnt for answer in (c.chosen, c.rejected)]
    sizes = [len(text.tokens) for text in encode(start.tokenizer, flat, end=end)]
    limit = context_of(start.net, cfg.context)
    found = [c for c, two in zip(learnt, zip(sizes[::2], sizes[1::2], strict=True), strict=True) if max(two) <= limit]
    if not found:
        what = f"none of {len(learnt)} comparisons fits {limit} tokens"
        raise DataError(what, where=cfg.data, todo="take a model with a longer context")
    return found


def _asked(cfg: Trl, start: Start, questions: Questions) -> tuple[list[Question], int]:
    """The questions of all steps that leave room for an answer, and how many do not."""
    each = cfg.batch // cfg.per_prompt
    found = [question for step in range(cfg.steps) for question in questions.batch(step, each)]
    room = context_of(start.net, cfg.context) - cfg.max_tokens
    fitting = [each for each in found if len(start.tokenizer.encode_prompt(each.prompt)) <= room]
    if len(fitting) < each:
        what = f"{len(fitting)} of {len(found)} prompts leave room for {cfg.max_tokens} tokens"
        raise DataError(what, where=cfg.data, todo="lower --max-tokens, or take a model with a longer context")
    return fitting, len(found) - len(fitting)


def _puts(tokenizer: Tokenizer, prompts: Sequence[Prompt]) -> list[Any]:
    """Prompts as TRL takes them: texts, or messages where the model has a template for them.

    Raises:
        DataError: some are texts and others messages, and TRL takes one kind at a time.
    """
    texts = [each for each in prompts if isinstance(each, str)]
    if len(texts) == len(prompts):
        return texts
    if tokenizer.chat_template is None:
        return [each if isinstance(each, str) else tokenizer.chat(each) for each in prompts]
    if texts:
        raise DataError("some prompts are texts and others messages", todo="train on one kind of them")
    return [[message._asdict() for message in each if not isinstance(message, str)] for each in prompts]


def _said(put: Any, answer: str) -> Any:
    """An answer as TRL takes it behind such a prompt."""
    return answer if isinstance(put, str) else [{"role": "assistant", "content": answer.strip()}]
