"""Applications on three frameworks, called in this process: what is planted is found, and nothing else is certain."""

from __future__ import annotations

from types import ModuleType

import pytest

import gnomon
from tests.unit import _fuzz_apps_django, _fuzz_apps_fastapi, _fuzz_apps_flask


@pytest.mark.parametrize("made", [_fuzz_apps_fastapi, _fuzz_apps_flask, _fuzz_apps_django], ids=lambda m: m.__name__)
def test_planted_defects_are_found_and_nothing_else(made: ModuleType) -> None:
    found = gnomon.fuzz(made.app_of(), max_time=60, max_requests=2500, connections=1)
    told = {(each.violation.check, each.violation.steps[-1].case.operation.key) for each in found.certain}
    assert told == made.PLANTED
