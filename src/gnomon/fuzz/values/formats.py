"""Strings by `format`: how each is drawn, what is almost one, and who judges those that the validator does not know."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["FORMATS", "Format", "checks", "register_format"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A kind of string.

    Attributes:
        strategy: draws strings of the format.
        edges: strings of it that servers stumble over.
        misses: strings that are almost of it.
        check: whether a string is one; None where the validator knows or nothing is asserted.
    """

    strategy: SearchStrategy[str]
    edges: Sequence[str] = ()
    misses: Sequence[str] = ()
    check: Callable[[str], bool] | None = None


def register_format(name: str, spec: Format) -> None:
    """Makes `name` known, or another thing than it was; schemas that were compiled before keep what they had."""
    FORMATS[name] = spec


def checks() -> dict[str, Callable[[str], bool]]:
    """The formats that are judged here, as the validator takes them."""
    return {name: spec.check for name, spec in FORMATS.items() if spec.check is not None}


LOWER, DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
LABEL = st.text(LOWER + DIGITS, min_size=1, max_size=12)
HOST = st.lists(LABEL, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example"]))
SEGMENT = st.text(LOWER + DIGITS + "-._~", max_size=8)
PATH = st.lists(SEGMENT, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
QUERY = st.one_of(st.just(""), st.tuples(LABEL, SEGMENT).map(lambda pair: f"?{pair[0]}={pair[1]}"))
URI = st.builds(lambda s, h, p, q: f"{s}://{h}{p}{q}", st.sampled_from(["https", "http", "ftp"]), HOST, PATH, QUERY)
REFERENCE = st.one_of(URI, st.builds("/{}{}{}".format, LABEL, PATH, QUERY))
LOCAL = st.text(LOWER + DIGITS, min_size=1, max_size=12)
EMAIL = st.builds("{}@{}".format, LOCAL, HOST)
ZONE = st.one_of(
    st.just("Z"),
    st.builds("{}{:02}:{:02}".format, st.sampled_from("+-"), st.integers(0, 14), st.sampled_from([0, 30])),
)
FRACTION = st.one_of(st.just(""), st.integers(0, 999).map(".{:03}".format))
# Years of one to three digits are written with leading zeros, which `isoformat` does.
DATE = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31)).map(dt.date.isoformat)
CLOCK = st.builds("{:02}:{:02}:{:02}{}".format, st.integers(0, 23), st.integers(0, 59), st.integers(0, 59), FRACTION)
TIME = st.builds("{}{}".format, CLOCK, ZONE)
DURATION = st.builds(
    # Units are not skipped: the grammar has no hours and seconds without minutes between them.
    lambda days, hours, minutes: f"P{days}D" + (f"T{hours}H{minutes}M" if hours or minutes else ""),
    *[st.integers(0, 400)] * 3,
)
POINTER = st.lists(st.text(LOWER + DIGITS + " é", max_size=6), max_size=4).map(lambda p: "".join(f"/{s}" for s in p))
REGEX = st.sampled_from(["", "a", "^a+$", "[0-9]{2,3}", "(a|b)*", ".*", r"\d+", "^$", "[^x]", "a?b"])


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


