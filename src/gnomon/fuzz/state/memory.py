"""What the server has answered, kept as values for later requests: things that exist, that are gone, and plain values.

Of a thing all path parameters are kept together, so that a request below `/users/{id}/orders/{n}` names an order and
the user that it belongs to.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from gnomon.fuzz.answered import parsed
from gnomon.fuzz.base import Api, Case, Exchange
from gnomon.fuzz.state.names import is_identifier, kind_of, plain, singular, subject_of, words
from gnomon.fuzz.state.resources import Resource, Route, resources

__all__ = [
    "Making",
    "Memory",
    "Thing",
    "identified",
    "leaves",
    "path_params",
    "read_json",
    "rows_of",
    "written_in_order",
]

_NO_IDENTIFIER = 4
_KEPT, _DEEPEST, _WIDEST, _HISTORY, _MAKINGS = 64, 4, 20, 12, 5000


class Making(NamedTuple):
    """How a thing was made: the exchange, and where its answer says what the thing is called; "" where the path did."""

    exchange: Exchange
    expression: str
    thing: Thing


@dataclass(eq=False)
class Thing:
    """One thing that the server keeps: its path parameters, its last representation, and where each parameter was read.

    Attributes:
        resource: its kind.
        params: path parameter by name.
        body: as it was last answered; None where only its URL is known.
        source: runtime expression by parameter, of those that its creation answered.
        history: what was sent about it and taken, its creation first; the last ones.
    """

    resource: Resource
    params: dict[str, Any]
    body: Any = None
    source: dict[str, str] = field(default_factory=dict)
    history: list[Exchange] = field(default_factory=list)

    @property
    def guessed(self) -> bool:
        """Whether only what was sent says what it is called, which may be another member."""
        maker = self.history[0].case if self.history and not self.source else None
        return maker is not None and maker.operation in self.resource.creates and not self._in_path(maker)

    def _in_path(self, case: Case) -> bool:
        return ("path", self.resource.key) in case.parameters

    @cached_property
    def written(self) -> frozenset[tuple[str, str]]:
        """Its path parameters as texts."""
        return frozenset((name, str(value)) for name, value in self.params.items())

    def keep(self, exchange: Exchange) -> None:
        """Adds to the history; what lies between its beginning and its end is forgotten first."""
        self.history.append(exchange)
        if len(self.history) > _HISTORY:
            del self.history[1]


class Memory:
    """Learns from exchanges; gives values to cases.

    Args:
        kinds: kinds of things; None for those that paths speak of.

    Attributes:
        resources: the kinds of things, by item template.
        alive, gone: things by item template, the last ones.
        values: answered scalars by name of their member.
        held: things that one story speaks of, so that no other request touches them meanwhile.
        makings: how things were made, by item template and identifier, and by item template and all path parameters in
            order of their names; the last ones.
    """

    def __init__(self, api: Api, kinds: Sequence[Resource] | None = None) -> None:
        self.resources = {each.item: each for each in (resources(api) if kinds is None else kinds)}
        self._routes = {item: Route(item, api.base_path) for item in self.resources}
        self.alive: dict[str, deque[Thing]] = {item: deque(maxlen=_KEPT) for item in self.resources}
        self.gone: dict[str, deque[Thing]] = {item: deque(maxlen=_KEPT) for item in self.resources}
        self.values: dict[str, deque[Any]] = {}
        self.held: set[Thing] = set()
        self.makings: dict[tuple[str, ...], Making] = {}
        self._kinds = {each.name for each in self.resources.values()}
        self._refers: dict[str, str] = {}
        self._items: dict[str, list[str]] = {}
        self._creates = {op.key: each for each in self.resources.values() for op in each.creates}
        self._lists = {op.key: each for each in self.resources.values() for op in each.lists}
        self._own = {
            op.key: each for each in self.resources.values() for op in (*each.reads, *each.updates, *each.deletes)
        }

    def learn(self, exchange: Exchange) -> Thing | None:
        """Takes in what a 2xx answered; returns the thing that it made, if it made one."""
        key, reply = exchange.case.operation.key, exchange.reply
        if not 200 <= reply.status < 300 or exchange.case.method:
            return None
        body, params = read_json(reply.body), path_params(exchange.case)
        if exchange.case.operation.method != "GET":
            for thing in dict.fromkeys((*self.about(exchange), *self._named(exchange))):
                thing.keep(exchange)
        for name, value in leaves(body):
            self._keep(name, value)
        own = self._own.get(key)
        if own is not None and exchange.case.operation.method == "DELETE":
            self.forget(own.item, params)
            return None
        if key in self._lists:
            self._learn_list(self._lists[key], params, body)
        made = self._made(self._creates[key], params, exchange, body) if key in self._creates else None
        if made is not None:
            self._keep_making(made, exchange)
            if not made.history:
                made.keep(exchange)
        return made or (self.remember(Thing(own, params, body)) if own is not None else None)

    def about(self, exchange: Exchange) -> list[Thing]:
        """The things, alive or gone, that an exchange's path names, what they belong to included."""
        params = {(name, str(value)) for name, value in path_params(exchange.case).items()}
        there = [
            each for item in self._along(exchange.case.operation.path) for each in (*self.alive[item], *self.gone[item])
        ]
        return [each for each in there if each.written <= params]

    def _named(self, exchange: Exchange) -> Iterator[Thing]:
        """The things made in this search that members of a body name, as what belongs to them does."""
        for name, value in leaves(exchange.case.body):
            kind = self.refers(name)
            for item in [each.item for each in self.resources.values() if kind and each.name == kind]:
                making = self.makings.get((item, str(value)))
                if making is not None:
                    yield making.thing

    def _along(self, path: str) -> list[str]:
        """Item templates that a path names or goes below."""
        found = self._items.get(path)
        if found is None:
            bare = path.rstrip("/")
            found = [item for item in self.resources if bare == item or bare.startswith(item + "/")]
            self._items[path] = found
        return found

    def remember(self, thing: Thing) -> Thing:
        """Keeps a thing, or renews the one that has its path parameters."""
        there = self.alive[thing.resource.item]
        for known in reversed(there):
            if known.params == thing.params:
                known.body = thing.body if thing.body is not None else known.body
                return known
        there.append(thing)
        return thing

    def forget(self, item: str, params: Mapping[str, Any]) -> None:
        """Counts a thing as gone, and whatever belongs to it."""
        for template, there in self.alive.items():
            if template == item or template.startswith(item + "/"):
                for thing in [each for each in there if _agrees(each.params, params)]:
                    there.remove(thing)
                    self.gone[template].append(thing)

    def thing_for(self, path: str, rng: random.Random, *, gone: bool = False) -> Thing | None:
        """A thing that a path is about or below; the latest more often."""
        for item in sorted(self._along(path), key=len, reverse=True):
            there = [each for each in (self.gone if gone else self.alive)[item] if each not in self.held]
            if there:
                return there[max(rng.randrange(len(there)), rng.randrange(len(there)))]
        return None

    def refers(self, name: str) -> str:
        """The kind of thing that a name identifies: `user` of userId, or of `user` where there are users; else ""."""
        found = self._refers.get(name)
        if found is None:
            named = (each for each in (subject_of(name), kind_of(name)) if each in self._kinds)
            found = self._refers[name] = next(named, "")
        return found

    def identifier(self, name: str, rng: random.Random, *, about: str = "") -> Any:
        """A live value for a name such as userId: the key of a user; None where there is none.

        Args:
            about: what a bare `id` speaks of.
        """
        subject = self.refers(name) or about
        kinds = [each for each in self.resources.values() if each.name == subject]
        things = [each for kind in kinds for each in self.alive[kind.item] if each not in self.held]
        if not things:
            return None
        thing = rng.choice(things)
        return thing.params.get(thing.resource.key)

    def value(self, name: str, rng: random.Random) -> Any:
        """An answered scalar whose member had this name; None where there is none."""
        there = self.values.get(plain(name))
        return rng.choice(there) if there else None

    def making_like(self, resource: Resource) -> Making | None:
        """How the last thing of a kind was made whose name its answer said; None where there is none."""
        found = (making for (item, *_), making in reversed(self.makings.items()) if item == resource.item)
        return next((each for each in found if each.expression), None)

    def _keep_making(self, made: Thing, exchange: Exchange) -> None:
        key, item = made.resource.key, made.resource.item
        making = Making(exchange, made.source.get(key, ""), made)
        # Below what it belongs to, a thing may be called as another is below something else.
        self.makings[item, str(made.params.get(key))] = self.makings[item, *written_in_order(made.params)] = making
        while len(self.makings) > _MAKINGS:
            del self.makings[next(iter(self.makings))]

    def _keep(self, name: str, value: Any) -> None:
        key = plain(name)
        if key and value is not None and not isinstance(value, bool):
            there = self.values.setdefault(key, deque(maxlen=_KEPT))
            if value not in there:
                there.append(value)

    def _learn_list(self, resource: Resource, params: Mapping[str, Any], body: Any) -> None:
        for each in rows_of(body)[:_WIDEST]:
            found = identified(resource, each)
            if found is not None:
                self.remember(Thing(resource, {**params, resource.key: found[1]}, each))

    def _made(self, resource: Resource, params: dict[str, Any], exchange: Exchange, body: Any) -> Thing | None:
        location = exchange.reply.header("location") or ""
        read = self._routes[resource.item].read(location) if location else None
        if read is not None:
            source = dict.fromkeys([resource.key], "$response.header.Location")
            return self.remember(Thing(resource, {**params, **read}, body, source))
        if resource.key in params:
            return self.remember(Thing(resource, params, body))
        found = identified(resource, body)
        if found is None or str(found[1]) in map(str, params.values()):
            # An answer that is what the thing belongs to lists the thing last.
            found = _last_listed(resource, body)
        if found is None:
            # Whoever answers nothing of it calls it as it was sent.
            called = identified(resource, exchange.case.body)
            return self.remember(Thing(resource, {**params, resource.key: called[1]}, body)) if called else None
        pointer, value = found
        return self.remember(
            Thing(resource, {**params, resource.key: value}, body, {resource.key: f"$response.body#{pointer}"})
        )


