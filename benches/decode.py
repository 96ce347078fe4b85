"""What a new token costs the local engine: one stream, 30 streams of one prompt, and 30 different prompts at once.

    python -m benches.decode [--json FILE] [--tokens 256] [--peer PYTHON]

Random Llama of 1.3 million parameters, one thread, plain sampling, prompts read anew each round. Targets: 700 tokens a
CPU second for one stream; with `--peer`, an interpreter that has transformers[serving], 5 times the rate of
`transformers serve` asked for the same completion over HTTP, its process's time alone counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from benches.bench import Figure, options, publish
from benches.beside import served, worker
from benches.local_world import SMALL, made_folder, questions
from gnomon.models.base import Sampling
from gnomon.models.load import load_checkpoint
from gnomon.models.local import LocalModel

TARGET_MS = 1000 / 700
LEAST_RATIO = 5.0
STREAMS = 30


class Round(NamedTuple):
    """Milliseconds a token: ours (CPU, wall), `transformers serve`, `generate` in a process of its own."""

    cpu: float
    wall: float
    served: float | None = None
    generated: float | None = None


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__)
    parser.add_argument("--tokens", type=int, default=256, help="new tokens of a stream")
    parser.add_argument("--peer", default="", help="interpreter that has transformers[serving]")
    args = parser.parse_args()
    torch.set_num_threads(1)
    prompts = [q.prompt for q in questions(STREAMS, lettered=False, shots=0)]
    with tempfile.TemporaryDirectory() as place:
        folder = made_folder(Path(place) / "model", SMALL)
        model = load_checkpoint(folder)
        # An end token would make rounds of different lengths.
        model.tokenizer.eos_ids = ()
        asyncio.run(spent(model, prompts[:1], 1, 8, 0))
        figures = one_stream(model, folder, prompts[0], args.tokens, args.rounds, args.peer)
        for name, asked, n in (("30 of one prompt", prompts[:1], STREAMS), ("30 prompts", prompts, 1)):
            rounds = [asyncio.run(spent(model, asked, n, args.tokens, seed)) for seed in range(args.rounds)]
            figures.append(figure(name, rounds))
    publish("decode", figures, args.json)


def one_stream(model: LocalModel, folder: Path, prompt: str, tokens: int, rounds: int, peer: str) -> list[Figure]:
    """One stream, beside both peers, rounds alternating."""
    found = []
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(worker(peer)) if peer else None
        loaded = process.ask(do="load", folder=str(folder), **{"as": "transformers"}) if process else {}
        if process is None or "reason" in loaded:
            alone = [asyncio.run(spent(model, [prompt], 1, tokens, seed)) for seed in range(rounds)]
            return [figure("one stream", alone, peer=loaded.get("reason", "no --peer"), target=TARGET_MS)]
        server = stack.enter_context(served(peer, folder, folder.with_name("serve.log")))
        process.ask(do="decode", prompt=prompt, tokens=8)
        for seed in range(rounds):
            ours = asyncio.run(spent(model, [prompt], 1, tokens, seed))
            made, cpu_s = server.complete(prompt, tokens)
            plain = process.ask(do="decode", prompt=prompt, tokens=tokens)
            if not made == plain["tokens"] == tokens:
                raise RuntimeError(f"asked for {tokens} tokens, the peers made {made} and {plain['tokens']}")
            found.append(ours._replace(served=1000 * cpu_s / tokens, generated=1000 * plain["cpu_s"] / tokens))
    generate = loaded["name"]
    name = generate.replace("generate", "serve")
    return [
        figure("one stream", found, [r.served for r in found], name, target=TARGET_MS, least_ratio=LEAST_RATIO),
        figure("one stream, in process", found, [r.generated for r in found], generate),
    ]


async def spent(model: LocalModel, prompts: Sequence[str], n: int, tokens: int, seed: int) -> Round:
    """One round of ours."""
    model.weights_changed()
    how = Sampling(max_tokens=tokens, seed=seed)
    begin, begin_wall = time.process_time(), time.perf_counter()
    found = await asyncio.gather(*(model.sample(prompt, how, n) for prompt in prompts))
    cpu, wall = time.process_time() - begin, time.perf_counter() - begin_wall
    assert all(completion.num_tokens == tokens for one in found for completion in one)
    each = 1000 / (len(prompts) * n * tokens)
    return Round(cpu * each, wall * each)


def figure(
    name: str,
    rounds: Sequence[Round],
    theirs: Sequence[float | None] = (),
    peer: str = "",
    *,
    target: float | None = None,
    least_ratio: float | None = None,
) -> Figure:
    """Medians over the rounds, and the peer's time over ours in each."""
    costs = [cost for cost in theirs if cost is not None]
    return Figure(
        name=name,
        cpu=statistics.median(r.cpu for r in rounds),
        wall=statistics.median(r.wall for r in rounds),
        unit="ms/token",
        target=target,
        peer=statistics.median(costs) if costs else None,
        peer_name=peer,
        ratios=[b / r.cpu for r, b in zip(rounds, costs, strict=bool(costs))],
        least_ratio=least_ratio,
    )


if __name__ == "__main__":
    main()
