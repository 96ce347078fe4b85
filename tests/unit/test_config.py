"""Configs: fields to flags and help, mappings to configs, refusals in one line, content hashes."""

from __future__ import annotations

import enum
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NewType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnomon.core.config import build, describe, digest, load_toml, plain, summary, to_json
from gnomon.core.errors import UsageError

ModelName = NewType("ModelName", str)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """How to step."""

    rate: float = 0.1
    "Step size."


@dataclass(frozen=True, kw_only=True)
class Base:
    seed: int = 0
    "The root of the seed tree."


@dataclass(frozen=True, kw_only=True)
class Study(Base):
    """Asks one thing.

    And more.
    """

    name: str
    """What it is called,
    on two lines."""
    num_items: int = 200
    "Items to ask."
    rate: float = 1.0
    fast: bool = False
    "Skip the slow part."
    only: tuple[str, ...] = ()
    size: tuple[int, float] = (1, 2.0)
    readout: Literal["exact", "sampled", 3] = "exact"
    limit: int | None = None
    ratio: float | None = None
    judge: ModelName = ModelName("")
    folder: Path = Path("out")
    optimiser: Optimiser = field(default_factory=Optimiser)
    steps: tuple[Optimiser, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    colour: Colour = Colour.RED
    extra: Any = None


def by_name() -> dict[str, Any]:
    return {f.name: f for f in describe(Study)}


def test_fields_come_in_order_with_flags_types_and_defaults() -> None:
    fields = describe(Study)
    assert [f.name for f in fields][:2] == ["name", "num_items"]
    assert fields[-1].name == "seed"  # inherited
    items = by_name()["num_items"]
    assert (items.flag, items.type, items.default, items.required) == ("--num-items", int, 200, False)
    assert by_name()["name"].default is MISSING and by_name()["name"].required
    assert by_name()["optimiser"].default == Optimiser()


def test_help_is_the_string_under_the_field_inherited_ones_too() -> None:
    fields = by_name()
    assert fields["num_items"].help == "Items to ask."
    assert fields["name"].help == "What it is called, on two lines."
    assert fields["seed"].help == "The root of the seed tree."
    assert fields["rate"].help == ""


def test_summary_is_the_first_docstring_line() -> None:
    assert summary(Study) == "Asks one thing."
    assert summary(Base) == ""


def test_describing_what_is_no_dataclass_is_an_error() -> None:
    with pytest.raises(TypeError, match="not a dataclass"):
        describe(int)


def test_a_class_without_source_has_no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typed_in", ModuleType("typed_in"))
    space: dict[str, Any] = {"dataclass": dataclass, "__name__": "typed_in"}
    exec('@dataclass(frozen=True)\nclass Typed:\n    n: int = 1\n    "help"\n', space)
    assert [(f.name, f.help) for f in describe(space["Typed"])] == [("n", "")]


def test_build_converts_what_toml_cannot_say() -> None:
    made = build(
        Study,
        {
            "name": "a",
            "num-items": 3,
            "rate": 2,
            "only": ["x", "y"],
            "size": [1, 2],
            "folder": "there",
            "optimiser": {"rate": 1},
            "steps": [{"rate": 0.5}, {}],
            "weights": {"w": 1},
            "colour": "blue",
            "ratio": 1,
            "judge": "brook",
        },
    )
    assert made == Study(
        name="a",
        num_items=3,
        rate=2.0,
        only=("x", "y"),
        size=(1, 2.0),
        folder=Path("there"),
        optimiser=Optimiser(rate=1.0),
        steps=(Optimiser(rate=0.5), Optimiser()),
        weights={"w": 1.0},
        colour=Colour.BLUE,
        ratio=1.0,
        judge=ModelName("brook"),
    )
    assert isinstance(made.rate, float) and isinstance(made.size[1], float) and isinstance(made.ratio, float)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"num_item": 3}, "c.toml: unknown key 'num_item'; did you mean 'num_items'?"),
    ({"num_items": "3"}, "c.toml: num_items: expected an integer, got str '3'"),
    ({"num_items": True}, "c.toml: num_items: expected an integer, got bool True"),
    ({"num_items": 2.0}, "c.toml: num_items: expected an integer, got float 2.0"),
    ({"rate": True}, "c.toml: rate: expected a number, got bool True"),
    ({"fast": 1}, "c.toml: fast: expected true or false, got int 1"),
    ({"only": "x"}, "c.toml: only: expected a list (text each), got str 'x'"),
    ({"only": ["x", 1]}, "c.toml: only[1]: expected text, got int 1"),
    ({"size": [1]}, "c.toml: size: expected 2 values, got 1"),
    ({"readout": "exat"}, "c.toml: readout: 'exat' is none of its values; did you mean 'exact'?"),
    ({"readout": True}, "c.toml: readout: True is none of its values; known: 3, exact, sampled"),
    ({"readout": 3.0}, "c.toml: readout: 3.0 is none of its values; known: 3, exact, sampled"),
    ({"limit": "x"}, "c.toml: limit: expected an integer, got str 'x'"),
    ({"judge": 1}, "c.toml: judge: expected text, got int 1"),
    ({"folder": 1}, "c.toml: folder: expected a path, got int 1"),
    ({"optimiser": 1}, "c.toml: optimiser: expected a table, got int 1"),
    ({"optimiser": {"rat": 1}}, "c.toml: optimiser: unknown key 'rat'; did you mean 'rate'?"),
    ({"steps": [{}, {"rate": "x"}]}, "c.toml: steps[1].rate: expected a number, got str 'x'"),
    ({"weights": {"w": "x"}}, "c.toml: weights.w: expected a number, got str 'x'"),
    ({"colour": "green"}, "c.toml: colour: expected one of red, blue, got str 'green'"),
    ({"num-items": 1, "num_items": 2}, "c.toml: 'num_items' is given twice, once with '-' and once with '_'"),
]


