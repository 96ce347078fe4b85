"""`gnomon assay NAME... --model M`: asks a model an evaluation's items and reports what the answers say."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gnomon.cli.flags import Fresh, Json, MaxErrors, Out, Page, Seed, Settings, Toml, Workers, configs, with_fields
from gnomon.cli.output import command_line, emit, origin_of, say, write_text
from gnomon.core.errors import UsageError
from gnomon.core.registry import method
from gnomon.report.base import Report
from gnomon.report.provenance import Provenance

if TYPE_CHECKING:
    from gnomon.core.progress import Bar
    from gnomon.core.record import Row
    from gnomon.trial.job import Progress
    from gnomon.trial.runner import Finished

__all__ = ["EXAMPLES", "assay_command", "assay_once", "changed", "estimate_text", "keep", "kept_rows"]

EXAMPLES = """Examples:
  gnomon assay self-knowledge --help               one evaluation's settings
  gnomon assay self-knowledge                      asks the model that ships
  gnomon assay brook --model hf:./my-checkpoint    a folder of weights
  gnomon assay self-knowledge --model http://localhost:8000/v1#name

What comes out:
  stdout              estimates with 95 % intervals, items and clusters
  runs/assay-NAME-ID  rows (run.db), report.html, report.json
  exit code 1         a finding, or a value outside its range
The same command again resumes, or reports without asking again.
"""

_OWN = ("model", "seed", "workers", "max_errors")


def assay_command(chosen: Sequence[str]) -> Callable[..., int]:
    """The command as a function whose flags include those of the evaluations `chosen`."""
    kinds = {name: method("assay", name) for name in chosen}

    def assay(
        *name: Annotated[str, Parameter(help="Evaluations, first on the line; `gnomon list` names them.")],
        model: Annotated[
            str | None, Parameter(help="Model under test; `gnomon models` says how to name one. [default: brook]")
        ] = None,
        seed: Seed = None,
        workers: Workers = None,
        max_errors: MaxErrors = None,
        config: Toml = None,
        fresh: Fresh = False,
        json: Json = None,
        page: Page = None,
        out: Out = None,
        **given: Any,
    ) -> int:
        """Ask a model an evaluation's items; report every number with its interval."""
        if not kinds:
            raise UsageError("no evaluation is named", todo="put one first; `gnomon list` names them")
        own = {"model": model, "seed": seed, "workers": workers, "max_errors": max_errors}
        settings = Settings.of({**own, **given}, config)
        results: list[tuple[Report, Provenance]] = []
        rows: list[Row] = []
        for each, made in configs(kinds, settings, _OWN).items():
            finished, origin = assay_once(made, each, settings, fresh=fresh, root=out)
            results.append((finished.report, origin))
            rows += kept_rows(finished.run.folder) if page else []
        emit(results, json=json, page=page, rows=rows)
        return max(report.exit_code for report, _ in results)

    return with_fields(assay, kinds)


def assay_once(
    config: Any, name: str, settings: Settings, *, fresh: bool = False, root: Path | None = None
) -> tuple[Finished, Provenance]:
    """Runs one evaluation with a progress bar, and keeps its report in the run's folder."""
    import asyncio

    from gnomon.trial.runner import run_evaluation

    model = settings.take("model", str, "brook")
    seed, workers = settings.take("seed", int, 0), settings.take("workers", int, 1)
    if workers < 1:
        raise UsageError(f"--workers is {workers}", todo="give at least 1")
    with _shown(name) as on_progress, _interrupts(workers):
        finished = asyncio.run(
            run_evaluation(
                config,
                name,
                {"subject": model},
                seed=seed,
                workers=workers,
                fresh=fresh,
                root=root,
                max_errors=settings.take("max_errors", float, 0.01),
                on_progress=on_progress,
            )
        )
    again = command_line("assay", name, {"model": model, **changed(config), "seed": seed})
    timing = {
        "wall_seconds": round(finished.seconds, 3),
        "cpu_seconds": round(finished.cpu_seconds, 3),
        "items_asked": finished.asked,
        "items_total": finished.total,
    }
    origin = origin_of(finished.run.manifest, finished.cast, timing, again, model)
    keep(finished.run.folder, finished.report, origin, kept_rows(finished.run.folder))
    return finished, origin


def kept_rows(folder: Path) -> list[Row]:
    """The rows of the run in `folder`."""
    from gnomon.store.run import Run

    run = Run.find(str(folder))
    try:
        return run.rows()
    finally:
        run.close()


def changed(config: Any) -> dict[str, Any]:
    """Fields whose value is not the default, in the order of the class."""
    from gnomon.core.config import describe, plain

    defaults = {f.name: f.default for f in describe(type(config))}
    values = {f.name: getattr(config, f.name) for f in fields(config) if f.init}
    return {name: plain(v) for name, v in values.items() if v != defaults[name]}


def keep(folder: Path, report: Report, origin: Provenance, rows: Sequence[Any] = ()) -> None:
    """Writes report.html and report.json into a run's folder, and says where the page is."""
    from gnomon.report.json import as_dict, dumps
    from gnomon.report.page import page

    write_text(folder / "report.json", dumps(as_dict(report, origin)))
    write_text(folder / "report.html", page(report, origin, rows))
    say(f"page: {folder / 'report.html'}")


@contextlib.contextmanager
def _shown(name: str) -> Iterator[Callable[[Progress], None]]:
    """A bar that counts items from the first news on; until then one that says what is awaited.

    Before the first item a model is loaded and, for some evaluations, a head is trained.
    """
    from gnomon.core.progress import progress

    with contextlib.ExitStack() as stack, contextlib.ExitStack() as before:
        before.enter_context(progress(None, f"{name}: preparing"))
        bars: list[Bar] = []
        seen = [0]

        def on_progress(p: Progress) -> None:
            if not bars:
                before.close()
                bars.append(stack.enter_context(progress(p.total, name, done=seen[0])))
            bars[0].advance(p.done - seen[0], estimate=estimate_text(p))
            seen[0] = p.done

        yield on_progress


def estimate_text(p: Progress) -> str:
    """The running estimate as a bar shows it: `accuracy 0.712 ± 0.031`, and how many items are in error."""
    errors = f", {p.errors} in error" if p.errors else ""
    if not p.metric:
        return errors.removeprefix(", ")
    spread = f" ± {1.96 * p.se:.3f}" if p.se == p.se else ""
    return f"{p.metric} {p.mean:.3f}{spread}{errors}"


@contextlib.contextmanager
def _interrupts(workers: int) -> Iterator[None]:
    """Lets the first Ctrl-C through at once where worker processes keep the event loop from seeing it."""
    if workers == 1:
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
