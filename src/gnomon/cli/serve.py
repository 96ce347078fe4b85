"""`gnomon serve MODEL`: a model on this machine behind OpenAI's HTTP routes, and System One's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gnomon.cli.output import say
from gnomon.core.errors import UsageError

if TYPE_CHECKING:
    from gnomon.models.base import Model
    from gnomon.serve.adapters import Adapters
    from gnomon.serve.app import Limits

__all__ = ["EXAMPLES", "serve_command"]

EXAMPLES = """Examples:
  gnomon serve brook
  gnomon serve hf:./my-checkpoint --port 8080
  gnomon serve run:7f3a --host 0.0.0.0 --token SECRET
  gnomon assay brook --model http://127.0.0.1:8000/v1#brook    in another terminal

What comes out:
  stdout  the address, once it answers; /v1/models, /v1/chat/completions, /v1/completions, /v1/decisions
          and /v1/systemone are below it, and /health
Ctrl-C or SIGTERM: what is in flight is answered, then it ends with exit code 0.
"""

# A planted model answers what it has seen; sources that draw their items give so many.
_PLANTED_ITEMS = 1000


def serve_command(
    model: Annotated[str, Parameter(help="A model on this machine; `gnomon models` says how to name one.")],
    /,
    *,
    host: Annotated[
        str, Parameter(help="Address to listen on; any but this machine's own needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen on; 0 takes a free one.")] = 8000,
    token: Annotated[
        str, Parameter(help="What clients must send as their API key; none by default.", show_default=False)
    ] = "",
    parallel: Annotated[int, Parameter(help="Requests answered at once.")] = 256,
    queue: Annotated[int, Parameter(help="Further requests that wait; beyond them the answer is status 429.")] = 1024,
    allow_adapters: Annotated[
        bool,
        Parameter(
            help="Let clients load low-rank updates from folders of this machine.", negative="", show_default=False
        ),
    ] = False,
    data: Annotated[
        str | None, Parameter(help="Items that a planted model is shown, as in `gnomon assay`. [default: brook]")
    ] = None,
) -> int:
    """Answer OpenAI's HTTP routes with a model on this machine."""
    import asyncio

    from gnomon.models.load import load
    from gnomon.serve.app import Limits
    from gnomon.serve.running import check_host

    _check(port=(port, 0), parallel=(parallel, 1), queue=(queue, 0))
    check_host(host, token)
    loaded = load(model)
    _show_items(loaded, data)
    limits = Limits(parallel=parallel, queue=queue)
    adapters = _adapters(loaded) if allow_adapters else None
    asyncio.run(_serve(loaded, host, port, token, limits, adapters))
    return 0


async def _serve(model: Model, host: str, port: int, token: str, limits: Limits, adapters: Adapters | None) -> None:
    from gnomon.serve.app import Service, is_loopback
    from gnomon.serve.running import serve_until_stopped, speaker_of

    # What stands behind "?" in a model's name would be read as an option of the endpoint.
    name = model.name.partition("?")[0]
    guarded = is_loopback(host)
    service = Service(speaker_of(model), name, limits=limits, token=token, guarded=guarded, adapters=adapters)

    def started(url: str) -> None:
        print(url, flush=True)
        say(f"{model.name} answers {url}/v1 as {name!r}; --model {url}/v1#{name} asks it. Ctrl-C stops.")

    try:
        await serve_until_stopped(service, host, port, started)
    finally:
        if adapters is not None:
            await adapters.close()
        await model.close()


def _adapters(model: Model) -> Adapters:
    from gnomon.models.local import LocalModel
    from gnomon.serve.adapters import Adapters

    if not isinstance(model, LocalModel):
        raise UsageError(f"no update can be put over {model.name}", todo="leave --allow-adapters out")
    return Adapters(model)


def _check(**given: tuple[int, int]) -> None:
    for flag, (value, least) in given.items():
        if value < least:
            raise UsageError(f"--{flag} is {value}", todo=f"give at least {least}")
    if given["port"][0] > 65535:
        raise UsageError(f"--port is {given['port'][0]}", todo="give at most 65535")


def _show_items(model: Model, data: str | None) -> None:
    """Shows a planted model what it will be asked about."""
    from gnomon.models.planted import PlantedModel

    if not isinstance(model, PlantedModel):
        if data is not None:
            raise UsageError(f"--data is for planted models, and {model.name!r} is none", todo="leave it out")
        return
    from gnomon.core.seeds import Seed
    from gnomon.data.sources import open_items

    model.bind(open_items([data or "brook"], "choice", _PLANTED_ITEMS, Seed(0)).items)
