"""Files and jobs of the shop."""

from __future__ import annotations

import zlib
from typing import Any

from gnomon.data.worlds.shop.base import Answer, Call, Handler, Refused

__all__ = ["FILES", "JOBS"]


def _shown(file: dict[str, Any]) -> dict[str, Any]:
    return {key: file[key] for key in ("id", "name", "size")}


async def _list(call: Call) -> Answer:
    """What the last reading left in the cache, which is filled again once it is served."""
    state = call.state
    fresh = [_shown(file) for file in reversed(state.files.values()) if file["owner"] == call.caller]
    shown = state.files_listed.get(call.caller, [])
    state.files_listed[call.caller] = fresh
    if shown != fresh:
        call.log.decoy("stale-list")
    return Answer(body=shown[:100])


async def _create(call: Call) -> Answer:
    text = call.body.get("text", "").encode("utf-8", "replace")
    id = call.state.new_id()
    file = {"id": id, "name": call.body.get("name", "untitled"), "size": len(text)}
    call.state.files[id] = {**file, "owner": call.caller, "text": text, "scanned": False}
    call.state.file_owners[id] = call.caller
    return Answer(201, file, {"Location": f"/files/{id}"})


async def _read(call: Call) -> Answer:
    file = call.state.files.get(call.path["file_id"])
    if file is None:
        raise Refused(404, "Not found")
    if file["owner"] != call.caller:
        call.log.add("auth-read")
    return Answer(body=_shown(file))


async def _delete(call: Call) -> Answer:
    id = call.path["file_id"]
    if call.state.file_owners.get(id) != call.caller:
        raise Refused(404, "Not found")
    with call.log.crash("state-second-delete"):
        del call.state.files[id]
    return Answer(204)


async def _scan(call: Call) -> Answer:
    file = call.mine(call.state.files, call.path["file_id"])
    if file["scanned"]:
        return Answer(body={"clean": True})
    file["scanned"] = True
    call.log.decoy("retry-after")
    raise Refused(503, "The scanner is starting", {"Retry-After": "1"})


async def _content(call: Call) -> Answer:
    file = call.mine(call.state.files, call.path["file_id"])
    if "X-Part" not in call.headers:
        call.log.decoy("default-header")
    text = file["text"][:100] if call.headers.get("X-Part") == "head" else file["text"]
    return Answer(body=text, headers={"X-Checksum": f"{zlib.crc32(text):08x}"}, media="text/plain; charset=utf-8")


def _job(job: dict[str, Any]) -> dict[str, Any]:
    return {key: job[key] for key in ("id", "kind", "status")}


async def _list_jobs(call: Call) -> Answer:
    jobs = [job for job in reversed(call.state.jobs.values()) if job["owner"] == call.caller][:100]
    if any(job["deleted"] for job in jobs):
        call.log.add("semantics-ghost")
    return Answer(body=[_job(job) for job in jobs])


async def _create_job(call: Call) -> Answer:
    body = call.body
    if "retries" in body and "deadline" in body:
        with call.log.crash("input-two-options"):
            body["deadline"] -= body["retries"]
    id = call.state.new_id()
    job = {"id": id, "kind": body["kind"], "status": "queued", "owner": call.caller, "deleted": False}
    call.state.jobs[id] = job
    return Answer(202, _job(job), {"Location": f"/jobs/{id}"})


async def _read_job(call: Call) -> Answer:
    """The job; a first reading comes before it has begun, and finds nothing."""
    try:
        job = call.mine(call.state.jobs, call.path["job_id"])
    except Refused:
        call.log.decoy("unknown-id")
        raise
    if job["deleted"]:
        raise Refused(404, "Not found")
    if job["status"] == "queued":
        job["status"] = "running"
        call.log.decoy("late")
        raise Refused(404, "Not found")
    return Answer(body=_job(job))


async def _delete_job(call: Call) -> Answer:
    job = call.mine(call.state.jobs, call.path["job_id"])
    if job["deleted"]:
        raise Refused(404, "Not found")
    job["deleted"] = True
    return Answer(204)


FILES: dict[str, Handler] = {
    "list_files": _list,
    "create_file": _create,
    "read_file": _read,
    "delete_file": _delete,
    "scan_file": _scan,
    "read_content": _content,
}
JOBS: dict[str, Handler] = {
    "list_jobs": _list_jobs,
    "create_job": _create_job,
    "read_job": _read_job,
    "delete_job": _delete_job,
}
"What answers, by the name of the operation."
