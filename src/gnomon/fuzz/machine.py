"""A state machine of Hypothesis over what an API keeps: rules make, read, list, change and remove things."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule

from gnomon.fuzz.base import Operation, Take
from gnomon.fuzz.drawing import valid_cases
from gnomon.fuzz.pytesting import Suite, api_cases, identifier
from gnomon.fuzz.sending import Sent
from gnomon.fuzz.state.memory import Thing

__all__ = ["machine"]


def machine(suite: Suite) -> type[RuleBasedStateMachine]:
    """The machine: a bundle of things a kind, a rule an operation; every reply is judged, with all steps before it.

    What was removed stays in its bundle, so that it is asked for again.
    """
    resources = [each for each in suite.sender.memory.resources.values() if each.creates]
    bundles = {each.item: Bundle(each.name or each.item) for each in resources}
    rules: dict[str, Any] = {}
    for resource in resources:
        above = bundles.get(resource.parent)
        for operation in resource.creates:
            rules[_name(operation)] = _making(suite, operation, bundles[resource.item], above)
        for operation in (*resource.reads, *resource.updates, *resource.deletes, *resource.inner):
            rules[_name(operation)] = _about(suite, operation, bundles[resource.item])
        for operation in resource.lists if above is None else ():
            rules[_name(operation)] = _about(suite, operation, None)

    def begin(self: Any) -> None:
        RuleBasedStateMachine.__init__(self)
        self.steps = []

    return type("Lives", (RuleBasedStateMachine,), {"__init__": begin, **rules})


def _making(suite: Suite, operation: Operation, target: Bundle[Thing], above: Bundle[Thing] | None) -> Any:
    def make(self: Any, data: st.DataObject, parent: Thing | None) -> Any:
        sent = _play(suite, self.steps, operation, data, parent)
        return sent.made if sent and sent.made else multiple()

    parents = above if above is not None else st.none()
    return rule(target=target, data=st.data(), parent=parents)(_named(make, operation))


def _about(suite: Suite, operation: Operation, things: Bundle[Thing] | None) -> Any:
    def ask(self: Any, data: st.DataObject, thing: Thing | None) -> None:
        _play(suite, self.steps, operation, data, thing)

    about = things if things is not None else st.none()
    return rule(data=st.data(), thing=about)(_named(ask, operation))


def _play(
    suite: Suite, steps: list[Sent], operation: Operation, data: st.DataObject, thing: Thing | None
) -> Sent | None:
    """One more step; what breaks a promise is raised with all of them."""
    __tracebackhide__ = True
    path = dict(thing.params) if thing else {}
    case = data.draw(api_cases(suite, valid_cases(suite.maker, operation, path)), label="request").case
    sent = suite.send(case, _takes(steps, thing))
    if sent:
        steps.append(sent)
        suite.judge(*steps)
    return sent


def _takes(steps: list[Sent], thing: Thing | None) -> tuple[Take, ...]:
    """Where the steps so far answered what a thing is called."""
    made = next((i for i, each in enumerate(steps) if thing is not None and each.made is thing), None)
    if made is None or thing is None:
        return ()
    return tuple(Take(step=made, expression=e, location="path", place=name) for name, e in thing.source.items())


def _named(function: Callable[..., Any], operation: Operation) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = _name(operation)
    return function


def _name(operation: Operation) -> str:
    return identifier(operation.key.lower())
