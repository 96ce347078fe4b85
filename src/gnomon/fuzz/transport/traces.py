"""Exceptions of a server as data: of an application in this process, or read out of a body that shows its traceback."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path

from gnomon.fuzz.base import Trace

__all__ = ["trace_in_text", "trace_of"]

_LIBRARY = {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")}
_FRAME = re.compile(r'File "([^"\n]+)", line \d+, in ([^\n<&]+|&lt;[^\n]+|<[^\n>]+>)')
_RAISED = re.compile(
    r"^([A-Za-z_][\w.]*(?:Error|Exception|Exit|Warning|Interrupt|Fault|NotFound|Timeout))(?::|\s*$)", re.M
)


def trace_of(error: BaseException) -> Trace:
    """An exception that an application let out: frames outside the standard library and outside ourselves."""
    stack = traceback.extract_tb(error.__traceback__)
    frames = [(frame.filename, frame.name) for frame in stack if not _is_library(frame.filename)]
    text = "".join(traceback.format_exception(error))
    return Trace(type=type(error).__qualname__, frames=_folded(frames), text=text[-8000:])


def trace_in_text(text: str) -> Trace | None:
    """The last Python traceback in a text, plain or escaped as HTML; None where there is none."""
    text = (
        text.replace("&#34;", '"').replace("&quot;", '"').replace("&#39;", "'").replace("\\n", "\n").replace('\\"', '"')
    )
    at = text.rfind("Traceback (most recent call last)")
    if at < 0:
        return None
    text = text[at:]
    frames = [(file, name.strip()) for file, name in _FRAME.findall(text)]
    raised = _RAISED.findall(text)
    if not frames and not raised:
        return None
    frames = [frame for frame in frames if not _is_library(frame[0])]
    return Trace(type=raised[0].rpartition(".")[2] if raised else "", frames=_folded(frames), text=text[:8000])


def _is_library(file: str) -> bool:
    if "site-packages" in file or "dist-packages" in file:
        return False
    return any(file.startswith(place) for place in _LIBRARY) or file.startswith("<frozen") or _OURS in file


_OURS = str(Path(__file__).resolve().parent)


def _folded(frames: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Recursion folded: a frame that follows itself counts once."""
    return tuple(frame for i, frame in enumerate(frames) if not i or frame != frames[i - 1])
