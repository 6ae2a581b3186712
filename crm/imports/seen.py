"""Which addresses of a list have come by, in a few octets each."""

from __future__ import annotations

from array import array

from crm.imports.model import Spot

# In so many parts, by the first octet: none may take long when it grows, as mails are sent
# meanwhile. Sixteen octets for each place; a part doubles when two thirds of it are taken.
_PARTS = 256
_SMALLEST = 16
_MARK = (1 << 64) - 1
_LINES = 32  # bits of the number of a line; what is above is the number of its list


class Seen:
    """Which addresses of a list have come by, so that a repetition is reported.

    It is the only part of an import that grows: by 24 to 48 octets an address. Each is known by its
    hash, of 64 bits and with a key that each process draws anew: among a million, one passes for
    another once in forty million lists.
    """

    def __init__(self) -> None:
        """Remember nobody."""
        self._parts = [_Part() for _ in range(_PARTS)]
        # The lists of an archive in the order in which they come by; a single one has no name.
        self._lists = {"": 0}

    def earlier(self, folded: str, spot: Spot) -> Spot | None:
        """Where this address stood first, or None and it is remembered."""
        here = spot if isinstance(spot, int) else self._numbered(*spot)
        mark = hash(folded) & _MARK or 1  # nought is a free place
        part = self._parts[mark >> 56]
        marks = part.marks
        last = len(marks) - 1
        at = mark & last
        while marks[at] != mark:
            if not marks[at]:
                part.put(at, mark, here)
                return None
            at = at + 1 & last
        first = part.spots[at]
        return None if first == here else self._spot(first)

    def _numbered(self, name: str, line: int) -> int:
        return self._lists.setdefault(name, len(self._lists)) << _LINES | line

    def _spot(self, number: int) -> Spot:
        name, line = list(self._lists)[number >> _LINES], number & (1 << _LINES) - 1
        return (name, line) if name else line


class _Part:
    """A hash table by open addressing; what belongs to a mark stands at its place in `spots`."""

    def __init__(self) -> None:
        self.marks = array("Q", bytes(8 * _SMALLEST))
        self.spots = array("Q", bytes(8 * _SMALLEST))
        self._taken = 0

    def put(self, at: int, mark: int, spot: int) -> None:
        """Keep this at a free place where the search for the mark has ended."""
        self.marks[at], self.spots[at] = mark, spot
        self._taken += 1
        if self._taken * 3 > len(self.marks) * 2:
            self._grow()

    def _grow(self) -> None:
        kept = zip(self.marks, self.spots, strict=True)
        places = 2 * len(self.marks)
        self.marks = marks = array("Q", bytes(8 * places))
        self.spots = array("Q", bytes(8 * places))
        for mark, spot in kept:
            if mark:
                at = mark & places - 1
                while marks[at]:
                    at = at + 1 & places - 1
                marks[at], self.spots[at] = mark, spot
