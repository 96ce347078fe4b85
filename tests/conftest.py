"""What every test may rely on: one thread, no network, runs in a folder of their own, the same examples each time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import pytest

# Set while nothing has imported torch, NumPy or the hub's client, which read them once; commands that tests start
# inherit them.
os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

# A job started in the background ignores Ctrl-C, and so would the commands that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("gnomon", deadline=None, derandomize=True, print_blob=True)
# A wider search for new counterexamples: HYPOTHESIS_PROFILE=explore.
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gnomon"))


@pytest.fixture(autouse=True)
def _runs_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_RUNS", str(tmp_path / "runs"))


@pytest.fixture
def gnomon_data() -> Path:
    """The folder of published data sets; the test is skipped where GNOMON_DATA names none."""
    named = os.environ.get("GNOMON_DATA")
    if not named:
        pytest.skip("GNOMON_DATA names no folder of published data sets")
    return Path(named)
