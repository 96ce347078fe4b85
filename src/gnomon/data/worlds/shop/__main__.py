"""Serves the shop on loopback until it is stopped.

python -m gnomon.data.worlds.shop [--port 0] [--log FILE] [--seed 0]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from gnomon.data.worlds.shop.app import make_app
from gnomon.data.worlds.shop.server import HOST, serve

__all__ = ["main"]


def main() -> None:
    """Prints the address in a line of its own, then serves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", type=Path, help="a line is added here when a planted defect is triggered at first")
    parser.add_argument("--seed", type=int, default=0, help="where identifiers come from")
    args = parser.parse_args()
    try:
        asyncio.run(_serve(args.port, args.log, args.seed))
    except KeyboardInterrupt:
        return


async def _serve(port: int, log: Path | None, seed: int) -> None:
    server = await serve(make_app(seed=seed, log_file=log), port)
    sys.stdout.write(f"http://{HOST}:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    main()
