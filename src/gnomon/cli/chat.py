"""`gnomon chat MODEL`: a conversation in the terminal, or one answer a line of a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gnomon.cli.output import say
from gnomon.core.errors import DataError, GnomonError, UsageError

if TYPE_CHECKING:
    import asyncio

    from gnomon.models.base import Message, Model, Sampling

__all__ = ["EXAMPLES", "Conversation", "chat_command"]

EXAMPLES = """Examples:
  gnomon chat brook
  echo "where does renbo live ?" | gnomon chat brook --temperature 0
  gnomon chat http://localhost:8000/v1#name --system "Be short."

While it runs:
  /reset        forgets the conversation
  /system TEXT  forgets it and sets the system message
  /quit         ends, as Ctrl-D does; Ctrl-C stops an answer

What comes out:
  stdout  the answers; for a pipe one a line
"""

_COMMANDS = "/reset, /system TEXT and /quit"


@dataclass
class Conversation:
    """What was said so far, and who answers.

    Attributes:
        model: answers.
        how: how it is sampled; each turn has a seed of its own.
        system: the system message; "" for none.
        turns: what was said, without the system message.
    """

    model: Model
    how: Sampling
    system: str = ""
    turns: list[Message] = field(default_factory=list)

    async def answer(self, text: str, on_token: Callable[[str], None] | None = None) -> str:
        """The answer to `text`; both become part of the conversation, unless the model fails."""
        from gnomon.core.seeds import Seed
        from gnomon.models.base import Message

        turns = [*self.turns, Message("user", text)]
        prompt = [Message("system", self.system), *turns] if self.system else turns
        seed = Seed(self.how.seed).child("turn", len(turns)).value
        how = replace(self.how, seed=seed, on_token=on_token)
        said = (await self.model.sample(prompt, how))[0].text.strip()
        self.turns = [*turns, Message("assistant", said)]
        return said

    def reset(self, system: str | None = None) -> None:
        """Forgets what was said, and takes another system message if one is given."""
        self.turns = []
        self.system = self.system if system is None else system


def chat_command(
    model: Annotated[str, Parameter(help="Who answers; `gnomon models` says how to name one.")],
    /,
    *,
    system: Annotated[str, Parameter(help="System message.", show_default=False)] = "",
    temperature: Annotated[float, Parameter(help="0 takes the most probable word each time.")] = 1.0,
    max_tokens: Annotated[int, Parameter(help="Most tokens of an answer.")] = 256,
    seed: Annotated[int, Parameter(help="Root of every random draw.")] = 0,
) -> int:
    """Talk to a model."""
    import asyncio

    from gnomon.models.base import Ability, Sampling, require
    from gnomon.models.load import load
    from gnomon.models.probe import probe

    loaded = load(model)
    with asyncio.Runner() as runner:
        try:
            runner.run(probe(loaded))
            require(loaded, Ability.SAMPLE, why="a chat")
            how = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed, stop=_stops(loaded))
            talk = Conversation(loaded, how, system)
            (_in_terminal if sys.stdin.isatty() else _in_pipe)(talk, runner)
        finally:
            runner.run(loaded.close())
    return 0


def _in_terminal(talk: Conversation, runner: asyncio.Runner) -> None:
    """Words as they come; what goes wrong is said, and the conversation goes on."""
    say(f"{talk.model.name}; {_COMMANDS}")
    for line in _typed():
        try:
            if not _obeyed(talk, line):
                shown = _Shown()
                shown.rest(runner.run(talk.answer(line, shown.piece)))
        except GnomonError as error:
            say(f"gnomon: {error}")
        except KeyboardInterrupt:
            print(flush=True)


def _in_pipe(talk: Conversation, runner: asyncio.Runner) -> None:
    """One line an answer; what goes wrong ends it."""
    for line in _lines(_piped()):
        if not _obeyed(talk, line):
            print(" ".join(runner.run(talk.answer(line)).split()), flush=True)


def _piped() -> Iterator[str]:
    try:
        for line in iter(sys.stdin.readline, ""):
            # Where the locale lets them through, bytes that are no UTF-8 are halves of surrogate pairs.
            line.encode()
            yield line
    except UnicodeError:
        raise DataError("a line is no UTF-8", where="stdin", todo="write it as UTF-8") from None


def _typed() -> Iterator[str]:
    # Importing it gives `input` its editing keys.
    import readline  # noqa: F401

    def lines() -> Iterator[str]:
        while True:
            try:
                yield input("> ")
            except EOFError:
                print(flush=True)
                return

    return _lines(lines())


def _lines(source: Iterator[str]) -> Iterator[str]:
    """What was entered, until /quit; empty lines are passed over."""
    for line in map(str.strip, source):
        if line == "/quit":
            return
        if line:
            yield line


def _obeyed(talk: Conversation, line: str) -> bool:
    """Whether `line` was a command, which is done then; UsageError for one that there is not."""
    if not line.startswith("/"):
        return False
    word, _, rest = line.partition(" ")
    if word == "/reset" and not rest:
        talk.reset()
    elif word == "/system":
        talk.reset(rest.strip())
    else:
        raise UsageError(f"no command {line!r}", where="chat", todo=f"there are {_COMMANDS}")
    return True


def _stops(model: Model) -> tuple[str, ...]:
    """Where the next turn of the user would begin, for models whose turns begin with a plain word.

    A model trained on whole dialogues writes the user's words too.
    """
    from gnomon.models.base import Message

    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        return ()
    return ("Human:",) if "Human:" in tokenizer.chat([Message("user", "")]) else ()


class _Shown:
    """Prints an answer while it grows, without the white space that it begins with."""

    def __init__(self) -> None:
        self._text = ""

    def piece(self, piece: str) -> None:
        """Prints what has come."""
        fresh = piece if self._text else piece.lstrip()
        self._text += fresh
        print(fresh, end="", flush=True)

    def rest(self, whole: str) -> None:
        """Prints what of the whole answer has not come in pieces, and ends the line."""
        print(whole.removeprefix(self._text.rstrip()) if self._text else whole, flush=True)
