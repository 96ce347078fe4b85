"""Notes on FastAPI, whose document is the one that FastAPI makes; what is not planted keeps its word."""

import itertools
from typing import Any

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

__all__ = ["PLANTED", "app_of"]

PLANTED = {
    ("server_error", "GET /ratio"),
    ("server_error", "POST /notes"),
    ("response_body", "GET /notes/{note_id}"),
    ("undocumented_status", "GET /notes"),
    ("undocumented_status", "POST /notes"),  # FastAPI's own: 400 where a body is no UTF-8
    ("use_after_delete", "GET /notes/{note_id}"),
}
"Checks and operations of the planted defects."


class NewNote(BaseModel):
    text: str = Field(max_length=40)
    tags: list[str] = Field(default=["plain"], max_length=3)


class Note(BaseModel):
    id: int
    text: str
    first: str


def app_of() -> FastAPI:
    """A new application."""
    app, notes, numbers = FastAPI(title="Notes"), {}, itertools.count(1)
    deleted: set[int] = set()
    absent: dict[int | str, dict[str, Any]] = {404: {"description": "no such note"}}

    @app.get("/ratio")
    def ratio(of: int = Query(ge=-1000, le=1000), to: int = Query(ge=-1000, le=1000)) -> dict[str, float]:
        return {"ratio": of / to}  # planted: to=0

    @app.post("/notes", status_code=201)
    def make(note: NewNote) -> Note:
        number = next(numbers)
        notes[number] = Note(id=number, text=note.text, first=note.tags[0])  # planted: no tags
        return notes[number]

    @app.get("/notes")
    def listed(limit: int = Query(default=10, ge=1, le=100)) -> list[Note]:
        if limit == 100:
            raise HTTPException(418)  # planted: not documented
        return [note for number, note in notes.items() if number not in deleted][:limit]

    @app.get("/notes/{note_id}", response_model=Note, responses=absent)
    def one(note_id: int, brief: bool = False) -> Any:
        if note_id not in notes:  # planted: what was deleted is still there
            raise HTTPException(404)
        found = notes[note_id].model_dump()
        return JSONResponse({**found, "first": 1}) if brief else found  # planted: a number for a text

    @app.delete("/notes/{note_id}", status_code=204, responses=absent)
    def remove(note_id: int) -> None:
        if note_id not in notes or note_id in deleted:
            raise HTTPException(404)
        deleted.add(note_id)

    return app
