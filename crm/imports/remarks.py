"""What the report says about lines of a list, gathered and written with few statements."""

from __future__ import annotations

from uuid import UUID

from crm.db import Db, Statements
from crm.imports.model import Row, Spot, Told, placed, spot

sql = Statements("imports")

_LONGEST_REASON = 500


# Where a list begins: here, too, stands what is said of the list as a whole.
_FIRST_LINE = 1


class Report:
    """Lines for the report of one import, gathered and written with one statement at a time."""

    def __init__(self) -> None:
        # A dict for its order, and because one line may have very many.
        self._said: dict[Spot, dict[tuple[Told, str], None]] = {}
        # How much is written of a first line already: it may be spoken of in several writes, as a
        # row and as the beginning of its list.
        self._written: dict[Spot, int] = {}

    def say(self, where: Spot, outcome: Told, reason: str) -> None:
        """Add a sentence about a line; the same one twice is said once."""
        self._said.setdefault(where, {})[outcome, reason] = None

    def note(self, row: Row) -> None:
        """Add what was noticed while a row was read."""
        for sentence in row.notes:
            self.say(spot(row), Told.noted, sentence)

    async def write(self, db: Db, import_id: UUID) -> None:
        """Write what was said since the last time; nothing where there is nothing to say."""
        written = self._written
        rows = [
            (*placed(where), number, outcome.value, reason[:_LONGEST_REASON])
            for where, said in self._said.items()
            for number, (outcome, reason) in enumerate(said, written.get(where, 0))
        ]
        if not rows:
            return
        for where, said in self._said.items():
            if placed(where)[1] == _FIRST_LINE:
                written[where] = written.get(where, 0) + len(said)
        self._said = {}
        parts, lines, numbers, outcomes, reasons = (
            list(column) for column in zip(*rows, strict=True)
        )
        await db.run(
            sql.add_rows,
            import_id=import_id,
            parts=parts,
            lines=lines,
            numbers=numbers,
            outcomes=outcomes,
            reasons=reasons,
        )
