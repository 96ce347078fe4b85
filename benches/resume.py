"""What a finished run of 10,000 rows costs when its command is given again, and what its page costs.

    python -m benches.resume [--json FILE] [--items 10000]

Resuming draws the items again, finds the run, reads its rows and asks nothing; imports are not counted. The page is
everything after: estimates with their null draws and bootstraps, figures, JSON and HTML. Targets: 1 s and 5 s of
processor time.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benches.bench import Cost, Figure, measured, options, publish
from benches.trials import CALIBRATED, NAME, Unreported, lettered
from gnomon.assay.self_knowledge import SelfKnowledge
from gnomon.core.record import Row
from gnomon.report.json import as_dict, dumps
from gnomon.report.page import page
from gnomon.report.provenance import Provenance
from gnomon.store.run import Run
from gnomon.trial.runner import Finished, run_evaluation

TARGET_RESUME_S, TARGET_PAGE_S = 1.0, 5.0


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__)
    parser.add_argument("--items", type=int, default=10_000, help="items of the run")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = kept(again(args.items, root))
        resume = measured(lambda: again(args.items, root), args.rounds)
        config = lettered(SelfKnowledge, args.items)
        summary = measured(lambda: config.summarise(rows), args.rounds)
        whole = measured(lambda: reported(config, rows), args.rounds)
    publish("resume", figures(resume, summary, whole), args.json)


def again(count: int, root: Path) -> Finished:
    """The run, asked when it is new and resumed when it is not, without its report."""
    return asyncio.run(run_evaluation(lettered(Unreported, count), NAME, CALIBRATED, root=root))


def kept(finished: Finished) -> list[Row]:
    """All rows of a run."""
    run = Run.find(str(finished.run.folder))
    try:
        return run.rows()
    finally:
        run.close()


def reported(config: SelfKnowledge, rows: list[Row]) -> str:
    """Report, JSON and page of rows."""
    report = config.summarise(rows)
    dumps(as_dict(report, Provenance()))
    return page(report, rows=rows)


def figures(resume: Cost, summary: Cost, whole: Cost) -> list[Figure]:
    """Seconds of resuming, and of the page with the share of its statistics."""
    return [
        Figure(name="resume", cpu=resume.cpu, wall=resume.wall, unit="s", target=TARGET_RESUME_S),
        Figure(name="report page", cpu=whole.cpu, wall=whole.wall, unit="s", target=TARGET_PAGE_S),
        Figure(name="its statistics alone", cpu=summary.cpu, wall=summary.wall, unit="s"),
    ]


if __name__ == "__main__":
    main()
