"""Runs that die: killed at any row, out of disk, or killed while another waits; the same command resumes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gnomon.core.errors import RunError
from gnomon.core.record import Row
from gnomon.store.run import Run, list_runs

TOTAL, BATCH = 60, 10

# Asks items 0..59 in batches; at item `kill_at` the process kills itself, in the middle of a batch or of `add`.
WORKER = f"""
import os, signal, sys
from gnomon.core.record import Row
from gnomon.store.run import Run

root, kill_at, moment = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def die(index, now):
    if (index, now) == (kill_at, moment):
        os.kill(os.getpid(), signal.SIGKILL)

class Evidence(dict):
    def items(self):
        die(self["n"], "encoding")
        return super().items()

with Run.open("assay", "kill", {{"seed": 1}}, root=root) as run:
    done, waiting = run.keys(), []
    for n in range({TOTAL}):
        if f"{{n:03}}" in done:
            continue
        answer = run.cache.get(f"call {{n}}")
        if answer is None:
            run.cache.put(f"call {{n}}", n * n)
        waiting.append((Row(key=f"{{n:03}}", cluster="c", evidence=Evidence(n=n, square=n * n)), n))
        die(n, "asking")
        if len(waiting) == {BATCH}:
            run.add([r for r, _ in waiting], [i for _, i in waiting])
            waiting = []
            die(n, "committed")
"""


def work(root: Path, kill_at: int, moment: str) -> int:
    return subprocess.run([sys.executable, "-c", WORKER, str(root), str(kill_at), moment], check=False).returncode


@pytest.mark.parametrize(
    ("kill_at", "moment", "kept"),
    [
        (0, "asking", 0),
        (9, "asking", 0),
        (10, "asking", 10),
        (37, "asking", 30),
        (37, "encoding", 30),
        (29, "committed", 30),
        (59, "committed", 60),
    ],
)
def test_a_kill_costs_at_most_the_batch_under_way(tmp_path: Path, kill_at: int, moment: str, kept: int) -> None:
    assert work(tmp_path, kill_at, moment) == -signal.SIGKILL
    (listed,) = list_runs(tmp_path)
    assert listed.status == "stopped"
    with Run.find(listed.id, root=tmp_path) as run:
        assert run.keys() == {f"{n:03}" for n in range(kept)}
        assert run.status == "running"
    assert work(tmp_path, -1, "never") == 0
    with Run.find(listed.id, root=tmp_path) as run:
        expected = [Row(key=f"{n:03}", cluster="c", evidence={"n": n, "square": n * n}) for n in range(TOTAL)]
        assert run.rows() == expected and run.status == "done" and len(run.cache) == TOTAL


HOLDER = """
import sys, time
from gnomon.store.run import Run
with Run.open("assay", "held", {}, root=sys.argv[1]) as run:
    print(run.id, flush=True)
    sys.stdin.read()
"""


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    run_id = holder.stdout.readline().strip()
    assert [(m.id, m.status) for m in list_runs(tmp_path)] == [(run_id, "running")]
    with pytest.raises(RunError, match=f"process {holder.pid} is working on this run"):
        Run.open("assay", "held", {}, root=tmp_path)
    holder.kill()
    holder.communicate()
    assert [m.status for m in list_runs(tmp_path)] == ["stopped"]
    with Run.open("assay", "held", {}, root=tmp_path) as run:
        assert run.id == run_id


# The kernel refuses files beyond 200 kB, so the write fails inside SQLite as it does on a full disk.
FULL = """
import resource, sys
from gnomon.core.errors import RunError
from gnomon.core.record import Row
from gnomon.store.run import Run
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
kept = 0
try:
    with Run.open("assay", "full", {}, root=sys.argv[1]) as run:
        for batch in range(1000):
            run.add([Row(key=f"{batch}-{i}", cluster="c", evidence={"text": "x" * 500}) for i in range(10)])
            kept += 10
except RunError as error:
    print(kept)
    print(error)
"""


def test_a_full_disk_says_what_is_saved_and_the_run_resumes(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    kept, message = done.stdout.splitlines()
    (listed,) = list_runs(tmp_path)
    assert int(kept) > 0 and message == (
        f"{listed.folder}: cannot write (disk I/O error); {kept} rows are saved; "
        "free space and give the same command again: it resumes"
    )
    assert listed.status == "failed" and "cannot write" in listed.error
    with Run.open("assay", "full", {}, root=tmp_path) as run:
        assert len(run.keys()) == int(kept)
        run.add([Row(key="more", cluster="c", evidence={})])
        assert run.counts().rows == int(kept) + 1
