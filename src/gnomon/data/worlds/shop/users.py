"""Users of the shop: customers, seen by the caller who made them."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from typing import Any

from gnomon.data.worlds.shop.base import Answer, Call, Handler, Refused

__all__ = ["USERS"]

_SHOWN = ("id", "name", "email", "phone", "avatar")


def _shown(user: dict[str, Any]) -> dict[str, Any]:
    return {key: user[key] for key in _SHOWN}


async def _list(call: Call) -> Answer:
    limit, offset = int(call.query.get("limit", 20)), int(call.query.get("offset", 0))
    mine = [user for user in reversed(call.state.users.values()) if user["owner"] == call.caller]
    page = [_shown(user) for user in islice(mine, offset, offset + limit)]
    if not page:
        call.log.add("contract-missing-header")
        return Answer(body=page)
    return Answer(body=page, headers={"X-Total-Count": str(len(mine))})


async def _create(call: Call) -> Answer:
    body, state = call.body, call.state
    _free(call, body["email"])
    with call.log.crash("input-surrogate"):
        avatar = hashlib.sha256(body["name"].encode("utf-8")).hexdigest()[:12]
    id = state.new_id()
    user = {"id": id, "name": body["name"], "email": body["email"], "phone": body.get("phone"), "avatar": avatar}
    state.users[id] = {**user, "owner": call.caller, "addresses": {}, "labels": [], "said": {}}
    state.emails.add(body["email"])
    return Answer(201, user, {"Location": f"/users/{id}"})


def _free(call: Call, email: str) -> None:
    if email in call.state.emails:
        call.log.decoy("conflict")
        raise Refused(409, "This address is taken")


async def _read(call: Call) -> Answer:
    user = call.mine(call.state.users, call.path["user_id"])
    if user["said"].get("phone", user["phone"]) != user["phone"]:
        call.log.add("semantics-lost-update")
    return Answer(body=_shown(user))


async def _change(call: Call) -> Answer:
    user = call.mine(call.state.users, call.path["user_id"])
    changes = call.body
    if "email" in changes and changes["email"] != user["email"]:
        _free(call, changes["email"])
        call.state.emails.discard(user["email"])
        call.state.emails.add(changes["email"])
    user.update({key: changes[key] for key in ("name", "email") if key in changes})
    user["said"].update({key: changes[key] for key in ("phone",) if key in changes})
    return Answer(body={**_shown(user), **user["said"]})


async def _delete(call: Call) -> Answer:
    user = call.mine(call.state.users, call.path["user_id"])
    del call.state.users[user["id"]]
    call.state.emails.discard(user["email"])
    return Answer(204)


async def _put_settings(call: Call) -> Answer:
    user = call.mine(call.state.users, call.path["user_id"])
    pairs: list[tuple[str, Any]] = json.loads(call.raw, object_pairs_hook=list)
    waiting = dict(pairs)
    with call.log.crash("input-duplicate-key"):
        user["settings"] = {name: waiting.pop(name) for name, _ in pairs}
    return Answer(body=user["settings"])


async def _put_address(call: Call) -> Answer:
    user = call.mine(call.state.users, call.path["user_id"])
    label = call.path["label"]
    if not call.body["city"].isascii():
        raise call.refuse("body", "city", "no such city", "reject-letters")
    kept = {key: call.body[key] for key in ("street", "city")}
    if label not in user["labels"]:
        user["labels"].append(label)
        user["addresses"][label] = kept
        return Answer(body=kept)
    with call.log.crash("state-label-again"):
        user["addresses"][label].update(kept)
    return Answer(body=kept)


def _address(call: Call) -> tuple[dict[str, Any], str]:
    user = call.mine(call.state.users, call.path["user_id"])
    if call.path["label"] not in user["addresses"]:
        raise Refused(404, "Not found")
    return user["addresses"], call.path["label"]


async def _read_address(call: Call) -> Answer:
    addresses, label = _address(call)
    return Answer(body=addresses[label])


async def _delete_address(call: Call) -> Answer:
    addresses, label = _address(call)
    del addresses[label]
    return Answer(204)


USERS: dict[str, Handler] = {
    "list_users": _list,
    "create_user": _create,
    "read_user": _read,
    "change_user": _change,
    "delete_user": _delete,
    "put_settings": _put_settings,
    "put_address": _put_address,
    "read_address": _read_address,
    "delete_address": _delete_address,
}
"What answers, by the name of the operation."
