"""Serves a target of the race with its exceptions noted; run by the interpreter that has the service.

python served.py TARGET --port P --crashes FILE
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import hooks

_KINTO = {
    "kinto.storage_backend": "kinto.core.storage.memory",
    "kinto.cache_backend": "kinto.core.cache.memory",
    "kinto.permission_backend": "kinto.core.permission.memory",
    "kinto.userid_hmac_secret": "of no use elsewhere",
    "multiauth.policies": "basicauth",
    "kinto.includes": "kinto.plugins.default_bucket kinto.plugins.flush kinto.plugins.history",
    "kinto.flush_endpoint_enabled": "true",
    "pyramid.includes": "served",
}
_DAGSTER = """
import dagster as dg

@dg.asset(metadata={"rows": 3})
def numbers() -> list[int]:
    return [1, 2, 3]

@dg.asset
def total(numbers: list[int]) -> int:
    return sum(numbers)

@dg.op(config_schema={"factor": int})
def scale(context: dg.OpExecutionContext) -> int:
    return 6 // context.op_config["factor"]

@dg.job
def scaling():
    scale()

config = {"ops": {"scale": {"config": {"factor": 2}}}}
daily = dg.ScheduleDefinition(job=scaling, cron_schedule="0 0 * * *", run_config=config)
defs = dg.Definitions(assets=[numbers, total], jobs=[scaling], schedules=[daily])
"""
RECORDER: hooks.Recorder


def main() -> None:
    """Serves until it is killed."""
    global RECORDER
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=SERVERS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--crashes", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="what the service keeps is kept here")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    RECORDER = hooks.Recorder(args.crashes)
    sys.modules["served"] = sys.modules[__name__]
    SERVERS[args.target](args.port, args.folder)


def httpbin(port: int, folder: Path) -> None:
    """Flask by waitress."""
    import flask
    from httpbin import app

    flask.got_request_exception.connect(lambda sender, exception, **_: RECORDER.note(exception), weak=False)
    # Some of its answers take as long as one likes, and hold a thread whether or not anybody still listens.
    _wait(app, port, 256)


def kinto(port: int, folder: Path) -> None:
    """Pyramid by waitress, everything in memory."""
    from kinto import main as make

    _wait(make({}, **_KINTO), port, 8)


def _wait(app: Any, port: int, threads: int) -> None:
    import waitress

    app = hooks.wsgi(app, RECORDER)
    waitress.serve(app, host="127.0.0.1", port=port, threads=threads, connection_limit=1000, _quiet=True)


def dagster(port: int, folder: Path) -> None:
    """Starlette by uvicorn, GraphQL by graphene."""
    import os

    os.environ["DAGSTER_HOME"] = str(folder)
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    (folder / "defined.py").write_text(_DAGSTER, encoding="utf-8")
    import uvicorn
    from dagster import DagsterInstance
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import PythonFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    hooks.graphql(RECORDER)
    _capture()
    target = PythonFileTarget(str(folder / "defined.py"), None, str(folder), None)
    with WorkspaceProcessContext(DagsterInstance.get(), target) as context:
        app = create_app_from_workspace_process_context(context)
        uvicorn.run(hooks.asgi(app, RECORDER), host="127.0.0.1", port=port, log_level="error")


def _capture() -> None:
    """Notes what Dagster itself catches in its resolvers and hands out as an answer of the type PythonError."""
    from dagster_graphql.implementation.utils import ErrorCapture

    answered = ErrorCapture.on_exception

    def noted(raised: Any) -> Any:
        RECORDER.note(raised[1])
        return answered(raised)

    ErrorCapture.on_exception = staticmethod(noted)


def shop(port: int, folder: Path) -> None:
    """Our own ASGI application by its own server; `triggered.ndjson` says which planted defects were met."""
    import asyncio

    from gnomon.data.worlds.shop import make_app
    from gnomon.data.worlds.shop.server import serve

    hooks.graphql(RECORDER)
    app = make_app(log_file=folder / "triggered.ndjson", propagate=True)

    async def forever() -> None:
        server = await serve(hooks.asgi(app, RECORDER), port)
        await server.serve_forever()

    asyncio.run(forever())


def includeme(config: Any) -> None:
    """Pyramid calls this: a tween just above the views sees what they raise before any error view does."""
    from pyramid.tweens import EXCVIEW, MAIN

    config.add_tween("served.tween", under=EXCVIEW, over=MAIN)


def tween(handler: Any, registry: Any) -> Any:
    """Notes what a view raises that is not itself an answer."""
    from pyramid.response import Response

    def noted(request: Any) -> Any:
        try:
            return handler(request)
        except Exception as error:
            if not isinstance(error, Response):
                RECORDER.note(error)
            raise

    return noted


SERVERS = {"httpbin": httpbin, "kinto": kinto, "dagster": dagster, "shop": shop}

if __name__ == "__main__":
    main()
