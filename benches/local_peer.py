"""The peers of `benches.local_scoring` and `benches.decode`, run by an interpreter that has them.

    PYTHON benches/local_peer.py JOB.json        prints one JSON line a figure

Imports nothing of gnomon. Peers: lm-evaluation-harness where it is importable, and plain transformers.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from typing import Any


def main() -> None:
    """Runs every peer that is importable here on the job of the file named."""
    with open(sys.argv[1]) as file:
        job = json.load(file)
    import torch

    torch.set_num_threads(1)
    if job["kind"] == "scoring":
        peers = {"transformers, one question at a time": _plain_scoring}
        if importlib.util.find_spec("lm_eval"):
            peers["lm-evaluation-harness"] = _harness_scoring
    else:
        peers = {"transformers generate": _plain_decoding}
    for name, run in peers.items():
        print(json.dumps({"engine": name, **run(job)}), flush=True)


def _loaded(folder: str) -> tuple[Any, Any]:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval(), tokenizer


def _plain_scoring(job: dict[str, Any]) -> dict[str, float]:
    import torch

    model, tokenizer = _loaded(job["folder"])

    def one(prompt: str, options: list[str]) -> None:
        before = len(tokenizer(prompt).input_ids)
        ids = [tokenizer(prompt + option).input_ids for option in options]
        size = max(map(len, ids))
        padded = torch.tensor([row + [0] * (size - len(row)) for row in ids])
        with torch.inference_mode():
            logits = model(padded, logits_to_keep=size - before + 1).logits.log_softmax(-1)
        assert logits.shape[0] == len(options)

    one(*job["questions"][0])
    begin = time.process_time()
    for prompt, options in job["questions"]:
        one(prompt, options)
    return {"items_per_cpu_s": len(job["questions"]) / (time.process_time() - begin)}


def _harness_scoring(job: dict[str, Any]) -> dict[str, float]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(pretrained=job["folder"], device="cpu", dtype="float32", batch_size=16)
    asked = [
        Instance("loglikelihood", {}, (prompt, option), number)
        for number, (prompt, options) in enumerate(job["questions"])
        for option in options
    ]
    begin = time.process_time()
    model.loglikelihood(asked, disable_tqdm=True)
    return {"items_per_cpu_s": len(job["questions"]) / (time.process_time() - begin)}


def _plain_decoding(job: dict[str, Any]) -> dict[str, float]:
    import torch

    model, tokenizer = _loaded(job["folder"])
    ids = tokenizer([job["prompt"]] * job["streams"], return_tensors="pt").input_ids
    how = {"max_new_tokens": job["tokens"], "min_new_tokens": job["tokens"], "do_sample": job["streams"] > 1}
    with torch.inference_mode():
        model.generate(ids, **(how | {"max_new_tokens": 8, "min_new_tokens": 8}))
        begin = time.process_time()
        model.generate(ids, **how)
    return {"tokens_per_cpu_s": job["streams"] * job["tokens"] / (time.process_time() - begin)}


if __name__ == "__main__":
    main()
