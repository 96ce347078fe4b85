"""The study of prompting and distilling: gains and what is kept of them, item by item; a small one from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnomon.core.errors import UsageError
from gnomon.core.record import Row
from gnomon.data.assistants import prompt_text, prompt_wordings
from gnomon.report.base import Report
from gnomon.study._trained import run_trainings
from gnomon.study.assistant import Assistant
from gnomon.study.assistant.summary import Effect, Longer, report
from gnomon.train.distill import summarise


def compared(bare: float, prompted: float, n: int = 100) -> list[Row]:
    """Comparisons of two categories of which these shares are won."""
    rows = []
    for i in range(n):
        scores = {
            "accuracy (sum)": float(i % 50 < 50 * bare),
            "accuracy, prompted (sum)": float(i % 50 < 50 * prompted),
        }
        category = "helpful" if i < n // 2 else "other"
        rows.append(Row(key=str(i), cluster=str(i), evidence={"category": category, "scores": scores}))
    return rows


def able(bare: float, prompted: float | None, n: int = 50) -> list[Row]:
    rows = []
    for i in range(n):
        scores = {"accuracy": float(i < n * bare)}
        if prompted is not None:
            scores["accuracy, prompted"] = float(i < n * prompted)
        rows.append(Row(key=str(i), cluster=str(i), evidence={"series": "facts", "scores": scores}))
    return rows


def trained(before: float, after: float) -> Report:
    rows = [
        Row(
            key=f"{group}{i}",
            cluster=str(i),
            evidence={"group": group, "before": before + 0.1 * (i % 3), "after": after},
        )
        for group in ("text", "questions")
        for i in range(30)
    ]
    return summarise(rows)


def effect(distilled: tuple[float, ...], prompted: float = 0.8, lost: float = 0.02) -> Effect:
    return Effect(
        "m",
        1e6,
        compared(0.5, prompted),
        [compared(share, 0.8) for share in distilled],
        able(1.0, 0.6),
        [able(1.0 - lost, None) for _ in distilled],
        [trained(1.0, 0.1) for _ in distilled],
    )


def test_gains_are_paired_and_a_share_of_them_is_kept() -> None:
    found = report([effect((0.74,))], [], [], [], planted=True)
    assert found.estimate("gain of prompting").value == pytest.approx(0.3)
    assert found.estimate("gain of distilling", "other").value == pytest.approx(0.24)
    kept = found.estimate("share of the prompt's gain kept")
    assert kept.value == pytest.approx(0.8)
    assert kept.low is not None and kept.high is not None and kept.low < 0.8 < kept.high <= 1.0
    assert found.estimate("tax of prompting", "facts").value == pytest.approx(0.4)
    assert found.estimate("tax of distilling", "facts").value == pytest.approx(0.02)
    table = next(t for t in found.tables if t.title == "What is planted")
    assert [row[-1] for row in table.rows] == ["holds"] * 4
    assert "80 % of it is kept" in found.summary


def test_what_does_not_hold_is_said() -> None:
    found = report([effect((0.6,), lost=0.1)._replace(trained=[trained(1.0, 0.5)])], [], [], [], planted=True)
    table = next(t for t in found.tables if t.title == "What is planted")
    assert [row[-1] for row in table.rows] == ["holds", "not reached", "not reached", "not reached"]


def test_where_the_prompt_gains_nothing_no_share_is_kept() -> None:
    found = report([effect((0.5,), prompted=0.5)], [], [], [], planted=False)
    kept = found.estimate("share of the prompt's gain kept")
    assert kept.value is None and "+0.0 points" in kept.reason
    assert all(t.title != "What is planted" for t in found.tables)


def test_distillations_of_several_seeds_are_averaged_item_by_item() -> None:
    found = report([effect((0.6, 0.8))], [], [], [], planted=False)
    assert found.estimate("gain of distilling").value == pytest.approx(0.2)
    over = found.estimate("gain of distilling, over trainings")
    assert (over.value, over.n) == (pytest.approx(0.2), 2)
    assert found.estimate("KL to the prompted model, over trainings", "text").value == pytest.approx(0.1)


def test_sizes_and_lengths_are_drawn() -> None:
    small = effect((0.7,))._replace(model="s", parameters=1e5)
    longer = [Longer(str(k), 10 * k, compared(0.5, 0.5 + k / 40)) for k in (2, 4)]
    found = report([small, effect((0.74,))], longer, [], [], planted=False)
    assert found.estimate("gain of prompting", "100k").value == pytest.approx(0.3)
    assert found.estimate("gain of the prompt", "4 dialogues").value == pytest.approx(0.1)
    assert [figure.title for figure in found.figures] == [
        "Bare, prompted, distilled, both",
        "HHH accuracy by size",
        "HHH accuracy by length of the prompt",
    ]


def test_a_small_study_from_end_to_end(tiny: str, tmp_path: Path) -> None:
    cfg = Assistant(
        model=(tiny,), texts=32, held_out=8, n=2, lengths=(2,), tasks=("brook-facts",), also=("wordings", "mixes")
    )
    studied, run = run_trainings(cfg, "assistant", root=tmp_path / "runs")
    names = [part.name for part in studied.runs]
    assert len(names) == len(set(names)) and len([n for n in names if n.startswith("run:")]) == 3
    titles = [table.title for table in studied.report.tables]
    assert "HHH accuracy and divergence by what was learnt" in titles
    kl = studied.report.estimate("KL to the prompted model, fresh texts", "learnt on questions, text")
    assert kl.value is not None and kl.value > 0
    assert (run.folder / "what-is-planted.csv").exists()
    assert len(list((tmp_path / "runs" / "prompts").iterdir())) == 3
    again, _ = run_trainings(cfg, "assistant", root=tmp_path / "runs")
    assert again.report.estimates == studied.report.estimates


def test_wordings_differ_and_say_the_same() -> None:
    texts = {"as it is": prompt_text("brook"), **prompt_wordings("brook")}
    assert len(set(texts.values())) == 4
    assert sorted(texts["shuffled"].split()) == sorted(texts["as it is"].split())
    assert texts["adversarial"].startswith(texts["as it is"]) and texts["adversarial"].endswith("go away .")
    english = prompt_wordings("assistant-v1:3")
    assert set(english) == {"shuffled", "adversarial"}
    assert sorted(english["shuffled"].split()) == sorted(prompt_text("assistant-v1:3").split())
    assert english["shuffled"] != prompt_text("assistant-v1:3")


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"seeds": 0}, {"model": ()}, {"lengths": (0,)}):
        with pytest.raises(UsageError):
            Assistant(**wrong)  # type: ignore[arg-type]  # of several kinds


def test_a_length_that_does_not_fit_is_refused_before_anything_is_trained(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"brook:90 has \d+ tokens, and hf:.* 1024 positions"):
        run_trainings(Assistant(model=(tiny,), lengths=(2, 90)), "assistant", root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_what_is_planted_is_found(tmp_path: Path) -> None:
    studied, _ = run_trainings(Assistant(lengths=(), also=()), "assistant", root=tmp_path)
    table = next(t for t in studied.report.tables if t.title == "What is planted")
    assert [row[-1] for row in table.rows] == ["holds"] * 4
