"""Settings of known truth for `gnomon validate ability`."""

from __future__ import annotations

from collections.abc import Iterator

from gnomon.trial import Planted

__all__ = ["truths"]

_WORLD = {"tasks": ("synthetic",), "n": 60}
_CHOICE, _CLOZE, _OPEN = (f"synthetic-{form}, 0-shot" for form in ("choice", "cloze", "open"))
_E2 = 7.38905609893065


def truths() -> Iterator[Planted]:
    """Each form's known accuracy, a guesser, a prompt that helps, a tax, worked examples, common options."""
    yield from _answers()
    yield from _changes()


def _answers() -> Iterator[Planted]:
    yield Planted(
        name="knows",
        cast={"subject": "planted:able"},
        truth={
            f"accuracy [{_CHOICE}]": 0.7,
            f"accuracy [{_CLOZE}]": 0.6,
            f"accuracy [{_OPEN}]": 0.55,
            "accuracy [mean of tasks]": (0.7 + 0.6 + 0.55) / 3,
            f"accuracy (mean) [{_CHOICE}]": 0.6,
            # made-up options are equally long
            f"accuracy (character) [{_CHOICE}]": 0.7,
            f"accuracy (pmi) [{_CHOICE}]": 0.7,
            f"perplexity [{_CLOZE}]": _E2,
        },
        config=_WORLD,
    )
    yield Planted(
        name="shown",
        cast={"subject": "planted:able?letter=0.5&gain=0.2"},
        truth={"accuracy [synthetic-choice, letters, 2-shot]": 0.7},
        config={"tasks": ("synthetic-choice",), "forms": ("letters",), "shots": (2,), "n": 60},
    )
    yield Planted(
        name="common",
        cast={"subject": "planted:able?sum=0.8&common=1"},
        truth={f"accuracy [{_CHOICE}]": 0.8},
        config={"tasks": ("synthetic-choice",), "by": "pmi", "n": 60},
    )


def _changes() -> Iterator[Planted]:
    yield Planted(
        name="null",
        cast={"subject": "planted:able?sum=0.25&apart=1"},
        truth={f"accuracy [{_CHOICE}]": 0.25, f"gain of the prompt [{_CHOICE}]": 0.0, f"tax [{_CHOICE}]": 0.0},
        config={
            "tasks": ("synthetic-choice",),
            "n": 100,
            "prompt": "brook:1",
            "against": "planted:able?sum=0.25&luck=1",
        },
        null=True,
    )
    yield Planted(
        name="prompted",
        cast={"subject": "planted:able?gain=0.15"},
        truth={
            f"gain of the prompt [{_CHOICE}]": 0.15,
            f"gain of the prompt [{_CLOZE}]": 0.15,
            "gain of the prompt [mean of tasks]": 0.15,
            f"accuracy, prompted [{_OPEN}]": 0.7,
        },
        config={**_WORLD, "prompt": "brook:1"},
    )
    yield Planted(
        name="paid",
        cast={"subject": "planted:able?sum=0.5&word=0.45"},
        truth={
            f"tax [{_CHOICE}]": 0.2,
            f"tax [{_CLOZE}]": 0.15,
            "tax [mean of tasks]": 0.35 / 3,
        },
        config={**_WORLD, "against": "planted:able"},
    )
