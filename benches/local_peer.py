"""The peers of `benches.local_scoring` and `benches.decode`, run by an interpreter that has them.

    PYTHON benches/local_peer.py          reads one JSON job a line, prints one JSON answer a line

Jobs: {"do": "load", "as": "lm-eval" | "transformers", "folder": …} answers with the peer's `name`,
or the `reason` why it is not there;
{"do": "score", "questions": [[prompt, options], …]} with `cpu_s` and `loglikelihoods`, nats, one list a question;
{"do": "decode", "prompt": …, "tokens": …} with `cpu_s` and `tokens`. One thread; imports nothing of gnomon.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Answer = dict[str, Any]
Peer = dict[str, Callable[[dict[str, Any]], Answer]]

# Rows of a forward of lm-evaluation-harness.
ROWS = 16


def main() -> None:
    """Does job after job until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    # Whatever the peers print is no answer.
    os.dup2(2, 1)
    peer: Peer = {}
    for line in sys.stdin:
        job = json.loads(line)
        if job["do"] == "load":
            answer, peer = loaded(job)
        else:
            answer = peer[job["do"]](job)
        print(json.dumps(answer), file=answers, flush=True)


def loaded(job: dict[str, Any]) -> tuple[Answer, Peer]:
    """The peer that is asked for, or the reason why there is none."""
    try:
        name, peer = {"lm-eval": harness, "transformers": plain}[job["as"]](job["folder"])
    except ImportError as error:
        return {"reason": str(error)}, {}
    return {"name": name}, peer


def harness(folder: str) -> tuple[str, Peer]:
    """lm-evaluation-harness, its Hugging Face backend."""
    import lm_eval
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(1)
    model = HFLM(pretrained=folder, device="cpu", dtype="float32", batch_size=ROWS)

    def score(job: dict[str, Any]) -> Answer:
        asked = [
            Instance("loglikelihood", {}, (prompt, option), number)
            for number, (prompt, options) in enumerate(job["questions"])
            for option in options
        ]
        begin = time.process_time()
        found = iter(model.loglikelihood(asked, disable_tqdm=True))
        spent = time.process_time() - begin
        return {
            "cpu_s": spent,
            "loglikelihoods": [[next(found)[0] for _ in options] for _, options in job["questions"]],
        }

    return f"lm-eval {lm_eval.__version__}", {"score": score}


def plain(folder: str) -> tuple[str, Peer]:
    """transformers, its `generate` in this process."""
    import torch
    import transformers

    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()

    def decode(job: dict[str, Any]) -> Answer:
        asked = tokenizer(job["prompt"], return_tensors="pt")
        begin = time.process_time()
        with torch.inference_mode():
            made = model.generate(**asked, max_new_tokens=job["tokens"], do_sample=True)
        return {"cpu_s": time.process_time() - begin, "tokens": made.shape[1] - asked.input_ids.shape[1]}

    return f"transformers {transformers.__version__} generate", {"decode": decode}


if __name__ == "__main__":
    main()
