"""What a trial costs beside the model's own work: drawing items, asking, keeping rows in SQLite, reporting.

    python -m benches.harness [--json FILE] [--items 2000] [--peer PYTHON]

Self-knowledge's lettered questions of the synthetic source, asked of `planted:calibrated`, whose own share is timed
alone and taken off. The target is 1 ms of processor time an item, the report included. `--peer` names an interpreter
with inspect-ai, which asks its mock model 300 multiple-choice questions.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.bench import Cost, Figure, ask_peer, measured, options, publish
from benches.trials import CALIBRATED, NAME, Unreported, lettered
from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.record import Item
from gnomon.core.seeds import Seed
from gnomon.data.prompts import choice_prompt, letters
from gnomon.models.base import Model
from gnomon.models.load import load
from gnomon.trial.base import Evaluation
from gnomon.trial.runner import run_evaluation

TARGET_MS = 1.0


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__)
    parser.add_argument("--items", type=int, default=2000, help="items a round")
    parser.add_argument("--peer", default="", help="interpreter that has inspect-ai")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        whole = measured(lambda: run(lettered(SelfKnowledge, args.items), Path(root)), args.rounds)
        asking = measured(lambda: run(lettered(Unreported, args.items), Path(root)), args.rounds)
    model, items = bound(args.items)
    answers = measured(lambda: asyncio.run(_answers(model, items)), args.rounds)
    peer = ask_peer(args.peer, "harness_peer.py") if args.peer else {"reason": "no --peer"}
    publish("harness", figures(whole, asking, answers, args.items, peer), args.json)


def run(config: Evaluation, root: Path) -> None:
    """One fresh run, every row committed."""
    finished = asyncio.run(run_evaluation(config, NAME, CALIBRATED, root=root, fresh=True))
    assert finished.asked == finished.total


def bound(count: int) -> tuple[Model, list[Item]]:
    """The planted model, and the items that it knows."""
    items = list(lettered(SelfKnowledge, count).items(Seed(0).child("items")))
    model: Any = load(CALIBRATED["subject"])
    model.bind(items)
    return model, items


def figures(whole: Cost, asking: Cost, answers: Cost, count: int, peer: dict[str, Any]) -> list[Figure]:
    """Milliseconds an item of a run of `count` items, split into what it is made of."""

    def figure(name: str, cpu: float, wall: float, **more: Any) -> Figure:
        return Figure(name=name, cpu=1e3 * cpu / count, wall=1e3 * wall / count, unit="ms/item", **more)

    beside = {"peer": peer.get("cpu_ms"), "peer_name": peer.get("name", peer.get("reason", ""))}
    return [
        figure("harness", whole.cpu - answers.cpu, whole.wall - answers.wall, target=TARGET_MS, **beside),
        figure("harness without the report", asking.cpu - answers.cpu, asking.wall - answers.wall),
        figure("planted model alone", answers.cpu, answers.wall),
    ]


async def _answers(model: Model, items: Sequence[Item]) -> None:
    for item in items:
        await model.choose(choice_prompt(item), letters(len(item.choices)))


if __name__ == "__main__":
    main()
