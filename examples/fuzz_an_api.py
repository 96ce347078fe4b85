"""Which requests make a web API fail? A search of an application in this process, and what it found.

    python examples/fuzz_an_api.py [SECONDS]

The shop ships with 40 planted defects; any ASGI or WSGI application, or URL, takes its place.
"""

from __future__ import annotations

import sys

import gnomon
from gnomon.data.worlds.shop.served import app


def main() -> None:
    """Fuzzes the shop, and prints each certain defect with the request that shows it."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    found = gnomon.fuzz(app, max_time=seconds, bearer="token-of-alice", other_bearer="token-of-bob")
    print(f"{len(found.certain)} certain defects in {seconds:g} s")
    for defect in found.certain[:3]:
        print(f"\n{defect.violation.title}\n{found.curl(defect)}")


if __name__ == "__main__":
    main()
