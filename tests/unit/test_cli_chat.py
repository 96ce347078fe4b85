"""`gnomon chat`: conversations, commands, pipes and terminals."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import pytest

from gnomon.cli import main
from gnomon.cli.chat import Conversation
from gnomon.core.errors import ModelError
from gnomon.models.base import Ability, Completion, Message, Sampling


class Echo:
    """Says what it was asked in how many turns, and fails when told to."""

    name, revision = "echo", "1"
    can = frozenset({Ability.SAMPLE})

    def __init__(self) -> None:
        self.asked: list[tuple[Sequence[Message], Sampling]] = []

    async def sample(self, prompt: Any, how: Sampling, n: int = 1) -> list[Completion]:
        self.asked.append((prompt, how))
        if prompt[-1].content == "fail":
            raise ModelError("it failed", todo="ask something else")
        text = f" {len(prompt)}: {prompt[-1].content}\nand more"
        for piece in text.split("m") if how.on_token else ():
            how.on_token(piece if piece == text.split("m")[0] else f"m{piece}")
        return [Completion(text=text, finish="stop", num_tokens=1)]

    async def close(self) -> None:
        """Nothing to release."""


class Terminal(io.StringIO):
    """Where somebody types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Echo:
    model = Echo()
    monkeypatch.setattr("gnomon.models.load.load", lambda name: model)
    return model


def test_a_pipe_gets_one_line_an_answer(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "sys.stdin", io.StringIO("hello\n\nagain\n/system Be brief.\nnew\n/reset\nlast\n/quit\nnever\n")
    )
    assert main(["chat", "echo", "--temperature", "0.5", "--max-tokens", "7"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["1: hello and more", "3: again and more", "2: new and more", "2: last and more"]
    assert err == ""
    assert echo.asked[-1][0] == [Message("system", "Be brief."), Message("user", "last")]
    assert echo.asked[1][0][1] == Message("assistant", "1: hello\nand more")
    assert {(how.temperature, how.max_tokens) for _, how in echo.asked} == {(0.5, 7)}
    assert echo.asked[0][1].seed != echo.asked[1][1].seed


def test_what_goes_wrong_ends_a_pipe(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for line, code, told in (("fail", 3, "it failed; ask something else"), ("/rest", 2, "no command '/rest'")):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{line}\nnever\n"))
        assert main(["chat", "echo"]) == code
        out, err = capsys.readouterr()
        assert out == "" and told in err


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_line_that_is_no_text_ends_a_pipe(
    echo: Echo, errors: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe\n"), "utf-8", errors))
    assert main(["chat", "echo"]) == 3
    assert "stdin: a line is no UTF-8" in capsys.readouterr().err


def test_in_a_terminal_words_come_one_by_one_and_it_goes_on_after_a_failure(
    echo: Echo, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = iter(["hello", "fail", "/oops", "again"])

    def typed(prompt: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", typed)
    monkeypatch.setattr("sys.stdin", Terminal())
    assert main(["chat", "echo"]) == 0
    out, err = capsys.readouterr()
    assert out == "1: hello\nand more\n3: again\nand more\n\n"
    assert "gnomon: it failed" in err and "no command '/oops'" in err


def test_a_turn_that_fails_is_no_part_of_the_conversation() -> None:
    model: Any = Echo()
    talk = Conversation(model, Sampling())
    asyncio.run(talk.answer("one"))
    with pytest.raises(ModelError):
        asyncio.run(talk.answer("fail"))
    assert [turn.content for turn in talk.turns] == ["one", "1: one\nand more"]


def test_brook_stops_before_it_speaks_for_the_user(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("where is the mill ?\nwhere is the mill ?\n"))
    assert main(["chat", "brook", "--max-tokens", "60"]) == 0
    answers = capsys.readouterr().out.splitlines()
    assert len(answers) == 2 and not any("Human:" in answer for answer in answers)
