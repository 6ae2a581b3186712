"""Files that show a decision taken elsewhere: kept encrypted, and given back as they came.

Whatever somebody uploads is bytes to us: nothing reads, converts or shows it. It is handed out as
a download that no browser renders.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.characters import composed
from crm.db import Db, ReadDb, Statements
from crm.errors import Conflict, Invalid, NotFound, Problem
from crm.events import Actor, ActorKind
from crm.ids import opaque
from crm.keys import KeyWrong

sql = Statements("consent")

# A photograph of a form, or a scan of a few pages.
MAX_FILE = 10_000_000
_LONGEST_NAME = 255


class BadFile(Invalid):
    """A file of evidence has between one byte and 10 MB, and a name."""

    def __init__(self) -> None:
        """Point at the field."""
        super().__init__()
        self.problems = (Problem("file", self.message),)


class UnknownFile(NotFound):
    """There is no such file of evidence here."""


class FileUnreadable(Conflict):
    """This file cannot be read now: the key that it is kept under is missing. Nothing is lost."""


class EvidenceFile(Struct, frozen=True, kw_only=True):
    """What is known of a file without opening it."""

    id: UUID
    customer_id: UUID
    name: str
    size: int
    sha256: bytes
    added_by: UUID | None
    added_at: datetime


class _Content(Struct, frozen=True):
    customer_id: UUID
    name: str
    content: bytes


async def add_file(db: Db, by: Actor, customer_id: UUID, name: str, content: bytes) -> EvidenceFile:
    """Keep a file about one customer's decision; BadFile refuses an empty or too large one."""
    plain = _plain(name)
    if not plain or not 0 < len(content) <= MAX_FILE:
        raise BadFile
    file_id = opaque()
    return await db.one(
        sql.add_file,
        EvidenceFile,
        file_id=file_id,
        customer_id=customer_id,
        name=plain,
        size=len(content),
        sha256=hashlib.sha256(content).digest(),
        content=db.keys.encrypt(db.business_id, _label(file_id), content),
        added_by=by.id if by.kind is ActorKind.member else None,
    )


async def files(db: ReadDb, customer_id: UUID) -> list[EvidenceFile]:
    """Return what files there are about one customer, the oldest first."""
    return await db.many(sql.files_of_customer, EvidenceFile, customer_id=customer_id)


async def file_content(db: ReadDb, customer_id: UUID, file_id: UUID) -> tuple[str, bytes]:
    """Return the name and the very bytes of a file, or refuse: UnknownFile, FileUnreadable."""
    found = await db.maybe(sql.file_content, _Content, file_id=file_id)
    if found is None or found.customer_id != customer_id:
        raise UnknownFile
    try:
        return found.name, db.keys.decrypt(db.business_id, _label(file_id), found.content)
    except KeyWrong:
        raise FileUnreadable from None


def _plain(name: str) -> str:
    """The last part of a name without what no file system or header could take."""
    last = composed(name).replace("\\", "/").rpartition("/")[2]
    kept = "".join(char for char in last if char.isprintable() and char not in '"<>:|?*')
    return kept.strip(" .")[:_LONGEST_NAME]


def _label(file_id: UUID) -> str:
    return f"evidence file {file_id}"
