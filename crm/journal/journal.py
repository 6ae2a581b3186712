"""The journal of an installation: for each business the last signed head, and numbered entries."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from crm.journal.log import Log
from crm.journal.store import Directory, Store
from crm.settings import Settings

# Under this name the last signed head of a ledger is kept.
CHECKPOINT = "checkpoint"
# Longer than anybody should keep a backup; `CRM_JOURNAL_DAYS` says otherwise.
KEPT = timedelta(days=400)


def journal_of(settings: Settings) -> Journal:
    """Use the journal that the settings name."""
    return Journal(Path(settings.journal), timedelta(days=settings.journal_days))


class Journal:
    """The files of all businesses in one store; an OSError says what is wrong with it."""

    def __init__(self, place: Path | Store, keep: timedelta = KEPT) -> None:
        """Use this directory, or a store of another kind; it is made when first written to."""
        self.store: Store = Directory(place) if isinstance(place, Path) else place
        self._keep = keep
        self._logs: dict[UUID, Log] = {}

    def read(self, business_id: UUID, name: str) -> str:
        """Return what was kept last under a name, or nothing."""
        return self.store.read(str(business_id), name).decode()

    def keep(self, business_id: UUID, name: str, choose: Callable[[str], str]) -> str:
        """Keep what `choose` makes of what was kept before; of two at once the second sees both."""
        folder = str(business_id)
        with self.store.locked(folder):
            before = self.read(business_id, name)
            chosen = choose(before)
            if chosen != before:
                self.store.replace(folder, name, chosen.encode())
            return chosen

    def businesses(self) -> list[UUID]:
        """List the businesses that it knows."""
        found = []
        for name in self.store.names(""):
            with suppress(ValueError):
                found.append(UUID(name))
        return found

    def log(self, business_id: UUID) -> Log:
        """Return the numbered entries of a business."""
        if business_id not in self._logs:
            self._logs[business_id] = Log(self.store, str(business_id), self._keep)
        return self._logs[business_id]

    def check(self) -> None:
        """Raise OSError unless the store can be written to."""
        with self.store.locked(""):
            return
