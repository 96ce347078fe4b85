"""Promises of a GraphQL API that only several requests can break: what was made is found, what was changed is seen,
what was removed is gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from graphql import GraphQLInputObjectType, get_named_type, get_nullable_type, is_list_type

from gnomon.fuzz.base import Exchange, Operation
from gnomon.fuzz.graphql.reading import Answered
from gnomon.fuzz.state.names import is_identifier, is_key
from gnomon.fuzz.state.resources import Resource
from gnomon.fuzz.state.semantics import is_soft_deleted, unseen

__all__ = ["changes_of", "kept_of", "lost", "names_of", "reads_of", "sent_by", "still_read", "unchanged"]

_SETS = re.compile(r"^(update|edit|change|modify|patch|set|save|rename|replace|put)", re.IGNORECASE)
"Names of mutations after which a thing is as their arguments say; `addTag` and `reserve` may mean anything else."


def reads_of(resource: Resource) -> tuple[Operation, ...]:
    """The root fields that answer the one thing which a bare `id` names."""
    return tuple(each for each in resource.reads if each.root and each.root.subject == resource.name and _is_one(each))


def changes_of(resource: Resource) -> tuple[Operation, ...]:
    """The mutations that set what a thing says."""
    return tuple(each for each in resource.updates if _SETS.match(each.path))


def names_of(change: Operation) -> frozenset[str]:
    """Names of a mutation's arguments and of the members of its input objects."""
    arguments = change.root.field.args if change.root else {}
    kinds = [get_named_type(each.type) for each in arguments.values()]
    inner = [name for kind in kinds if isinstance(kind, GraphQLInputObjectType) for name in kind.fields]
    return frozenset([*arguments, *inner])


def lost(steps: Sequence[Exchange], resource: Resource) -> bool:
    """Whether the last step asks for the very thing that an earlier one made, and is answered null and no error."""
    last, said = steps[-1], _said(steps[-1])
    if said is None or said.errors or said.data is None or last.case.operation not in reads_of(resource):
        return False
    asked = set(_identifiers(last.case.body))
    made = [each for each in steps[:-1] if each.case.operation in resource.creates and _took(each)]
    return said.data.get(last.case.operation.path) is None and any(asked & _answered(each, resource) for each in made)


def still_read(steps: Sequence[Exchange], resource: Resource) -> bool:
    """Whether the last step is answered a thing that an earlier one removed, and it does not say that it is removed."""
    last = steps[-1]
    if last.case.operation not in reads_of(resource) or not _took(last):
        return False
    asked, said = set(_identifiers(last.case.body)), _said(last)
    gone = [each for each in steps[:-1] if each.case.operation in resource.deletes and _took(each)]
    removed = any(asked & set(_identifiers(each.case.body)) for each in gone)
    return removed and said is not None and not is_soft_deleted(said.data)


def unchanged(steps: Sequence[Exchange], resource: Resource) -> list[str]:
    """Of a read, a change and a read of one thing: members that were sent and taken and still are what they were."""
    if len(steps) < 3 or not all(map(_took, steps[-3:])):
        return []
    before, change, after = steps[-3:]
    reads = reads_of(resource)
    if change.case.operation not in changes_of(resource) or not {before.case.operation, after.case.operation} <= {
        *reads
    }:
        return []
    # A payload may say that nothing was changed; only one that has the thing itself says that it was.
    about = _answered(change, resource).intersection(*(_identifiers(each.case.body) for each in steps[-3:]))
    first, last = _value(before), _value(after)
    found, certain = unseen(sent_by(change), first, last)
    return found if about and certain else []


def sent_by(step: Exchange) -> dict[str, Any]:
    """The arguments of a mutation and the members of its input objects, but nulls and identifiers."""
    body = step.case.body if isinstance(step.case.body, dict) else {}
    plain = {name: value for name, value in body.items() if not isinstance(value, dict)}
    inner = [each for each in body.values() if isinstance(each, dict)]
    named = {name: value for each in (*inner, plain) for name, value in each.items()}
    return {name: v for name, v in named.items() if v is not None and not is_key(name) and not is_identifier(name)}


def kept_of(check: str, resource: Resource) -> Callable[[Sequence[Exchange]], bool] | None:
    """What says whether steps break a promise again, by the check's name."""
    held = _KEPT.get(check)
    return (lambda steps: bool(held(steps, resource))) if held else None


def _is_one(operation: Operation) -> bool:
    return operation.root is not None and not is_list_type(get_nullable_type(operation.root.field.type))


def _value(step: Exchange) -> Any:
    said = _said(step)
    return said.data.get(step.case.operation.path) if said and said.data else None


def _said(step: Exchange) -> Answered | None:
    return step.case.operation.root.answer(step.reply.body) if step.case.operation.root else None


def _took(step: Exchange) -> bool:
    return step.case.operation.root is not None and step.case.operation.root.took(step.reply.body)


def _answered(step: Exchange, resource: Resource) -> set[str]:
    """The scalars of the objects of a kind that a step was answered, its identifier among them."""
    root, said = step.case.operation.root, _said(step)
    found = root.objects(step.case, said) if root and said else ()
    return {str(value) for each in found if each.type == resource.item for value in each.scalars.values()}


def _identifiers(value: Any, name: str = "") -> Iterator[str]:
    """What stands under names that speak of identifiers."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _identifiers(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _identifiers(each, name)
    elif isinstance(value, str | int) and not isinstance(value, bool) and (is_key(name) or is_identifier(name)):
        yield str(value)


_KEPT: Mapping[str, Callable[[Sequence[Exchange], Resource], object]] = {
    "created_not_found": lost,
    "update_not_visible": unchanged,
    "use_after_delete": still_read,
}