FORMATS: dict[str, Format] = {
    "date": Format(
        strategy=DATE,
        edges=("0000-01-01", "0001-01-01", "1970-01-01", "2000-02-29", "9999-12-31"),
        misses=("2023-02-29", "2024-13-01", "2024-00-10", "2024-1-1", "20240101", "2024-01-01T00:00:00Z", "1/2/2024"),
    ),
    "date-time": Format(
        strategy=st.builds("{}T{}".format, DATE, TIME),
        edges=(
            "1970-01-01T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "2038-01-19T03:14:08Z",
            "9999-12-31T23:59:59.999999999Z",
            "2016-12-31T23:59:60Z",
            "2024-02-29T12:00:00+14:00",
            "2000-01-01t00:00:00z",
        ),
        misses=("2024-01-01", "2024-01-01T00:00:00", "2024-01-01T24:00:01Z", "2023-02-29T00:00:00Z", "1700000000"),
    ),
    "time": Format(
        strategy=TIME, edges=("00:00:00Z", "23:59:59.999999Z"), misses=("12:00", "24:00:00Z", "12:60:00Z", "noon")
    ),
    "duration": Format(
        strategy=DURATION, edges=("P0D", "P4W", "PT0S", "P9999999999Y"), misses=("P", "1D", "P1H", "PT", "P-1D")
    ),
    "uuid": Format(
        strategy=st.uuids().map(str),
        edges=(
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "DEADBEEF-0000-4000-8000-000000000000",
        ),
        misses=(
            "00000000-0000-0000-0000-00000000000",
            "00000000000000000000000000000000",
            "{00000000-0000-0000-0000-000000000000}",
            "g0000000-0000-0000-0000-000000000000",
        ),
    ),
    "email": Format(
        strategy=EMAIL,
        edges=("a@b.co", "first.last+tag@example.com", "o'neil@example.com", '"a b"@example.com'),
        misses=("a", "a@", "@b.co", "a@b@c.co", "a b@c.co", ".a@b.co"),
    ),
    "hostname": Format(
        strategy=HOST, edges=("a", "xn--bcher-kva.example"), misses=("-a.example", "a_b", "a b", "é.example", "a..b")
    ),
    "ipv4": Format(
        strategy=st.ip_addresses(v=4).map(str),
        edges=("0.0.0.0", "127.0.0.1", "255.255.255.255"),
        misses=("256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "::1"),
    ),
    "ipv6": Format(
        strategy=st.ip_addresses(v=6).map(str),
        edges=("::", "::1", "::ffff:127.0.0.1"),
        misses=("1::2::3", ":1", "g::", "127.0.0.1", "[::1]"),
    ),
    "uri": Format(
        strategy=URI,
        edges=("http://a", "urn:isbn:0", "http://127.0.0.1/", "file:///etc/passwd", "http://a:99999/"),
        misses=("/relative", "a", "http://a b", "://a", "http://[::1"),
    ),
    "uri-reference": Format(
        strategy=REFERENCE, edges=("", "#", "//a", "?q"), misses=("a b", "http://[::1", "\\a", "%")
    ),
    "uri-template": Format(
        strategy=st.builds("{}/{{{}}}".format, URI, LABEL), edges=("{a}", "/{+a}"), misses=("{a", "a}", "{}")
    ),
    "json-pointer": Format(strategy=POINTER, edges=("", "/", "/~0~1"), misses=("a", "/~", "/~2", "#/a")),
    "relative-json-pointer": Format(
        strategy=st.builds("{}{}".format, st.integers(0, 9), POINTER), edges=("0", "0#"), misses=("", "-1", "/a", "01")
    ),
    "regex": Format(strategy=REGEX, edges=("", "(a+)+$"), misses=("[", "(", "*", "a{2,1}", "(?P<a")),
    "byte": Format(
        strategy=st.binary(max_size=24).map(lambda raw: base64.b64encode(raw).decode()),
        edges=("", "AA==", "////"),
        misses=("A", "A===", "a b=", "é", "AA=A"),
        check=_is_base64,
    ),
    "binary": Format(strategy=st.text(LOWER + DIGITS, max_size=24)),
    "password": Format(strategy=st.text(LOWER + DIGITS + "!#$%&*+-.:;=?@", min_size=8, max_size=24)),
}
FORMATS["idn-email"] = FORMATS["email"]
FORMATS["idn-hostname"] = Format(strategy=HOST, edges=("a", "bücher.example"), misses=("-a.example", "a b", "a..b"))
FORMATS["iri"] = Format(strategy=URI, edges=("http://é.example/é",), misses=FORMATS["uri"].misses)
FORMATS["iri-reference"] = Format(strategy=REFERENCE, edges=("", "/é"), misses=("a b", "http://[::1", "\\a"))
FORMATS["base64"] = FORMATS["byte"]
