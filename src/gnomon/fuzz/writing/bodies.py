"""How a body is written: JSON, forms, multipart, text, XML in its plainest form, bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from gnomon.fuzz.base import Media
from gnomon.fuzz.writing.styles import as_text, percent

__all__ = ["body_bytes"]

# Fixed, so that a case is always the same bytes.
_BOUNDARY = "gnomon-2f6c1b09d7a34e58"


def body_bytes(value: Any, media_type: str, media: Media | None) -> tuple[bytes, str]:
    """The body and its content type, which for multipart names the boundary.

    Bytes are sent as they stand. A value that a media type has no form for, such as a number as a form, is written as
    text: what a negative case means to send.
    """
    if isinstance(value, bytes):
        return value, media_type
    base = media_type.partition(";")[0].strip().lower()
    if base == "application/x-www-form-urlencoded":
        return _form(value).encode(), media_type
    if base.startswith("multipart/"):
        return _multipart(value, media), f"{base}; boundary={_BOUNDARY}"
    if base in ("application/xml", "text/xml") or base.endswith("+xml"):
        return _raw(f'<?xml version="1.0"?>{_xml("root", value)}'), media_type
    if base.startswith("text/") or base == "application/octet-stream":
        return _raw(as_text(value)), media_type
    return json.dumps(value, separators=(",", ":")).encode(), media_type


def _form(value: Any) -> str:
    if not isinstance(value, Mapping):
        return percent(as_text(value))
    pairs = [(key, each) for key, of in value.items() for each in (of if _is_array(of) else [of])]
    return "&".join(f"{percent(key)}={percent(as_text(each))}" for key, each in pairs)


def _multipart(value: Any, media: Media | None) -> bytes:
    if not isinstance(value, Mapping):
        return _raw(as_text(value))
    parts = b"".join(_part(key, each, media) for key, of in value.items() for each in (of if _is_array(of) else [of]))
    return parts + f"--{_BOUNDARY}--\r\n".encode()


def _part(name: str, value: Any, media: Media | None) -> bytes:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "%0D").replace("\n", "%0A")
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{quoted}"'
    said = (media.encoding.get(name, {}) if media else {}).get("contentType", "")
    if _is_file(name, media):
        head += '; filename="file"'
        said = said or "application/octet-stream"
    kind = f"\r\nContent-Type: {said.partition(',')[0].strip()}" if said else ""
    content = value if isinstance(value, bytes) else _raw(as_text(value))
    return _raw(f"{head}{kind}\r\n\r\n") + content + b"\r\n"


def _is_file(name: str, media: Media | None) -> bool:
    schema = media.schema if media and isinstance(media.schema, Mapping) else {}
    field = schema.get("properties", {}).get(name, {})
    field = field.get("items", field) if isinstance(field, Mapping) else {}
    return isinstance(field, Mapping) and field.get("format") == "binary"


def _xml(name: str, value: Any) -> str:
    tag = "".join(c if c.isalnum() and c.isascii() else "_" for c in name) or "_"
    tag = tag if not tag[0].isdigit() else f"_{tag}"
    if isinstance(value, Mapping):
        return f"<{tag}>{''.join(_xml(key, each) for key, each in value.items())}</{tag}>"
    if _is_array(value):
        return f"<{tag}>{''.join(_xml('item', each) for each in value)}</{tag}>"
    return f"<{tag}>{escape(as_text(value))}</{tag}>"


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _is_array(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
