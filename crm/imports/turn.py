"""One pass over a list: who leaves comes first, then who is proven, then the rest."""

from collections.abc import Callable

from crm.imports.model import Bad, Row, opts_out

Wanted = Callable[[Row], bool]


class Turn:
    """One pass, which takes the rows that it wants among those that the passes before left to it.

    `marks` has one byte for each row of the list, in which pass it is taken, so that a row is built
    once, however many passes there are. What is wrong with a row is told in the first.
    """

    def __init__(
        self, number: int = 0, marks: bytearray | None = None, wants: Wanted | None = None
    ) -> None:
        """Take every row that is left, unless it `wants` some."""
        self._number = number
        self._marks = bytearray() if marks is None else marks
        self._wants = wants
        # Then a look at a few cells tells which rows need not be built.
        self.leaving = wants is opts_out

    def skips(self, at: int) -> bool:
        """Whether the row at this place has its turn in another pass; asked of each, in order."""
        if self._number:
            return self._marks[at] != self._number
        self._marks.append(0)
        return False

    def puts_off(self, at: int) -> None:
        """Leave a row to the next pass."""
        self._marks[at] = self._number + 1

    def takes(self, at: int, row: Row | Bad) -> bool:
        """Whether the row is taken in this pass; if not, it is put off."""
        if self._wants is None or isinstance(row, Bad) or self._wants(row):
            return True
        self.puts_off(at)
        return False
