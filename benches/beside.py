"""Peers that stay loaded while a bench goes on, so that their rounds alternate with ours and share the machine's moods.

Linux only: a server's processor time is read from /proc.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["Served", "Worker", "served", "worker"]

_START_S = 300.0


class Worker:
    """A process that answers a line of JSON with a line of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **job: Any) -> dict[str, Any]:
        """The answer; RuntimeError when the process has ended instead."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the peer ended with {self._process.wait()} while asked to {job['do']}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Served:
    """A server with an OpenAI-compatible `/v1/completions`.

    Attributes:
        url: where it listens.
        model: the name it knows its model by.
    """

    def __init__(self, pid: int, url: str, model: str) -> None:
        self._pid, self.url, self.model = pid, url, model

    def complete(self, prompt: str, tokens: int) -> tuple[int, float]:
        """New tokens of one completion, and the processor seconds that the server spent on it, all threads."""
        begin = self._spent()
        body = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 1.0, "top_p": 1.0}
        answer = _posted(f"{self.url}/v1/completions", body)
        return answer["usage"]["completion_tokens"], self._spent() - begin

    def _spent(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def worker(interpreter: str, script: str = "local_peer.py") -> Iterator[Worker]:
    """The script of that name beside this file, run by `interpreter` until the block ends."""
    command = [interpreter, str(Path(__file__).with_name(script))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_one_thread())
    with process:
        yield Worker(process)


@contextlib.contextmanager
def served(interpreter: str, folder: Path, log: Path) -> Iterator[Served]:
    """`transformers serve` of the model in `folder`, until the block ends; what it prints goes to `log`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    command = [interpreter, "-m", "transformers.cli.transformers", "serve", str(folder), *where]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, env=_one_thread()) as process:
        try:
            server = Served(process.pid, f"http://127.0.0.1:{port}", str(folder))
            _await(process, server, log)
            yield server
        finally:
            process.terminate()


def _await(process: subprocess.Popen[bytes], server: Served, log: Path) -> None:
    """Waits for the first completion; RuntimeError when the server ends or stays silent."""
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            server.complete("a", 8)
            return
        time.sleep(1)
    raise RuntimeError(f"transformers serve is not there: {log.read_text(errors='replace')[-500:]}")


def _posted(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_START_S) as response:
        found: dict[str, Any] = json.load(response)
    return found


def _one_thread() -> dict[str, str]:
    # Peers share what one of them has under the benches' own name.
    root = str(Path(__file__).parents[1])
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": root}
