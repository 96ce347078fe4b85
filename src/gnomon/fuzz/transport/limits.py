"""How much of an answer is read, whatever the way it came."""

__all__ = ["MAX_BODY", "MAX_STREAM"]

MAX_BODY = 256 * 1024
"Bytes of a body that are read."
MAX_STREAM = 2.0
"Seconds that a body which never ends is read for."
