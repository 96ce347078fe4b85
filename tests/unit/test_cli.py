"""The command line from the outside: exit codes, what goes to which stream, files, resuming, help."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from _fakes import FakeModel, install
from _snapshots import check

import gnomon
from gnomon.cli import main
from gnomon.cli.app import COMMANDS
from gnomon.cli.output import emit
from gnomon.core import registry
from gnomon.core.errors import ModelError
from gnomon.models.base import Choice
from gnomon.report.base import Estimate, Report, Table
from gnomon.report.provenance import Provenance
from tests.pace import slowdown


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]  # a generator fixture
    yield install(tmp_path, monkeypatch)
    registry.names.cache_clear()


def _stable(text: str) -> str:
    text = re.sub(r"-[0-9a-f]{8}\b", "-ID", text)
    text = re.sub(r"\b[0-9a-f]{8}\b", "ID      ", text)
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE            ", text)


def test_assay_prints_results_on_stdout_and_the_page_on_stderr(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assay", "coin", "--model", "brook"]) == 0
    out, err = capsys.readouterr()
    check("cli-assay", out)
    assert re.fullmatch(r"page: runs/assay-coin-[0-9a-f]{8}/report\.html\n", err)


def test_json_is_the_same_for_the_same_command_but_for_timing(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["assay", "coin", "--n", "4", "--seed", "3", "--json"]
    assert main([*command, "a.json"]) == 0
    assert main([*command, "b.json", "--fresh"]) == 0
    first, second = (json.loads(Path(f).read_text()) for f in ("a.json", "b.json"))
    assert first.pop("timing")["items_asked"] == second.pop("timing")["items_asked"] == 4
    assert first == second
    assert list(first) == ["schema", "run", "name", "model", "cast", "estimates", "findings"]
    assert first["schema"] == 1 and first["cast"] == {"subject": "brook@r1", "judge": "brook@r1"}
    assert first["estimates"][1] == {
        "metric": "auroc", "value": None, "low": None, "high": None, "n": 4, "clusters": 4, "reason": "one class",
    }  # fmt: skip
    kept = json.loads((Path("runs") / first["run"] / "report.json").read_text())
    assert kept["estimates"] == first["estimates"]


def test_json_to_stdout_is_all_there_is_on_stdout(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assay", "coin", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "coin"


def test_the_same_command_asks_nothing_again_and_fresh_does(work: Path) -> None:
    asked = []
    for flags in ([], [], ["--fresh"], ["--n", "9"]):
        main(["assay", "coin", "--json", "x.json", *flags])
        asked.append(json.loads(Path("x.json").read_text())["timing"]["items_asked"])
    assert asked == [8, 0, 8, 9]


def test_a_value_outside_its_range_ends_with_one(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["assay", "coin", "--strict"]) == 0
    monkeypatch.setattr(FakeModel, "__init__", lambda self, name: self.__dict__.update(name=name, p=0.25))
    assert main(["assay", "coin", "--strict", "--fresh"]) == 1
    assert main(["assay", "coin", "--no-strict", "--fresh"]) == 0


def test_flags_go_before_toml_and_toml_before_defaults(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.toml").write_text('seed = 5\nn = 3\n[coin]\nside = "tails"\nonly = ["first"]\n')
    assert main(["assay", "coin", "--config", "c.toml", "--n", "6", "--only", "first,second", "--json", "x.json"]) == 0
    run = json.loads(Path("x.json").read_text())["run"]
    identity = json.loads((Path("runs") / run / "run.json").read_text())["identity"]
    assert identity["seed"] == 5
    settings = {k: identity["config"][k] for k in ("n", "side", "only")}
    assert settings == {"n": 6, "side": "tails", "only": ["first", "second"]}


def test_the_page_names_the_command_that_makes_it_again(work: Path) -> None:
    main(["assay", "coin", "--n", "5", "--strict", "--page", "p.html", "--model", "brook"])
    assert "gnomon assay coin --model brook --n 5 --strict --seed 0" in Path("p.html").read_text()


def test_several_evaluations_make_one_page_and_a_list(work: Path) -> None:
    Path("c.toml").write_text("n = 3\n[dice]\nn = 5\n")
    assert main(["assay", "coin", "dice", "--config", "c.toml", "--json", "x.json", "--page", "p.html"]) == 0
    told = json.loads(Path("x.json").read_text())
    assert [(r["name"], r["estimates"][0]["n"]) for r in told] == [("coin", 3), ("dice", 5)]
    page = Path("p.html").read_text()
    assert "<h1>coin · dice</h1>" in page and "gnomon assay dice --model brook --n 5 --seed 0" in page


REFUSED = {
    "no-evaluation": ["assay"],
    "unknown-evaluation": ["assay", "coins"],
    "unknown-command": ["asay", "coin"],
    "unknown-flag": ["assay", "coin", "--mdel", "x"],
    "flag-of-the-wrong-type": ["assay", "coin", "--n", "many"],
    "flag-without-value": ["assay", "coin", "--n"],
    "value-outside-choices": ["assay", "coin", "--side", "edge"],
    "list-of-not-numbers": ["assay", "coin", "--weights", "1,b"],
    "no-items": ["assay", "coin", "--n", "0"],
    "no-workers": ["assay", "coin", "--workers", "0"],
    "toml-missing": ["assay", "coin", "--config", "nowhere.toml"],
    "toml-broken": ["assay", "coin", "--config", "broken.toml"],
    "toml-unknown-key": ["assay", "coin", "--config", "unknown.toml"],
    "toml-wrong-type": ["assay", "coin", "--config", "type.toml"],
    "toml-wrong-own-type": ["assay", "coin", "--config", "own.toml"],
    "toml-not-a-table": ["assay", "coin", "--config", "table.toml"],
    "json-not-writable": ["assay", "coin", "--json", "file/x.json"],
    "train-nothing-named": ["train"],
    "train-two-named": ["train", "nothing", "nothing2"],
    "train-unknown-flag": ["train", "nothing", "--stepz", "3"],
    "validate-nothing-named": ["validate"],
    "validate-one-replication": ["validate", "coin", "--replications", "1"],
    "compare-one-run": ["compare", "a"],
    "compare-no-such-run": ["compare", "a", "b"],
    "export-no-such-run": ["export", "a"],
    "export-to-what": ["export", "a", "--to", "csv"],
    "power-without-effect": ["power", "coin"],
    "power-effect-0": ["power", "coin", "--effect", "0"],
    "power-rho-2": ["power", "coin", "--effect", "0.1", "--rho", "2"],
    "power-sd-0": ["power", "coin", "--effect", "0.1", "--sd", "0"],
    "too-many-words": ["runs", "extra"],
}


def test_every_refused_input_is_one_line_with_exit_code_2_or_3(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.toml").write_text("n = = 3")
    Path("unknown.toml").write_text("nn = 3")
    Path("type.toml").write_text('n = "3"')
    Path("own.toml").write_text('seed = "3"')
    Path("table.toml").write_text("coin = 3")
    Path("file").write_text("")
    told = []
    for name, command in REFUSED.items():
        code = main(command)
        out, err = capsys.readouterr()
        lines = [line for line in err.splitlines() if line.startswith("gnomon: ")]
        assert len(lines) == 1 and code in (2, 3), (name, code, err)
        assert not out or name == "json-not-writable", (name, out)
        told.append(f"{name}\n  $ gnomon {' '.join(command)}\n  {lines[0]}\n  exit {code}\n")
    check("cli-refused", _stable("\n".join(told)))


def test_a_model_that_fails_ends_with_3_or_4(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, asked = FakeModel.choose, []

    async def broken(self: FakeModel, prompt: object, options: object) -> Choice:
        asked.append(prompt)
        if len(asked) != 2:
            raise ModelError("no answer", where="http://x", todo="try again")
        return await good(self, prompt, options)

    monkeypatch.setattr(FakeModel, "choose", broken)
    assert main(["assay", "coin"]) == 3
    assert capsys.readouterr().err == "gnomon: item coin-0: http://x: no answer; try again\n"
    assert main(["assay", "coin"]) == 4
    assert "more than --max-errors allows" in capsys.readouterr().err

    def missing(self: FakeModel, name: str) -> None:
        raise ModelError(f"no model {name!r}")

    monkeypatch.setattr(FakeModel, "__init__", missing)
    assert main(["assay", "coin", "--model", "zzz"]) == 3
    assert capsys.readouterr().err == "gnomon: no model 'zzz'\n"


def test_an_unexpected_error_is_one_line_and_a_traceback_on_request(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(self: FakeModel, prompt: object, options: object) -> Choice:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(FakeModel, "choose", broken)
    assert main(["assay", "coin"]) == 4
    assert capsys.readouterr().err == "gnomon: ZeroDivisionError: by zero; GNOMON_DEBUG=1 shows where\n"
    monkeypatch.setenv("GNOMON_DEBUG", "1")
    assert main(["assay", "coin"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_a_missing_extra_says_what_to_install(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(self: FakeModel, name: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(FakeModel, "__init__", missing)
    assert main(["assay", "coin"]) == 3
    assert "pip install 'gnomon[torch]'" in capsys.readouterr().err


def test_ctrl_c_saves_what_is_answered_and_the_same_command_goes_on(
    work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = FakeModel.choose
    calls = [0]

    async def interrupted(self: FakeModel, prompt: object, options: object) -> Choice:
        calls[0] += 1
        if calls[0] == 4:
            os.kill(os.getpid(), signal.SIGINT)
        if calls[0] >= 4:
            await asyncio.sleep(60)
        return await whole(self, prompt, options)

    monkeypatch.setattr(FakeModel, "choose", interrupted)
    assert main(["assay", "coin", "--fresh", "--json", "x.json"]) == 130
    err = capsys.readouterr().err
    assert err == "gnomon: stopped; what is done is saved; resume with: gnomon assay coin --json x.json\n"
    assert main(["runs"]) == 0
    assert "stopped" in capsys.readouterr().out
    monkeypatch.setattr(FakeModel, "choose", whole)
    assert main(["assay", "coin", "--json", "x.json"]) == 0
    timing = json.loads(Path("x.json").read_text())["timing"]
    assert (timing["items_asked"], timing["items_total"]) == (5, 8)


def test_train_reports_names_the_model_and_shows_what_it_would_do(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "nothing", "--dry-run", "--steps", "7"]) == 0
    assert capsys.readouterr().out == "7 steps of nothing\n"
    assert main(["train", "nothing", "--steps", "4", "--json", "t.json"]) == 0
    out, err = capsys.readouterr()
    check("cli-train", _stable(out))
    (model,) = re.findall(r"model: (run:[0-9a-f]{8})", err)
    told = json.loads(Path("t.json").read_text())
    assert told["model"] == model and told["estimates"][0]["value"] == 0.25
    assert main(["models"]) == 0
    assert model in capsys.readouterr().out


def test_runs_compare_and_export(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "no runs yet" in err
    for seed in ("1", "2"):
        main(["assay", "coin", "--seed", seed, "--json", f"{seed}.json"])
    capsys.readouterr()
    assert main(["runs"]) == 0
    check("cli-runs", _stable(capsys.readouterr().out))
    ids = [json.loads(Path(f"{s}.json").read_text())["run"].rpartition("-")[2] for s in (1, 2)]
    assert main(["compare", *ids, "--json", "c.json"]) == 0
    (difference,) = json.loads(Path("c.json").read_text())["estimates"]
    assert difference["metric"] == "difference of right" and difference["value"] == 0
    capsys.readouterr()
    for kind in ("parquet", "jsonl"):
        assert main(["export", ids[0], "--to", kind]) == 0
        path = Path(capsys.readouterr().out.strip())
        assert path.name == f"rows.{kind}" and path.stat().st_size > 0
    assert len(path.read_text().splitlines()) == 8


def test_list_names_methods_of_installed_packages(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"assay +coin +Does the model call coins right\?", out)
    assert re.search(r"train +nothing +Trains nothing, quickly\.", out)


def test_power_says_how_many_items(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["power", "coin", "--effect", "0.03"]) == 0
    check("cli-power", capsys.readouterr().out)


def test_doctor_fails_when_a_check_fails(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"numpy +ok", out) and re.search(r"OPENAI_API_KEY +absent", out)
    assert re.search(r"sandbox +(ok +candidates are held by limits|absent)", out)
    monkeypatch.setenv("GNOMON_RUNS", "/proc/nowhere/runs")
    assert main(["doctor"]) == 1
    assert re.search(r"folder of runs +broken", capsys.readouterr().out)


@pytest.mark.parametrize(
    "command", ["", "assay", "assay coin", "train nothing", "validate", "runs", "compare", "export"]
)
def test_help_teaches(work: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert main([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    if command:
        assert "Examples:\n  gnomon" in out and "What comes out:\n" in out
        assert f"Usage: gnomon {command.split()[0]}" in out
    if command == "assay coin":
        check("cli-help-assay-coin", out)


def test_no_arguments_show_the_help(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert bare == capsys.readouterr().out
    check("cli-help", bare)


def test_python_calls_are_the_commands(work: Path) -> None:
    report = gnomon.assay("coin", n=4)
    assert report.estimate("right").n == 4
    model = gnomon.train("nothing", steps=2)
    assert re.fullmatch(r"run:[0-9a-f]{8}", model)
    assert gnomon.load_model("brook").name == "brook"


def test_python_calls_work_inside_a_running_loop(work: Path) -> None:
    async def cell() -> float | None:
        return gnomon.assay("coin", n=4).estimate("right").value

    assert asyncio.run(cell()) == 1.0


def test_packages_of_methods_stay_packages(work: Path) -> None:
    import gnomon.assay as package

    assert package is gnomon.assay and package.__path__
    with pytest.raises(AttributeError, match="no attribute 'nothing_here'"):
        _ = gnomon.nothing_here  # type: ignore[attr-defined]  # that is the point


HEAVY = ("numpy", "scipy", "torch", "rich", "cyclopts", "altair", "pyarrow")


def test_importing_gnomon_loads_nothing_heavy() -> None:
    code = f"import gnomon, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from gnomon.cli import main; main(['--help']); "
        "print([m for m in ('numpy', 'scipy', 'torch', 'altair', 'pyarrow', 'asyncio') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("[]\n")


@pytest.mark.alone
def test_help_takes_less_than_three_tenths_of_a_second() -> None:
    code = "import time; from gnomon.cli import main; main(['--help']); print(time.process_time())"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    assert min(float(r.stdout.splitlines()[-1]) for r in runs) < 0.3 * slowdown()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_it_says_itself(name: str) -> None:
    command = COMMANDS[name]
    function = getattr(import_module(f"gnomon.cli.{command.module}"), f"{name}_command")
    told = function([]) if command.takes_methods else function
    assert (told.__doc__ or "").split("\n\n")[0] == command.about


def test_a_brief_print_leaves_the_rest_to_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    estimates = [
        Estimate(metric=metric, value=0.5, low=0.4, high=0.6, n=9, clusters=9, headline=metric == "first")
        for metric in ("first", "second")
    ]
    table = Table(title="", columns=["column"], rows=[["third"]])
    report = Report(title="Numbers", summary="It is so.", estimates=estimates, tables=[table])
    origin = Provenance(verb="assay", name="numbers")
    for brief in (True, False):
        emit([(report, origin)], json=str(tmp_path / "x.json"), page=None, brief=brief)
        out = capsys.readouterr().out
        assert "It is so." in out and "first" in out
        assert ("second" in out, "third" in out) == (not brief, not brief)
        assert [e["metric"] for e in json.loads((tmp_path / "x.json").read_text())["estimates"]] == ["first", "second"]
