"""A web API under pytest: an item for each operation, driven and shrunk by Hypothesis, and a state machine.

api = gnomon.fuzz.from_asgi(app)

@api.parametrize()
def test_api(case):
    case.call_and_validate()

TestLives = api.state_machine().TestCase
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnomon.fuzz.base import NOTHING, Case, Defect, Operation, Reply, Take, Violation
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.directions import request_side
from gnomon.fuzz.drawing import has_flaws, invalid_cases, valid_cases
from gnomon.fuzz.hooks import writing
from gnomon.fuzz.identities import Credentials
from gnomon.fuzz.making import Maker
from gnomon.fuzz.outputs import Found
from gnomon.fuzz.outputs.found import NOWHERE
from gnomon.fuzz.outputs.steps import secrets_of
from gnomon.fuzz.outputs.text import hidden, printable
from gnomon.fuzz.sending import Sender, Sent
from gnomon.fuzz.targets import Target

__all__ = ["ApiCase", "Failed", "Suite", "api_cases", "identifier"]

_LENIENT: Mapping[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


class Failed(AssertionError):
    """A reply that no reading of the document allows; the text has the lines for bash that show it."""


@dataclass(frozen=True, repr=False)
class ApiCase:
    """A request to be sent.

    Attributes:
        case: its values.
        suite: whose it is.
    """

    case: Case
    suite: Suite

    def __repr__(self) -> str:
        case = self.case
        values = [f"{name}={value!r}" for (_, name), value in case.parameters.items()]
        values += [] if case.body is NOTHING else [f"body={case.body!r}"]
        return printable(hidden(" ".join([case.operation.key, *values]), self.suite.secrets))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def call(self) -> Reply:
        """What the server answers; nothing is checked."""
        return self._sent().exchange.reply

    def call_and_validate(self) -> Reply:
        """What the server answers.

        Raises:
            Failed: the answer breaks what the document promises.
        """
        sent = self._sent()
        self.suite.judge(sent)
        return sent.exchange.reply

    def _sent(self) -> Sent:
        from hypothesis import reject

        return self.suite.send(self.case) or reject()


class Suite:
    """An API under test.

    Args:
        target: as `opened` gives it.
        config: checks and time for one reply.
        credentials: who sends.
    """

    def __init__(self, target: Target, config: Fuzzing, credentials: Credentials) -> None:
        callers = credentials.callers(target.api)
        checks = {name: check for name, check in config.chosen.items() if name != "slow_response"}
        self.target = target
        self.sender = Sender(
            request_side(target.api),
            target.transport,
            callers,
            promised=target.api,
            checks=checks,
            timeout=config.timeout,
            write=writing,
        )
        self.maker = Maker(self.sender.api, self.sender.memory)
        self._runner: asyncio.Runner | None = None

    @property
    def secrets(self) -> Mapping[str, str]:
        """Names of marks by secret, as far as they are known by now."""
        return secrets_of(self.sender.identities)

    @property
    def operations(self) -> Sequence[Operation]:
        """What is tested, in the document's order."""
        return self.sender.api.operations

    def cases(self, operation: Operation) -> st.SearchStrategy[ApiCase]:
        """Draws requests of an operation, those within its schema first."""
        drawn = [valid_cases(self.maker, operation)]
        if has_flaws(self.maker, operation):
            drawn.append(invalid_cases(self.maker, operation))
        return api_cases(self, st.one_of(drawn))

    def parametrize(self) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """A decorator: the test runs once an operation, its `case` drawn by Hypothesis; fixtures are as ever.

        A fixture of a function is made once an operation, not once a case.
        """
        import pytest

        def decorated(test: Callable[..., None]) -> Callable[..., None]:
            needed = [p for p in inspect.signature(test).parameters.values() if p.name != "case"]

            def item(*args: Any, gnomon_operation: Operation, **fixtures: Any) -> None:
                __tracebackhide__ = True

                def run(case: ApiCase) -> None:
                    __tracebackhide__ = True
                    test(*args, case=case, **fixtures)

                # The examples that Hypothesis keeps are kept by the name of the function.
                run.__name__ = run.__qualname__ = identifier(f"{test.__qualname__} {gnomon_operation.key}")
                own = getattr(test, "_hypothesis_internal_use_settings", None)
                settings(own or settings.default, **_LENIENT)(given(case=self.cases(gnomon_operation))(run))()

            item.__name__, item.__doc__, item.__module__ = test.__name__, test.__doc__, test.__module__
            last = inspect.Parameter("gnomon_operation", inspect.Parameter.KEYWORD_ONLY)
            item.__signature__ = inspect.Signature([*needed, last])  # type: ignore[attr-defined]  # what pytest reads
            item.pytestmark = list(getattr(test, "pytestmark", []))  # type: ignore[attr-defined]  # marks below this one
            keys = [each.key for each in self.operations]
            over: Callable[..., Any] = pytest.mark.parametrize("gnomon_operation", self.operations, ids=keys)
            return cast(Callable[..., None], over(item))

        return decorated

    def state_machine(self) -> Any:
        """A `RuleBasedStateMachine` whose rules make, read, change and remove the things that the paths speak of."""
        from gnomon.fuzz.machine import machine

        return machine(self)

    def send(self, case: Case, takes: tuple[Take, ...] = ()) -> Sent | None:
        """What comes of a case; None where it cannot be sent."""
        if self._runner is None:
            self._runner = asyncio.Runner()
            atexit.register(self._close)
        return self._runner.run(self.sender.send(case, again=True, takes=takes))

    def judge(self, *steps: Sent) -> None:
        """Raises `Failed` where the last step breaks a promise."""
        __tracebackhide__ = True
        certain = [each for each in steps[-1].violations if each.certain]
        if certain:
            raise Failed("\n\n".join(self._told(each, steps) for each in certain))

    def _told(self, violation: Violation, steps: Sequence[Sent]) -> str:
        whole = replace(violation, steps=tuple(each.exchange for each in steps))
        defect = Defect(violation=whole, reproduced=(1, 1), first_seen=0.0, requests=0)
        origin = self.target.origin or NOWHERE
        found = Found.of(self.target.api, [defect], secrets=self.secrets, origin=origin)
        (shown,) = found.defects
        said = shown.violation
        return "\n".join([f"{said.title} ({said.check})", said.detail[:2000], "", found.curl(shown)])

    def _close(self) -> None:
        if self._runner:
            self._runner.run(self.target.transport.close())
            self._runner.close()


def identifier(text: str) -> str:
    """A name for a function that Hypothesis prints."""
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in text)


@st.composite
def api_cases(draw: st.DrawFn, suite: Suite, cases: st.SearchStrategy[Case]) -> ApiCase:
    """Drawn cases as requests of a suite; by `map` Hypothesis would print all that they hold."""
    return ApiCase(draw(cases), suite)
