"""Serves a scripted model until stopped; prints its URL on the first line of stdout.

python -m tests.servers --model planted --letters 0.7,0.3 --fault ignores_n --fault most_top=2
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from typing import Any

from tests.servers.responders import Responder, letters, says
from tests.servers.server import Faults, serving


def _faults(given: list[str]) -> Faults:
    fields: dict[str, Any] = {}
    for fault in given:
        name, _, value = fault.partition("=")
        fields[name] = json.loads(value) if value else True
    return Faults(**fields)


async def _serve(args: argparse.Namespace) -> None:
    responder: Responder = says(args.says) if args.says else letters(*map(float, args.letters.split(",")))
    async with serving(responder, faults=_faults(args.fault), model=args.model, port=args.port) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Parses the command line and serves."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--model", default="planted", help="the name that calls must give")
    parser.add_argument("--letters", default="0.5,0.5", help="probabilities of (A), (B), …")
    parser.add_argument("--says", default="", help="a text to answer to everything instead")
    parser.add_argument("--fault", action="append", default=[], help="a field of Faults, with =JSON for a value")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