@pytest.mark.parametrize(("mapping", "message"), REFUSED)
def test_refusals(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        build(Study, {"name": "a", **mapping}, where="c.toml")
    assert str(caught.value) == message


def test_a_required_field_must_be_given() -> None:
    with pytest.raises(UsageError, match="no value for 'name'"):
        build(Study, {})


studies = st.builds(
    Study,
    name=st.text(),
    seed=st.integers(),
    num_items=st.integers(),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    fast=st.booleans(),
    only=st.lists(st.text()).map(tuple),
    size=st.tuples(st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
    readout=st.sampled_from(["exact", "sampled", 3]),
    limit=st.none() | st.integers(),
    ratio=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    judge=st.text().map(ModelName),
    folder=st.text("ab/", min_size=1).map(Path),
    optimiser=st.builds(Optimiser, rate=st.floats(0, 1)),
    steps=st.lists(st.builds(Optimiser, rate=st.floats(0, 1))).map(tuple),
    weights=st.dictionaries(st.text(), st.floats(0, 1)),
    colour=st.sampled_from(Colour),
    extra=st.none() | st.integers() | st.text(),
)


@settings(deadline=None)
@given(studies)
def test_build_inverts_to_json(study: Study) -> None:
    assert build(Study, to_json(study)) == study


@settings(deadline=None)
@given(studies, studies)
def test_digests_are_equal_exactly_when_configs_are(a: Study, b: Study) -> None:
    assert (digest(a) == digest(b)) == (to_json(a) == to_json(b))
    assert digest(dict(reversed(to_json(a).items()))) == digest(a)


def test_a_digest_is_stable_and_tells_types_apart() -> None:
    assert digest({"b": (1, 2.5), "a": None}) == "953546ac48dbf2142414f4f6e41c0550"
    assert len({digest(x) for x in (1, 1.0, "1", True, None, [1], {"1": 1})}) == 7
    assert plain({"d", "b", "c", "a", "e"}) == ["a", "b", "c", "d", "e"]


def test_digest_refuses_what_json_cannot_hold() -> None:
    with pytest.raises(TypeError, match="JSON cannot hold a function"):
        digest({"f": by_name})
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_plain_keeps_bytes_out() -> None:
    with pytest.raises(TypeError, match="bytes"):
        plain({"x": b"1"})
    with pytest.raises(TypeError, match="not a config"):
        to_json([1])


def test_toml_reads_and_refuses(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('name = "a"\n[optimiser]\nrate = 1\n')
    assert build(Study, load_toml(path)).optimiser.rate == 1.0
    path.write_text("name = \n")
    with pytest.raises(UsageError, match=r"c.toml: not TOML: Invalid value \(at line 1, column 8\)"):
        load_toml(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"c\.toml: not TOML"):
        load_toml(path)
    with pytest.raises(UsageError, match=r"no\.toml: cannot read it: No such file"):
        load_toml(tmp_path / "no.toml")


def test_core_and_store_load_nothing_heavy() -> None:
    code = (
        "import sys, gnomon.core.config, gnomon.core.engine, gnomon.core.progress, gnomon.core.registry,"
        " gnomon.store.run, gnomon.store.export;"
        "print([m for m in ('numpy', 'scipy', 'torch', 'rich', 'pyarrow', 'asyncio') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
