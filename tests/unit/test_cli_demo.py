"""`gnomon demo` in full: what a newcomer sees first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gnomon.cli import main


@pytest.mark.slow  # every question of four evaluations: about 40 s
def test_demo_assays_compares_and_looks_inside_on_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GNOMON_RUNS", raising=False)
    assert main(["demo", "--json", "demo.json"]) == 0
    reports = json.loads((tmp_path / "demo.json").read_text())
    assert [report["name"] for report in reports] == [
        "self-knowledge of brook",
        "brook of brook",
        "hhh of brook",
        "hhh of brook-assistant",
        "what training gained",
        "inside brook",
    ]
    assert all(report["estimates"] for report in reports)
    page = (tmp_path / "gnomon-demo.html").read_text()
    for section in ("inside brook", "what training gained", "self-knowledge of brook"):
        assert f">{section}" in page
    assert "24 heads on 6 texts" in capsys.readouterr().out
