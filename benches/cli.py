"""What a command costs before it does anything: help texts and the import of the package.

    python -m benches.cli [--json FILE] [--peer PYTHON]

Each figure is a process of its own, the interpreter's start included. The target is 0.3 s of processor time for
`gnomon --help`. `--peer` names an interpreter with inspect-ai, whose help and import stand beside.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benches.bench import Cost, Figure, options, publish, seconds_of

TARGET_HELP_S = 0.3
PEER = "inspect-ai"


def main() -> None:
    """Measures and prints a table."""
    parser = options(__doc__, rounds=9)
    parser.add_argument("--peer", default="", help="interpreter that has inspect-ai")
    args = parser.parse_args()
    gnomon = str(Path(sys.executable).with_name("gnomon"))
    bare = seconds_of([sys.executable, "-c", "pass"], args.rounds)
    package = seconds_of([sys.executable, "-c", "import gnomon"], args.rounds)
    helped = seconds_of([gnomon, "--help"], args.rounds)
    one = seconds_of([gnomon, "assay", "self-knowledge", "--help"], args.rounds)
    peers = peer_costs(args.peer, args.rounds)
    figures = [
        figure("gnomon --help", helped, peers.get("help"), TARGET_HELP_S),
        figure("gnomon assay self-knowledge --help", one, None),
        figure("import gnomon", package, peers.get("import")),
        figure("the interpreter alone", bare, None),
    ]
    publish("cli", figures, args.json, children=True)


def figure(name: str, cost: Cost, peer: Cost | None, target: float | None = None) -> Figure:
    """Seconds of one process, the peer's beside it."""
    beside = {"peer": peer.cpu, "peer_name": PEER} if peer else {}
    return Figure(name=name, cpu=cost.cpu, wall=cost.wall, unit="s", target=target, **beside)


def peer_costs(interpreter: str, rounds: int) -> dict[str, Cost]:
    """The peer's help and import; none where it is not installed."""
    if not interpreter:
        return {}
    command = Path(interpreter).with_name("inspect")
    if not command.exists():
        return {}
    return {
        "help": seconds_of([str(command), "--help"], rounds),
        "import": seconds_of([interpreter, "-c", "import inspect_ai"], rounds),
    }


if __name__ == "__main__":
    main()
