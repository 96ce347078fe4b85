"""Gnomon from Python: what `gnomon assay`, `train`, `explain`, `study`, `fuzz`, `grade` and `--model` do, as functions.

report = gnomon.assay("self-knowledge", model="brook", n=100)
model = gnomon.train("pretrain", model_size="xs", tokens=100_000)
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from gnomon.fuzz.outputs import Found
    from gnomon.models.base import Model
    from gnomon.report.base import Report
    from gnomon.trial.runner import Finished

__all__ = ["assay", "explain", "fuzz", "grade", "load_model", "study", "train"]

T = TypeVar("T")


def assay(
    name: str,
    model: str = "brook",
    *,
    seed: int = 0,
    workers: int = 1,
    fresh: bool = False,
    root: Path | None = None,
    **config: Any,
) -> Report:
    """The report of evaluation `name` on `model`; works in a notebook too.

    Args:
        name: as `gnomon list` shows it.
        model: as `gnomon models` shows it.
        seed: root of every random draw.
        workers: processes; the rows are the same for any number.
        fresh: forget an earlier run of the same call; otherwise answered items are not asked again.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.
        config: the evaluation's own settings, as `gnomon assay NAME --help` shows them.

    Raises:
        GnomonError: as on the command line.
    """
    from gnomon.core.config import build
    from gnomon.core.registry import method
    from gnomon.trial.runner import run_evaluation

    made: Any = build(method("assay", name), config, name)
    work = run_evaluation(made, name, {"subject": model}, seed=seed, workers=workers, fresh=fresh, root=root)
    return _finished(work).report


def train(name: str, *, fresh: bool = False, root: Path | None = None, **config: Any) -> str:
    """Trains by method `name` and returns the new model's name, `run:ID`, for `assay` and `load_model`.

    Args:
        fresh: forget an earlier run of the same call; otherwise it goes on where that stopped.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.
        config: the method's own settings, as `gnomon train NAME --help` shows them.
    """
    from gnomon.core.config import build
    from gnomon.core.registry import method
    from gnomon.train._running import run_training

    return run_training(build(method("train", name), config, name), name, fresh=fresh, root=root).model


def explain(
    name: str, model: str | None = None, *, fresh: bool = False, root: Path | None = None, **config: Any
) -> Report:
    """The report of what method `name` finds inside `model`, whose weights are here.

    Args:
        model: as `gnomon models` shows it; None is brook, or none for a method that trains what it explains.
        fresh: forget an earlier run of the same call; otherwise what that read is reported.
        root: folder of the runs; None is GNOMON_RUNS or ./runs.
        config: the method's own settings, as `gnomon explain NAME --help` shows them.

    Raises:
        GnomonError: as on the command line.
    """
    from gnomon.core.config import build
    from gnomon.core.registry import method
    from gnomon.explain._running import run_explanation

    made: Any = build(method("explain", name), config, name)
    return run_explanation(made, name, model, fresh=fresh, root=root).report


def study(
    name: str,
    evaluation: str = "",
    models: Sequence[str] = (),
    *,
    parameters: Sequence[float] = (),
    seed: int = 0,
    workers: int = 1,
    fresh: bool = False,
    root: Path | None = None,
    **config: Any,
) -> Report:
    """The report of study `name`: study("objectives", seeds=3), or study("sizes", "self-knowledge", [A, B]).

    Args:
        evaluation: what is asked, where the study asks an evaluation; "" where it trains.
        models: as `gnomon models` shows them; runs that they have are used again. For an evaluation only, as
            `parameters`, `seed` and `fresh` are.
        parameters: their numbers of parameters; empty counts the weights.
        seed, workers, fresh, root: as in `assay`.
        config: the evaluation's own settings; where there is none, the study's.

    Raises:
        GnomonError: as on the command line.
    """
    from gnomon.core.config import build
    from gnomon.core.registry import method
    from gnomon.study._family import run_study
    from gnomon.study._trained import run_trainings
    from gnomon.trial.runner import run_evaluation

    if not evaluation:
        trained: Any = build(method("study", name), {**config, **({"model": list(models)} if models else {})}, name)
        return run_trainings(trained, name, workers=workers, root=root)[0].report
    made: Any = build(method("study", name), {"model": list(models), "parameters": list(parameters)}, name)
    asked: Any = build(method("assay", evaluation), config, evaluation)

    def ask(config: Any, model: str) -> Finished:
        cast = {"subject": model}
        return _finished(run_evaluation(config, evaluation, cast, seed=seed, workers=workers, fresh=fresh, root=root))

    return run_study(made, name, asked, evaluation, ask, seed=seed, root=root)[0].report


def fuzz(subject: Any, schema: Any = None, **settings: Any) -> Found:
    """What a search finds wrong with a web API; nothing is printed and nothing kept; works in a notebook too.

    Args:
        subject: base URL of a server, or an ASGI or WSGI application.
        schema: path, URL, mapping or text of its document; None asks the server or the application for it.
        settings: as `gnomon fuzz --help` shows the flags: `max_time=10`, `bearer="..."`.

    Raises:
        GnomonError: as on the command line.
    """
    from gnomon.fuzz.library import searched

    return _finished(searched(subject, schema, **settings))


def grade(
    samples: str | Path,
    problems: str | Path,
    *,
    strong: bool = False,
    unsafe: bool = False,
    workers: int | None = None,
    fresh: bool = False,
    root: Path | None = None,
    **config: Any,
) -> Report:
    """The report on programs of the file `samples`, judged in the sandbox by the tests of `problems`.

    Args:
        samples: JSON lines of task_id and completion or solution; or "references", or "empty".
        problems: a file as published, or "brook".
        strong, unsafe: as `gnomon grade --help` says.
        workers: judges side by side; None is one a processor. Verdicts are the same for any number.
        fresh, root: as in `assay`.
        config: the other settings, as `gnomon grade --help` shows them.

    Raises:
        GnomonError: as on the command line.
    """
    from gnomon.core.config import build
    from gnomon.grade.grading import Grading
    from gnomon.grade.grading import grade as graded
    from gnomon.sandbox import protect

    made = build(Grading, {"samples": str(samples), "problems": str(problems), **config}, "grade")
    held = protect(strong=strong, unsafe=unsafe)
    return graded(made, held, workers=workers or os.cpu_count() or 1, fresh=fresh, root=root).report


def load_model(name: str) -> Model:
    """The model called `name`, loaded or connected; `gnomon models` shows how models are named."""
    from gnomon.models.load import load

    return load(name)


def _finished(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, whether or not the caller's thread runs an event loop (a notebook's does)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = (
        concurrent.futures.Future()
    )

    async def announced() -> T:
        task = asyncio.current_task()
        assert task is not None
        started.set_result((asyncio.get_running_loop(), task))
        return await work

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        result = thread.submit(asyncio.run, announced())
        try:
            return result.result()
        except KeyboardInterrupt:
            loop, task = started.result()
            loop.call_soon_threadsafe(task.cancel)
            concurrent.futures.wait([result])
            raise
