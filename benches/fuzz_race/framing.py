"""Where one HTTP/1 message ends and the next begins, in a stream that is only looked at."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Message", "Splitter", "Unreadable"]

MOST_KEPT = 2**18


class Unreadable(Exception):
    """The stream is no HTTP/1 that can be followed; what goes on in it is not recorded."""


@dataclass(slots=True)
class Message:
    """A request or an answer: the words of its first line, headers by lower-case name, at most 256 KiB of its body."""

    start: list[str]
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)

    def keep(self, part: bytes | bytearray) -> None:
        """Adds to the body what may still be kept."""
        self.body += part[: MOST_KEPT - len(self.body)]

    @property
    def status(self) -> int:
        """Of an answer."""
        try:
            return int(self.start[1])
        except (IndexError, ValueError):
            raise Unreadable(str(self.start)) from None


class Splitter:
    """Takes bytes as they come and gives the messages that end in them.

    Args:
        answers: whether the stream has answers; their length depends on the method that was asked, which
            `expect` says in the order of the requests.
    """

    def __init__(self, *, answers: bool) -> None:
        self._answers, self._asked = answers, list[str]()
        self._unexpected = 0
        self._buffer = bytearray()
        self._message: Message | None = None
        self._left = 0
        self._mode = ""

    def expect(self, method: str) -> None:
        """Says which method the next answer that is not yet expected belongs to, be it that the answer is here."""
        if self._unexpected:
            self._unexpected -= 1
        else:
            self._asked.append(method)

    def feed(self, data: bytes) -> list[Message]:
        """Messages that end here; `Unreadable` where the stream cannot be followed."""
        self._buffer += data
        ended = []
        while self._message is not None or self._open():
            assert self._message is not None
            if not self._take(self._message):
                break
            message, self._message = self._message, None
            if not self._answers or message.status >= 200:
                ended.append(message)
        return ended

    def ended(self) -> list[Message]:
        """The message that the end of the stream ends, if there is one."""
        if self._message is None:
            return []
        message, self._message = self._message, None
        return [message]

    def _open(self) -> bool:
        """Reads the head of the next message, if it is all there."""
        while self._buffer[:2] == b"\r\n":
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MOST_KEPT:
                raise Unreadable("no head")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        pairs = (line.partition(":") for line in lines[1:])
        self._message = Message(lines[0].split(" ", 2), {n.strip().lower(): v.strip() for n, _, v in pairs})
        self._measure(self._message)
        return True

    def _measure(self, message: Message) -> None:
        if len(message.start) < 2:
            raise Unreadable(str(message.start))
        length = message.headers.get("content-length", "")
        self._left, self._mode = 0, "length"
        if self._answers and self._bodiless(message):
            return
        if "chunked" in message.headers.get("transfer-encoding", "").lower():
            self._mode = "chunked"
        elif length:
            if not length.isdigit():
                raise Unreadable(length)
            self._left = int(length)
        elif self._answers:
            self._mode = "close"

    def _bodiless(self, message: Message) -> bool:
        if message.status < 200:
            return True
        if not self._asked:
            self._unexpected += 1
        method = self._asked.pop(0) if self._asked else "GET"
        return method == "HEAD" or message.status in (204, 304)

    def _take(self, message: Message) -> bool:
        """Moves what there is of the body; whether the message ends with it."""
        if self._mode == "chunked":
            return self._take_chunks(message)
        if self._mode == "close":
            message.keep(self._buffer)
            self._buffer.clear()
            return False
        part = self._buffer[: self._left]
        message.keep(part)
        del self._buffer[: self._left]
        self._left -= len(part)
        return self._left == 0

    def _take_chunks(self, message: Message) -> bool:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            try:
                size = int(self._buffer[:end].partition(b";")[0], 16)
            except ValueError:
                raise Unreadable("chunk") from None
            if size == 0:
                # Trailers end with an empty line, which may be this one's.
                if self._buffer[end : end + 4] == b"\r\n\r\n":
                    del self._buffer[: end + 4]
                    return True
                stop = self._buffer.find(b"\r\n\r\n", end)
                if stop < 0:
                    return False
                del self._buffer[: stop + 4]
                return True
            if len(self._buffer) < end + 2 + size + 2:
                return False
            message.keep(self._buffer[end + 2 : end + 2 + size])
            del self._buffer[: end + 2 + size + 2]
        return False
