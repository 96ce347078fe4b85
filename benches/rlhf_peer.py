"""The peer of `benches.rlhf`: TRL's RLOOTrainer, run by an interpreter that has it.

    PYTHON benches/rlhf_peer.py          reads one JSON job a line, prints one JSON answer a line

Jobs: {"do": "load", "policy": FOLDER, "reward": FOLDER, "read_at": TOKEN} answers with the peer's `name`, or the
`reason` why it is not there; {"do": "train", "prompts": [[text, …], …], "said": …, "per_prompt": …, "max_tokens": …,
"kl": …, "rate": …, "seed": …} takes a step on each list of prompts, from the first weights, and answers with `cpu_s`,
`wall_s`, `phases` in CPU seconds, `lengths` of the answers and their `rewards`. Where `said` has the token ids of every
answer to those prompts, they are taken in place of the peer's own; then `norms` has those of each step's gradient, and
`known` the log-probabilities that the policy before the step, and then the reference, give each answer. One thread,
float32; imports nothing of gnomon.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benches.training_peer import Answer, answering, clock, settings


def loaded(job: dict[str, Any]) -> tuple[Answer, Callable[[dict[str, Any]], Answer] | None]:
    """The peer's name and what trains; or the reason why there is none."""
    try:
        import datasets
        import torch
        import transformers
        import trl
    except ImportError as error:
        return {"reason": str(error)}, None
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    return {"name": f"TRL {trl.__version__}"}, lambda asked: trained(asked, job)


def trained(job: dict[str, Any], where: dict[str, Any]) -> Answer:
    """Steps from the weights in the folders."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback
    from trl import RLOOConfig, RLOOTrainer

    num = len(job["prompts"][0]) * job["per_prompt"]
    of_step = {"batch": num, "rate": job["rate"], "given": True, "losses": job["said"] is not None}
    chosen = {"train_sampling_strategy", "weight_decay", "adam_beta2"}
    common = {name: value for name, value in settings(of_step).items() if name not in chosen}
    watch = clock()
    with tempfile.TemporaryDirectory() as out:
        trainer = RLOOTrainer(
            # A folder, for the reference is read from where the policy was.
            AutoModelForCausalLM.from_pretrained(where["policy"], dtype=torch.float32),
            reward_funcs=valuer(where["reward"]),
            reward_processing_classes=Ended(AutoTokenizer.from_pretrained(where["reward"]), where["read_at"]),
            processing_class=AutoTokenizer.from_pretrained(where["policy"], padding_side="left"),
            train_dataset=Dataset.from_list([{"prompt": text} for texts in job["prompts"] for text in texts]),
            args=RLOOConfig(
                output_dir=out,
                num_generations=job["per_prompt"],
                max_completion_length=job["max_tokens"],
                beta=job["kl"],
                seed=job["seed"],
                weight_decay=0.0,
                adam_beta2=0.95,
                shuffle_dataset=False,
                **common,
            ),
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
        seen = Seen(trainer, job["said"])
        trainer.train()
    phases = {**seen.phases, "update": watch.cpu - sum(seen.phases.values())}
    answer = {"cpu_s": watch.cpu, "wall_s": watch.wall, "phases": phases}
    norms = [row["grad_norm"] for row in trainer.state.log_history if "grad_norm" in row]
    return {**answer, "norms": norms, **seen.told()}


def valuer(folder: str) -> Any:
    """The preference model in `folder` as a sequence classifier; the head's bias, which this has not, is left out."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1, dtype=torch.float32)
    model.score.weight.data.copy_(load_file(Path(folder) / "head.safetensors")["out.weight"])
    return model


class Ended:
    """A tokenizer for texts whose value is read at a token put behind them, and which begin as the model's texts do.

    The trainer asks for neither: it tokenises for the reward without special tokens.
    """

    def __init__(self, tokenizer: Any, read_at: str) -> None:
        self._tokenizer, self._read_at = tokenizer, read_at
        self.pad_token_id = tokenizer.pad_token_id

    def __call__(self, text: list[str], **how: Any) -> Any:
        """The tokenizer's answer."""
        return self._tokenizer([each + self._read_at for each in text], **{**how, "add_special_tokens": True})


class Seen:
    """What a trainer spends on each phase, and what it finds there.

    Attributes:
        phases: CPU seconds.
    """

    def __init__(self, trainer: Any, said: list[list[list[int]]] | None) -> None:
        self.phases = {"sampling": 0.0, "reward": 0.0, "log-probabilities": 0.0}
        self._lengths: list[int] = []
        self._rewards: list[float] = []
        self._known: list[list[float]] = []
        self._said = None if said is None else iter(said)
        self._sample, self._reward = trainer._generate_single_turn, trainer._calculate_rewards
        self._score = trainer._get_per_token_logps_and_entropies
        trainer._generate_single_turn, trainer._calculate_rewards = self.sample, self.reward
        trainer._get_per_token_logps_and_entropies = self.score

    def sample(self, *given: Any) -> Any:
        """Answers: the trainer's, or those it is told to take."""
        found = self._timed("sampling", self._sample, *given) if self._said is None else next(self._said)
        self._lengths += map(len, found)
        return found

    def reward(self, *given: Any) -> Any:
        """Values of answers."""
        found = self._timed("reward", self._reward, *given)
        self._rewards += found[:, 0].tolist()
        return found

    def score(self, *given: Any, **how: Any) -> Any:
        """Log-probabilities; with a gradient they are part of the update."""
        if how.get("compute_entropy"):
            return self._score(*given, **how)
        found = self._timed("log-probabilities", self._score, *given, **how)
        if self._said is not None:
            lengths = self._lengths[-len(found[0]) :]
            self._known += [row[:length].tolist() for row, length in zip(found[0], lengths, strict=True)]
        return found

    def told(self) -> Answer:
        """Lengths and rewards of all answers, and what is known of those that were given."""
        return {"lengths": self._lengths, "rewards": self._rewards, "known": self._known}

    def _timed(self, phase: str, work: Callable[..., Any], *given: Any, **how: Any) -> Any:
        begun = time.process_time()
        found = work(*given, **how)
        self.phases[phase] += time.process_time() - begun
        return found


if __name__ == "__main__":
    answering(loaded)