def written_in_order(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Path parameters as texts, in order of their names."""
    return tuple(str(params[name]) for name in sorted(params))


def leaves(value: Any, depth: int = 0, name: str = "") -> Iterator[tuple[str, Any]]:
    """Scalars of a JSON value with the name of the member that they are or are listed in."""
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        for key, each in list(value.items())[: _WIDEST * 2]:
            yield from leaves(each, depth + 1, key)
    elif isinstance(value, list):
        for each in value[:_WIDEST]:
            yield from leaves(each, depth + 1, name)
    elif name and not (isinstance(value, str) and len(value) > 200):
        yield name, value


def identified(resource: Resource, body: Any) -> tuple[str, Any] | None:
    """JSON pointer and value of the member that identifies a thing, in the body or one level down: by the name of the
    path parameter, by the kind's own name, then any that calls itself an identifier."""
    if not isinstance(body, dict):
        return None
    least, found = _NO_IDENTIFIER, None
    for place, of in [("", body), *((f"/{key}", each) for key, each in body.items() if isinstance(each, dict))]:
        for name, value in of.items():
            rank = _rank(name, resource.key, resource.name)
            if rank < least and isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                least, found = rank, (f"{place}/{name}", value)
    return found


@lru_cache(maxsize=4096)
def _rank(name: str, key: str, kind: str) -> int:
    """How far a member's name is from that of the identifier of a kind."""
    if plain(name) == plain(key):
        return 0
    if not is_identifier(name):
        return _NO_IDENTIFIER
    if subject_of(name) == kind:
        return 1
    if words(name) in (("id",), ("uuid",), ("guid",)):
        return 2
    return 3 if len(words(name)) == 1 else _NO_IDENTIFIER


def _last_listed(resource: Resource, body: Any) -> tuple[str, Any] | None:
    """JSON pointer and value of the last entry under the kind's name in the plural: tags in `{"tags": ["a", "b"]}`."""
    for name, value in body.items() if isinstance(body, dict) else ():
        if not isinstance(value, list) or not value or singular(plain(name)) != resource.name:
            continue
        if isinstance(value[-1], str | int) and not isinstance(value[-1], bool) and value[-1] != "":
            return f"/{name}/{len(value) - 1}", value[-1]
    return None


def rows_of(body: Any) -> list[Any]:
    """The rows of a list: the body itself, or its longest member that is a list."""
    if isinstance(body, list):
        return body
    lists = [each for each in body.values() if isinstance(each, list)] if isinstance(body, dict) else []
    return max(lists, key=len, default=[])


def path_params(case: Case) -> dict[str, Any]:
    """The path parameters of a case by name."""
    return {name: value for (location, name), value in case.parameters.items() if location == "path"}


def _agrees(of: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    return all(str(of.get(name)) == str(value) for name, value in params.items())


def read_json(body: bytes) -> Any:
    """A body as JSON, not to be changed, since it is read once for all who ask; None where it is empty or none."""
    try:
        return parsed(body) if body else None
    except (ValueError, RecursionError):
        return None
