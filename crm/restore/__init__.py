"""A database that was put back to an earlier state is told what it has lost, from the journal.

Owns no table. `crm/journal` notices such a database; this replays erasures, ended consents,
restrictions and suppressions, and holds what was being sent.
"""

from __future__ import annotations

from crm.restore.actions import (
    DatabaseLacks,
    JournalTooShort,
    Lost,
    Restored,
    Stopped,
    lost,
    put_back,
    restore,
)
from crm.restore.settling import settle

__all__ = [
    "DatabaseLacks",
    "JournalTooShort",
    "Lost",
    "Restored",
    "Stopped",
    "lost",
    "put_back",
    "restore",
    "settle",
]
