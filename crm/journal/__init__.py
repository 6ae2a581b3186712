"""What is kept outside the database, so that a restored one is known as such and catches up.

Owns `journal_mark` and `journal_debt`. The journal holds, for each business, the last signed head
of its ledger and numbered entries: every erasure, withdrawal, restriction and suppression, and what
campaigns began to do. Identifiers and keyed hashes only.
"""

from __future__ import annotations

from crm.journal.journal import CHECKPOINT, KEPT, Journal, journal_of
from crm.journal.keeper import JournalAway, Keeper, PutBack, hold, mark, move
from crm.journal.line import (
    CalledOff,
    Campaign,
    Decision,
    Ending,
    Entry,
    Erased,
    Forgotten,
    Left,
    Lifted,
    Merged,
    Planned,
    Readmitted,
    Replayed,
    Restricted,
    Revoked,
    Suppressed,
    Withdrawn,
    Written,
    loosens,
)
from crm.journal.log import Behind, JournalLost, Log, Tail, fits
from crm.journal.noticing import Found, Watch, watched_by
from crm.journal.store import Directory, Store

__all__ = [
    "CHECKPOINT",
    "KEPT",
    "Behind",
    "CalledOff",
    "Campaign",
    "Decision",
    "Directory",
    "Ending",
    "Entry",
    "Erased",
    "Forgotten",
    "Found",
    "Journal",
    "JournalAway",
    "JournalLost",
    "Keeper",
    "Left",
    "Lifted",
    "Log",
    "Merged",
    "Planned",
    "PutBack",
    "Readmitted",
    "Replayed",
    "Restricted",
    "Revoked",
    "Store",
    "Suppressed",
    "Tail",
    "Watch",
    "Withdrawn",
    "Written",
    "fits",
    "hold",
    "journal_of",
    "loosens",
    "mark",
    "move",
    "watched_by",
]
