"""Induction heads form where they can and are of use, when in-context learning changes, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from gnomon.study._trained import run_trainings
from gnomon.study.induction_family import InductionFamily
from gnomon.study.induction_family.changes import Seen
from gnomon.study.induction_family.figures import Told, head_kinds
from gnomon.study.induction_family.page import dated

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ONE, TWO, ONE_SMEARED, TWO_SMEARED = (f"{n}{s}" for s in ("", ", smeared keys") for n in ("1 layer", "2 layers"))
Found = Mapping[str, list[Told]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float, int], Found]:
    """Trains the four kinds on a language of that copy rate, so many seeds, and dates what changed."""
    root = tmp_path_factory.mktemp("family")

    def run(copy_rate: float, seeds: int) -> Found:
        kept: list[Told] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "gnomon.study.induction_family.dated", lambda f, s: (kept.extend(told := dated(f, s)), told)[1]
            )
            cfg = InductionFamily(seeds=seeds, copy_rate=copy_rate, documents=128, ablated=0)
            run_trainings(cfg, "induction-family", root=root)
        found: dict[str, list[Told]] = {}
        for each in kept:
            found.setdefault(each.seen.series.kind, []).append(each)
        return found

    return run


def called(seen: Seen) -> set[str]:
    """What heads are called at the end."""
    return {kind for layer in head_kinds(seen) for kind in layer}


def test_heads_and_in_context_learning_over_three_seeds(trained: Callable[[float, int], Found]) -> None:
    found = trained(0.12, 3)
    halves: dict[str, list[float]] = {}
    for kind, several in found.items():
        assert len(several) == 3
        for seen, of in several:
            assert ("induction" in called(seen)) == (kind != ONE)
            if kind == ONE:
                # A single layer has nothing to find the earlier copy with.
                assert seen.largest.max() < 0.1
                assert not of.icl.detected and not of.heads.detected
                continue
            assert seen.largest[-1] > 0.5
            assert of.icl.detected and of.heads.detected
            assert of.icl.t50.value is not None and of.heads.t50.value is not None
            assert of.icl.overlaps(of.heads.t10.value or 0, of.heads.t90.value or 0)
            assert of.copied is not None and of.copied.high is not None and of.copied.high < -1
            halves.setdefault(kind, []).append(of.icl.t50.value)
    for _, of in found[TWO]:
        assert of.icl.t50.value is not None and of.heads.t50.value is not None
        assert 0.75 < of.heads.t50.value / of.icl.t50.value < 1.25
        assert of.fresh is not None and of.fresh.value is not None and abs(of.fresh.value) < 0.3
        assert of.bend.detected and of.bend.low < of.icl.t50.value and of.bend.high > (of.icl.t10.value or 0)
    # Smeared keys move the change forward, and by more than trainings differ.
    assert max(halves[TWO_SMEARED]) < 0.5 * min(halves[TWO])
    assert max(halves[ONE_SMEARED]) < 0.5 * min(halves[TWO])


def test_no_head_forms_where_there_is_nothing_to_copy(trained: Callable[[float, int], Found]) -> None:
    for several in trained(0.0, 1).values():
        for seen, of in several:
            assert "induction" not in called(seen)
            assert seen.largest.max() < 0.15
            assert not of.heads.detected and not of.icl.detected
            assert np.abs(seen.losses("icl")[-1].mean()) < 0.1
