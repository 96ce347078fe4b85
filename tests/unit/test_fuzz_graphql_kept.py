"""A GraphQL API that forgets what it made, one that keeps what it changes, and one that reads what it removed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, graphql_sync

import gnomon
from gnomon.fuzz.config import Fuzzing
from gnomon.fuzz.outputs.pytest_file import pytest_file
from gnomon.fuzz.replaying import play
from gnomon.fuzz.searching import fuzz
from gnomon.fuzz.state.stories import Story
from gnomon.fuzz.targets import mounted

SDL = """
type Query { note(id: ID!): Note  notes: [Note!]! }
type Mutation {
  createNote(text: String!): Note!  deleteNote(id: ID!): Boolean!
  updateNote(id: ID!, change: Change!): Note  addText(id: ID!, text: String!): Note
}
input Change { text: String  archived: Boolean }
type Note { id: ID!  text: String!  archived: Boolean! }
"""

MUTATIONS = ("createNote", "updateNote", "addText", "deleteNote")


class Notes:
    """Answers GraphQL; `forgets` what it makes, keeps `stale` texts, `keeps` what it removes, or says that that is
    `archived`. What `addText` means is its own affair."""

    def __init__(self, *faults: str) -> None:
        self.faults, self.notes = faults, dict[str, dict[str, Any]]()
        self._schema, self._numbers = build_schema(SDL), itertools.count(1)

    def note(self, info: Any, id: str) -> Any:
        return self.notes.get(id)

    def notes_(self, info: Any) -> Any:
        return list(self.notes.values())

    def createNote(self, info: Any, text: str) -> Any:
        made = {"id": f"note-{next(self._numbers)}", "text": text, "archived": False}
        if "forgets" not in self.faults:
            self.notes[made["id"]] = made
        return made

    def deleteNote(self, info: Any, id: str) -> Any:
        if id in self.notes and "archives" in self.faults:
            self.notes[id]["archived"] = True
        elif "keeps" not in self.faults:
            return self.notes.pop(id, None) is not None
        return id in self.notes

    def updateNote(self, info: Any, id: str, change: dict[str, Any]) -> Any:
        if id in self.notes:
            said = {name: value for name, value in change.items() if value is not None}
            kept = {"text": self.notes[id]["text"]} if "stale" in self.faults else {}
            self.notes[id] |= {**said, **kept}
            return {**self.notes[id], **said}
        return None

    def addText(self, info: Any, id: str, text: str) -> Any:
        return self.notes.get(id)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            asked = json.loads((await receive()).get("body", b""))
            root = {name: getattr(self, name) for name in ("note", *MUTATIONS)}
            found = graphql_sync(
                self._schema, asked["query"], {**root, "notes": self.notes_}, None, asked.get("variables")
            )
            status, answer = 200, found.formatted
        except (ValueError, KeyError, TypeError, AttributeError):
            status, answer = 400, {"errors": [{"message": "no question"}]}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Story, "pauses", (0.0,))


SETTINGS: dict[str, Any] = {"max_requests": 250, "connections": 1, "max_time": 60}


@pytest.mark.parametrize(
    ("faults", "checks"),
    [
        ([], set()),
        (["archives"], set()),
        (["forgets"], {"created_not_found"}),
        (["stale"], {"update_not_visible"}),
        (["keeps"], {"use_after_delete"}),
    ],
    ids=str,
)
def test_what_is_made_is_found_and_what_is_removed_is_not(faults: list[str], checks: set[str]) -> None:
    found = gnomon.fuzz(Notes(*faults), SDL, **SETTINGS)
    assert {each.violation.check for each in found.certain} == checks
    assert all(each.reproduced == (3, 3) for each in found.certain)
    for each in found.certain:
        assert [step.case.operation.path for step in each.violation.steps][:1] == ["createNote"]
        assert each.violation.steps[-1].case.operation.path == "note" and "data', 'note'" in pytest_file(found)


@pytest.mark.parametrize("fault", ["forgets", "stale", "keeps"])
def test_it_is_played_again(fault: str, tmp_path: Path) -> None:
    config = Fuzzing(**SETTINGS)
    fuzz(mounted(Notes(fault), SDL, config), config, root=tmp_path)
    (file,) = tmp_path.rglob("replay.json")
    assert [each.verdict for each in play(file, mounted(Notes(fault), SDL, config), config, {})] == ["still failing"]
    assert [each.verdict for each in play(file, mounted(Notes(), SDL, config), config, {})] == ["fixed"]
