"""Bytes that are no HTTP: what is sent, what is said of the answer, and a server that does not outlive them."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import gnomon
from gnomon.cli import main
from gnomon.core.errors import UsageError
from gnomon.fuzz.base import Request
from gnomon.fuzz.outage import outage
from gnomon.fuzz.outputs.curl import sent_as_bytes
from gnomon.fuzz.transport.malformed import MALFORMED, MUST_BE_REFUSED, malformed
from gnomon.fuzz.transport.raw import sent_raw
from tests.unit._fuzz_raw import raw_server

GOOD = {"method": "POST", "target": "/a", "headers": (("authorization", "Bearer x"),), "body": b'{"a":1}'}


def test_each_is_another_request_with_the_credentials_of_the_good_one() -> None:
    sent = {wrong: malformed(Request(malformed=wrong, **GOOD), "h:1") for wrong in MALFORMED}
    assert len(set(sent.values())) == len(MALFORMED) and MALFORMED.keys() >= MUST_BE_REFUSED
    whole = [
        data for wrong, data in sent.items() if wrong not in ("bytes that are no request", "headers that end early")
    ]
    assert all(b"authorization: Bearer x\r\n" in data for data in whole)
    assert b"host:" not in sent["no host"] and sent["two hosts"].count(b"host: h:1\r\n") == 2


def search(url: str, **settings: Any) -> Any:
    """What a search with raw bytes finds."""
    settings = {"max_requests": 90, "connections": 4, "checks": ("malformed_request",), **settings}
    return gnomon.fuzz(url, f"{url}/openapi.json", raw=True, **settings)


def test_a_strict_server_is_left_in_peace() -> None:
    with raw_server(careless=False) as url:
        assert search(url).certain == []


def test_a_careless_server_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(outage.__kwdefaults__, "patience", 0.05)
    with raw_server(careless=True) as url:
        found = search(url, connections=1, max_requests=400)
    wrong = {each.violation.key[1]: each for each in found.certain if each.violation.check == "malformed_request"}
    assert {"NUL in a header", "no host", "two hosts", "two lengths"} <= wrong.keys()
    assert wrong["NUL in a header"].violation.key[2] == "500" and wrong["no host"].violation.key[2] == "taken"
    (down,) = [each for each in found.certain if each.violation.check == "service_down"]
    assert "/a" in down.violation.detail
    lines = found.curl(wrong["NUL in a header"])
    assert lines.startswith("printf -- ") and "\\000" in lines and "| nc -w 5 127.0.0.1 " in lines


def test_lines_for_bash_send_the_very_bytes() -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    with raw_server(careless=False) as url:
        request = Request(malformed="NUL in a header", **GOOD)
        # The client apart, which may not be installed.
        printf = sent_as_bytes(request, url).rpartition(" | ")[0]
        said = subprocess.run(["bash", "-c", printf], capture_output=True, check=True).stdout
        assert said == malformed(request, url.removeprefix("http://"))


def test_it_is_played_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--raw", "--checks", "malformed_request", "--max-requests", "40", "--out", str(tmp_path)]
    with raw_server(careless=True) as url:
        code = main(["fuzz", f"{url}/openapi.json", "--max-time", "3", *flags])
    (file,) = tmp_path.rglob("replay.json")
    assert code == 1 and {each["check"] for each in json.loads(file.read_text())["defects"]} >= {"malformed_request"}
    with raw_server(careless=False) as url:
        assert main(["fuzz", f"{url}/openapi.json", "--replay", str(file)]) == 0
    assert "fixed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("said", "status", "fault"),
    [
        (b"HTTP/1.1 400 Bad\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok", 400, ""),
        (b"HTTP/1.0 400\r\n\r\nto the end", 400, ""),
        (b"SSH-2.0-x\r\n", 0, "malformed"),
        (b"", 0, "dropped"),
    ],
)
def test_what_comes_back_is_read(said: bytes, status: int, fault: str) -> None:
    async def exchange() -> Any:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(said)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reply = await sent_raw(f"http://127.0.0.1:{port}", b"x", timeout=1.0)
        server.close()
        return reply, await sent_raw(f"http://127.0.0.1:{port}", b"x", timeout=1.0)

    reply, after = asyncio.run(exchange())
    assert (reply.status, reply.fault, after.fault) == (status, fault, "refused")


def test_an_application_has_no_bytes() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    document = {"openapi": "3.1.0", "paths": {"/a": {"get": {"responses": {}}}}}
    with pytest.raises(UsageError, match="an application has no bytes"):
        gnomon.fuzz(app, document, raw=True)
