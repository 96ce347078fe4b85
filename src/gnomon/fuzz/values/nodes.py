"""What a schema is built from: leaves, objects, arrays and choices, which make values from a source of choices.

One procedure makes all values. Where its choices come from is the source's matter: a plain generator over pools
(`pools`), recorded indices, or Hypothesis. Index 0 is the simplest choice everywhere, so lowering indices simplifies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from gnomon.fuzz.pointers import escaped as token
from gnomon.fuzz.values.schemas import Validator

__all__ = ["DEPTH", "SIZE", "Choice", "Drawn", "Lazy", "Leaf", "Node", "Source", "escaped", "settle", "strategy_of"]

DEPTH = 3
"References followed along one path before only what is required is built."

SIZE = 400
"Nodes of one value before only what is required is built."


class Source(Protocol):
    """Where choices come from; `left` counts down the nodes that a value may still have."""

    left: int
    swarm: bool
    "Whether an object first draws how many of its optional members are there (Groce et al. 2012)."

    def index(self, n: int) -> int:
        """One of 0 … n-1, 0 the simplest."""
        ...

    def leaf(self, leaf: Leaf, at: str) -> Any:
        """A value of a leaf that stands at the JSON pointer `at`, array indices written `*`."""
        ...


class Node(Protocol):
    """A part of a schema that values are built for."""

    height: float
    "References that its least value needs; infinite where it has none."

    def build(self, source: Source, at: str, depth: int) -> Any:
        """A value; `depth` counts the references followed."""
        ...

    def children(self) -> Sequence[tuple[str, Node]]:
        """What it is built from, each with its step of a JSON pointer ("" for the same place)."""
        ...


class Leaf:
    """Values that are drawn whole.

    Attributes:
        strategy: draws them.
        edges: values at its borders, each with the keyword; some are beyond it.
        accepts: judges a value.
        seed: names it among all leaves, the same in every process.
        whole: whether its edges are all that it has, so that nothing need be drawn.
    """

    def __init__(
        self,
        strategy: SearchStrategy[Any],
        accepts: Callable[[Any], bool],
        seed: int,
        edges: Sequence[tuple[Any, str]] = (),
        whole: bool = False,
    ) -> None:
        self.strategy, self.accepts, self.seed, self.edges, self.whole = strategy, accepts, seed, edges, whole
        self.height = 0.0

    def build(self, source: Source, at: str, depth: int) -> Any:
        """A value from the source."""
        return source.leaf(self, at)

    def children(self) -> Sequence[tuple[str, Node]]:
        """Nothing."""
        return ()


class Choice:
    """One of several; where references have been followed far, the one that ends soonest."""

    def __init__(self, branches: Sequence[Node]) -> None:
        self.branches = list(branches)
        self.height = 0.0

    def build(self, source: Source, at: str, depth: int) -> Any:
        """A value of a branch."""
        if depth >= DEPTH or source.left <= 0:
            branch = min(self.branches, key=lambda node: node.height)
        else:
            branch = self.branches[source.index(len(self.branches))]
        return branch.build(source, at, depth)

    def children(self) -> Sequence[tuple[str, Node]]:
        """The branches, at the same place."""
        return [("", branch) for branch in self.branches]


class Lazy:
    """What a reference means, looked up when it is first built, which is what makes recursion finite."""

    def __init__(self, find: Callable[[], Node]) -> None:
        self._find = find
        self._found: Node | None = None
        self.height = 0.0

    @property
    def target(self) -> Node:
        """What it means."""
        if self._found is None:
            self._found = self._find()
        return self._found

    def build(self, source: Source, at: str, depth: int) -> Any:
        """A value of the target, one reference deeper."""
        return self.target.build(source, at, depth + 1)

    def children(self) -> Sequence[tuple[str, Node]]:
        """The target, at the same place."""
        return (("", self.target),)


class Drawn:
    """Choices that Hypothesis makes, and shrinks."""

    swarm = True

    def __init__(self, draw: DrawFn) -> None:
        self._draw = draw
        self.left = SIZE

    def index(self, n: int) -> int:
        """One of 0 … n-1."""
        return 0 if n == 1 else self._draw(_below(n))

    def leaf(self, leaf: Leaf, at: str) -> Any:
        """A fresh value of the leaf."""
        return self._draw(leaf.strategy)


def strategy_of(node: Node, judge: Validator | None) -> SearchStrategy[Any]:
    """Values of the node; `judge` filters them where the node alone does not guarantee validity."""
    if isinstance(node, Leaf):
        return node.strategy if judge is None else node.strategy.filter(judge.is_valid)
    drawn: SearchStrategy[Any] = _built(node)
    return drawn if judge is None else drawn.filter(judge.is_valid)


def escaped(name: str) -> str:
    """A step of a JSON pointer.

    >>> escaped("a/b")
    '/a~1b'
    """
    return f"/{token(name)}"


def settle(root: Node) -> None:
    """Works out the height of every node below `root`, the least fixed point, and drops branches without a value."""
    reached: dict[int, Node] = {}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) not in reached:
            reached[id(node)] = node
            waiting += [child for _, child in node.children()]
    nodes = [node for node in reached.values() if not isinstance(node, Leaf)]
    for node in nodes:
        node.height = float("inf")
    changed = True
    while changed:
        changed = False
        for node in nodes:
            found = HEIGHTS[type(node)](node)
            if found < node.height:
                node.height, changed = found, True
    for node in nodes:
        if isinstance(node, Choice) and node.height < float("inf"):
            node.branches = [branch for branch in node.branches if branch.height < float("inf")]


HEIGHTS: dict[type, Callable[[Any], float]] = {
    Choice: lambda node: min((branch.height for branch in node.branches), default=float("inf")),
    Lazy: lambda node: node.target.height + 1,
}
"How far each kind of node is from a least value; `objects` adds its own."


@st.composite
def _built(draw: DrawFn, node: Node) -> Any:
    return node.build(Drawn(draw), "", 0)


@lru_cache(maxsize=512)
def _below(n: int) -> SearchStrategy[int]:
    return st.integers(0, n - 1)
