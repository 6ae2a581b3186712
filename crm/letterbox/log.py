"""What the letterbox keeps: a log of every message accepted and the messages, both on disk."""

import os
from array import array
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct

LOG = "letterbox.jsonl"
SPOOL = "letterbox.mail"


class Entry(Struct, frozen=True):
    """One message accepted for one recipient; `bytes` is its size in the spool."""

    instant: datetime
    sequence: int
    message_id: str
    recipient: str
    bytes: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Log:
    """Append-only and read by sequence; in memory only offsets and a hash per recipient."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / LOG
        self._log = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._spool = os.open(directory / SPOOL, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._reset(first=1)
        self._load()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last(self) -> int:
        """The sequence of the newest message; it never runs backwards, 0 before the first."""
        return self._first + len(self._lines) - 2

    @property
    def count(self) -> int:
        """How many messages are kept."""
        return len(self._lines) - 1

    @staticmethod
    def read(path: Path) -> Iterator[Entry]:
        """Every entry of a log in order; a last line that is still being written is left out."""
        with path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield _decode(line)

    def append(self, message: bytes, message_id: str, recipients: list[str]) -> None:
        """Keep one message; when this returns, the kernel has it and its log line."""
        lines = []
        for recipient in recipients:
            entry = Entry(datetime.now(UTC), self.last + 1, message_id, recipient, len(message))
            line = _encode(entry) + b"\n"
            self._note(entry, len(line))
            lines.append(line)
        _write(self._spool, [message] * len(recipients))
        _write(self._log, lines)

    def entry(self, sequence: int) -> Entry | None:
        """One entry."""
        at = sequence - self._first
        if not 0 <= at < self.count:
            return None
        begin, end = self._lines[at], self._lines[at + 1]
        return _decode(os.pread(self._log, end - begin, begin))

    def message(self, sequence: int) -> bytes:
        """The message as it came, dots unstuffed; empty if it is not kept."""
        at = sequence - self._first
        if not 0 <= at < self.count:
            return b""
        begin, end = self._bodies[at], self._bodies[at + 1]
        return os.pread(self._spool, end - begin, begin)

    def opening(self, sequence: int, size: int = 8192) -> bytes:
        """The first bytes of a message: enough for its headers."""
        at = sequence - self._first
        if not 0 <= at < self.count:
            return b""
        begin, end = self._bodies[at], self._bodies[at + 1]
        return os.pread(self._spool, min(size, end - begin), begin)

    def after(self, sequence: int, limit: int, to: str = "") -> list[Entry]:
        """The oldest entries after `sequence`, for one recipient if named."""
        found = self._sequences(to) if to else range(self._first, self.last + 1)
        begin = _first_above(found, sequence)
        return self._entries(found[begin : begin + limit], to)

    def before(self, sequence: int, limit: int, to: str = "") -> list[Entry]:
        """The newest entries before `sequence`, newest first, for one recipient if named."""
        found = self._sequences(to) if to else range(self._first, self.last + 1)
        end = _first_above(found, sequence - 1)
        return self._entries(found[max(0, end - limit) : end][::-1], to)

    def containing(self, part: str, before: int, limit: int) -> list[Entry]:
        """The newest entries before `before` whose recipient contains this; reads back the log."""
        found: list[Entry] = []
        for sequence in range(min(before - 1, self.last), self._first - 1, -1):
            entry = self.entry(sequence)
            if entry is not None and part.casefold() in entry.recipient.casefold():
                found.append(entry)
                if len(found) == limit:
                    break
        return found

    def clear(self) -> None:
        """Forget every message and its line; sequences go on counting."""
        following = self.last + 1
        os.ftruncate(self._log, 0)
        os.ftruncate(self._spool, 0)
        self._reset(first=following)

    def close(self) -> None:
        """Close both files."""
        os.close(self._log)
        os.close(self._spool)

    def _reset(self, first: int) -> None:
        self._first = first
        self._lines = array("Q", [0])
        self._bodies = array("Q", [0])
        # Per recipient: one sequence, or several. A hash, so that 100,000 addresses stay small.
        self._by_recipient: dict[int, int | array[int]] = {}

    def _load(self) -> None:
        """Index what an earlier run has left; cut off what it did not finish writing."""
        at = 0
        with self.path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                entry = _decode(line)
                if at == 0:
                    self._first = entry.sequence
                self._note(entry, len(line))
                at += len(line)
        os.ftruncate(self._log, at)
        os.ftruncate(self._spool, self._bodies[-1])

    def _note(self, entry: Entry, line_length: int) -> None:
        self._lines.append(self._lines[-1] + line_length)
        self._bodies.append(self._bodies[-1] + entry.bytes)
        key = hash(entry.recipient.casefold())
        known = self._by_recipient.get(key)
        if known is None:
            self._by_recipient[key] = entry.sequence
        elif isinstance(known, int):
            self._by_recipient[key] = array("Q", [known, entry.sequence])
        else:
            known.append(entry.sequence)

    def _sequences(self, to: str) -> "array[int]":
        known = self._by_recipient.get(hash(to.casefold()), array("Q"))
        return array("Q", [known]) if isinstance(known, int) else known

    def _entries(self, sequences: "range | array[int]", to: str) -> list[Entry]:
        entries = (self.entry(sequence) for sequence in sequences)
        return [
            entry
            for entry in entries
            if entry is not None and (not to or entry.recipient.casefold() == to.casefold())
        ]


def _first_above(sequences: "range | array[int]", sequence: int) -> int:
    """The position of the first one greater than `sequence`."""
    low, high = 0, len(sequences)
    while low < high:
        middle = (low + high) // 2
        if sequences[middle] > sequence:
            high = middle
        else:
            low = middle + 1
    return low


def _write(file: int, parts: list[bytes]) -> None:
    data = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
    while data:
        data = data[os.write(file, data) :]
