"""What is worked out once is what it was, and nobody waits for ever for a turn."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from benches.fuzz_race.inside import inside_table
from gnomon.fuzz.checks.contract import carried
from gnomon.fuzz.checks.fingerprint import fingerprint
from gnomon.fuzz.pace import Pace
from gnomon.fuzz.values.strings import ANY


def test_all_get_their_turn_one_at_a_time() -> None:
    pace, under_way, most = Pace(1), 0, 0

    async def once() -> None:
        nonlocal under_way, most
        async with pace:
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    async def together() -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(once())

    asyncio.run(together())
    assert most == 1


def test_a_fingerprint_does_not_depend_on_what_was_asked_before() -> None:
    body = json.dumps({"detail": "no user ada"}).encode()
    assert fingerprint(body) != fingerprint(body, {"user ada"})
    assert fingerprint(body, {"user ada"}) == fingerprint(body, ["user ada", "no"])


@given(st.text(st.characters(), max_size=8))
def test_only_what_is_escaped_or_beyond_ascii_may_hold_half_a_pair(text: str) -> None:
    body = json.dumps({"a": text}).encode()
    value = json.loads(body)
    assert carried(value) == value or b"\\u" in body


@given(ANY)
def test_any_character_is_one_that_utf_8_carries(character: str) -> None:
    assert character.encode().decode() == character


def test_the_table_says_what_only_one_way_told_of() -> None:
    inside = {"way": "inside", "seed": 0, "connections": 1, "per_second": 300, "fuzzer_ms": 0.2, "server_ms": 0.0}
    socket = {**inside, "way": "socket", "per_second": 100, "fuzzer_ms": 0.4, "server_ms": 0.2}
    said = inside_table([{**inside, "alone_ms": 0.1, "told": ["a", "b"]}, {**socket, "alone_ms": None, "told": ["a"]}])
    assert "measured 3.00; by processor time 3.00 by turns, 2.00 at once" in said
    assert "told of one way only: ['b']" in said
