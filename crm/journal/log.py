"""The numbered entries of one business: appended, read, and cut off at their old end.

Files of lines, each named by the first number in it. A line that is torn is one whose writer was
killed or whose disk was full; the next writer begins a new line behind it, with the same number.
A number that is missing was there once: the file was damaged.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise, zip_longest
from threading import Lock

from msgspec import Struct
from msgspec.structs import replace

from crm.journal.line import (
    Begins,
    Committed,
    Ending,
    Entry,
    Line,
    Replayed,
    Settled,
    Written,
    loosens,
    read_line,
    written_down,
)
from crm.journal.store import Store

_NAME = "entries-"
# Ends a line whose writer did not: also one of which only the end was missing is none.
_TORN = b"~\n"
# A file is begun when the one before is so large, or a twelfth of the time that entries are kept.
_LARGE = 8_000_000
_PARTS = 12
# So much of a line, or all of it, was never to be, in no database.
_NEVER = (Ending.refused, Ending.passed_over)


class JournalLost(Exception):
    """The journal knows less than the database has written: it vanished, or an older one is there.

    `knows` is its last number, `wrote` that of the database.
    """

    def __init__(self, knows: int, wrote: int) -> None:
        """Say how far each is."""
        super().__init__(f"the journal ends with {knows}, the database wrote {wrote}")
        self.knows = knows
        self.wrote = wrote


class Behind(Exception):
    """The database lacks what the journal knows to have been committed: it was put back."""


class Tail(Struct):
    """How far a journal is.

    `last` is the newest number, `committed` the newest that is known to have been committed,
    `open` what may or may not have been, and `left` which of it a restore has not carried out.
    """

    name: str = ""
    offset: int = 0
    began_at: datetime | None = None
    last: int = 0
    committed: int = 0
    open: dict[int, Written] = {}
    left: set[int] = set()

    def take(self, line: Line) -> None:
        """Go on by one line; OSError where numbers are missing before it."""
        if isinstance(line, Begins):
            self.last, self.committed, self.began_at = line.n - 1, line.committed, line.at
        elif isinstance(line, Written):
            if line.n != self.last + 1:
                message = f"numbers {self.last + 1} to {line.n - 1} are missing"
                raise OSError(errno.EIO, message)
            self.last = line.n
            self.open[line.n] = line
            self.left.discard(line.n)
            self._knows(line.after)
            for each in line.entries:
                if isinstance(each, Replayed):
                    done = range(each.since + 1, each.upto + 1)
                    self.open = {n: one for n, one in self.open.items() if n not in done}
                    self.open |= {one.n: one for one in each.left}
                    self.left = self.left.difference(done).union(one.n for one in each.left)
        elif isinstance(line, Committed):
            self._knows(line.n)
        else:
            for n in line.numbers:
                self._settled(n, line.ending)

    def _settled(self, number: int, ending: Ending) -> None:
        """Close a line, but for what a sweep never does though it may have been committed."""
        line = self.open.pop(number, None)
        if line is None or number not in self.left or ending != Ending.carried_out:
            return
        if rest := [each for each in line.entries if loosens(each)]:
            self.open[number] = replace(line, entries=rest, owed=0)

    def _knows(self, committed: int | None) -> None:
        if committed is not None:
            self.committed = max(self.committed, committed)
            self.open.pop(committed, None)


class Log:
    """The entries of one business. All of it blocks: call it in a thread."""

    def __init__(self, store: Store, folder: str, keep: timedelta) -> None:
        """Read nothing yet; entries older than `keep` go when a new file is begun."""
        self._store = store
        self._folder = folder
        self._keep = keep
        self._known = Tail()
        self._reading = Lock()

    def tail(self) -> Tail:
        """Look how far it is; cheap where nothing was written since. OSError where it is away."""
        with self._reading:
            for name in reversed(self._names()):
                tail = self._read(name)
                # A file whose first line is torn was never begun.
                if tail.began_at is not None:
                    self._known = tail
                    return tail
            self._known = Tail()
            return self._known

    def write(
        self, after: int | None, at: datetime, entries: Sequence[Entry], *, owed: int = 0
    ) -> int:
        """Append one transaction's entries, on disk when this returns their number.

        With `after`, raises JournalLost or Behind where journal and database do not fit.
        """
        with self._store.locked(self._folder):
            tail = self.tail()
            if after is not None:
                fits(tail, after)
            line = Written(tail.last + 1, after, at, list(entries), owed)
            name, head = self._file(tail, at)
            self._append(name, head + written_down(line), synced=True)
            return line.n

    def committed(self, number: int) -> None:
        """Say that a number was committed; not synced."""
        with self._store.locked(self._folder):
            self._append(self.tail().name, written_down(Committed(number)), synced=False)

    def settle(self, numbers: Sequence[int], ending: Ending) -> None:
        """Say what came of numbers that were never committed, so that they are open no more."""
        with self._store.locked(self._folder):
            line = Settled(list(numbers), ending)
            self._append(self.tail().name, written_down(line), synced=True)

    def refuse(self, numbers: Sequence[int]) -> None:
        """Say of numbers that PostgreSQL refused to commit them; what came of them since stands."""
        with self._store.locked(self._folder):
            tail = self.tail()
            if still := [n for n in numbers if n in tail.open]:
                line = Settled(still, Ending.refused)
                self._append(tail.name, written_down(line), synced=True)

    def begin(self, number: int, at: datetime) -> None:
        """Begin anew behind a number, where what was before is lost or damaged."""
        with self._store.locked(self._folder):
            head = written_down(Begins(number + 1, number, at))
            self._append(_named(number + 1), head, synced=True)

    def age(self, at: datetime) -> int:
        """Begin a file where the last is old, and delete what has been kept for long enough.

        Returns how many files went.
        """
        with self._store.locked(self._folder):
            before, tail = self._names(), self.tail()
            name, head = self._file(tail, at)
            if tail.name and head:
                self._append(name, head, synced=True)
            self._drop_old(at)
            return len(set(before) - set(self._names()))

    def since(self, number: int, *, despite_gap: bool = False) -> Iterator[Written]:
        """Walk what was written after a number.

        OSError where it does not reach back that far or lines are missing, unless `despite_gap`.
        """
        before = Tail()
        for name in self._behind(number):
            for line in self._lines(name):
                if isinstance(line, Begins) and not despite_gap:
                    _follows(line, max(before.last, number))
                if isinstance(line, Written) and despite_gap:
                    before.last = line.n - 1
                before.take(line)
                if isinstance(line, Written) and line.n > number:
                    yield line

    def settled(self, number: int) -> dict[int, Ending]:
        """Return what came of the numbers after one that were never committed, as far as told.

        A restore leaves such a line without what was never to be: what comes of the rest says
        nothing of that.
        """
        endings: dict[int, Ending] = {}
        shortened: set[int] = set()
        for line in (line for name in self._behind(number) for line in self._lines(name)):
            if isinstance(line, Settled):
                endings |= {n: line.ending for n in line.numbers if n not in shortened}
            elif isinstance(line, Written):
                # Where a damaged file was begun anew, a number is given twice.
                endings.pop(line.n, None)
                shortened.discard(line.n)
                shortened |= {n for n in _left(line) if endings.get(n) in _NEVER}
        return endings

    def _behind(self, number: int) -> Iterator[str]:
        """Name the files in which anything after a number can stand."""
        names = self._names()
        starts = [int(name.removeprefix(_NAME)) for name in names]
        for name, following in zip_longest(names, starts[1:]):
            if following is None or following > number + 1:
                yield name

    def _lines(self, name: str) -> Iterator[Line]:
        for text in self._store.read(self._folder, name).split(b"\n"):
            line = read_line(text)
            if line is not None:
                yield line

    def _names(self) -> list[str]:
        return [each for each in self._store.names(self._folder) if each.startswith(_NAME)]

    def _read(self, name: str) -> Tail:
        """Go on from what is known of a file; from its beginning where that does not fit."""
        known = self._known
        if name == known.name and self._store.size(self._folder, name) >= known.offset:
            with suppress(OSError):
                self._read_on(known)
                return known
        anew = Tail(name=name)
        self._read_on(anew)
        return anew

    def _read_on(self, tail: Tail) -> None:
        """Take in whole lines behind what is known; one without its end may still grow."""
        data = self._store.read(self._folder, tail.name, tail.offset)
        whole, ended, _ = data.rpartition(b"\n")
        if not ended:
            return
        for text in whole.split(b"\n"):
            line = read_line(text)
            if line is not None:
                tail.take(line)
        tail.offset += len(whole) + 1

    def _file(self, tail: Tail, at: datetime) -> tuple[str, bytes]:
        """Choose the file of the next number, and how it begins where it is new."""
        began, name = tail.began_at, _named(tail.last + 1)
        full = tail.offset > _LARGE or (began is not None and at - began > self._keep / _PARTS)
        # One without a line yet goes on, however old.
        if tail.name and (tail.open or not full or tail.name == name):
            return tail.name, b""
        self._drop_old(at)
        return name, written_down(Begins(tail.last + 1, tail.committed, at))

    def _drop_old(self, at: datetime) -> None:
        """Delete files all of whose entries are too old: those before one that began long ago."""
        names = self._names()
        for name, following in pairwise(names):
            first = next(self._lines(following), None)
            if not isinstance(first, Begins) or first.at > at - self._keep:
                return
            self._store.remove(self._folder, name)

    def _append(self, name: str, data: bytes, *, synced: bool) -> None:
        size = self._store.size(self._folder, name)
        torn = size and self._store.read(self._folder, name, size - 1) != b"\n"
        self._store.append(self._folder, name, _TORN * bool(torn) + data, synced=synced)


def _follows(begins: Begins, number: int) -> None:
    """Refuse with OSError where lines between a number and a file are gone: too old, or lost."""
    if begins.n > number + 1:
        message = f"it reaches back to {begins.n} only, and {number + 1} is wanted"
        raise OSError(errno.ENODATA, message)


def fits(tail: Tail, committed: int) -> None:
    """Compare a journal with the number that a database committed last.

    Raises Behind for a database that was put back, and JournalLost for a journal that was.
    """
    if tail.committed > committed:
        raise Behind
    if tail.last < committed:
        raise JournalLost(tail.last, committed)


def _left(line: Written) -> set[int]:
    return {one.n for each in line.entries if isinstance(each, Replayed) for one in each.left}


def _named(number: int) -> str:
    return f"{_NAME}{number:012}"
