"""What is done with imports: received, watched, reported; the work itself is in `working`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import BinaryIO
from uuid import UUID

import msgspec
from msgspec import Struct

from crm import businesses, consent, events
from crm.consent import Notice, Purpose
from crm.db import Db, ReadDb, Statements
from crm.events import Actor, Kind
from crm.ids import time_ordered
from crm.imports import mappings
from crm.imports.lists import Lists
from crm.imports.lists import opened as open_lists
from crm.imports.mapping import FOUND_OUT, Given, Reading
from crm.imports.model import (
    QUIET,
    Import,
    NotDone,
    NotTried,
    PurposeOutOfUse,
    Reason,
    ReportGone,
    RowReport,
    SameFile,
    State,
    Undoing,
    UnknownImport,
)
from crm.imports.table import SIZE_LIMIT
from crm.pieces import Piece

sql = Statements("imports")

# So long a list waits for a worker, at most: what is in it is out of every other reach.
WAITS = timedelta(days=7)
# How long staff may look up what was said of a row.
REMARKS_KEPT = timedelta(days=180)

_WAITED = (
    "It waited for seven days and nothing worked on it. Nothing of it was kept; start it again."
)
_ONLY_TRIED = "It was only tried, seven days ago. Its list was deleted; start it again."
_FIRST_PAGE = UUID(int=2**128 - 1)
_LONGEST_NAME = 255
_REASONS = 50
# So many lines of a report are in memory at once.
_PIECE = 1000
# What a file is called that has no name, or not any more.
_NAMELESS = "list.csv"


class Place(Struct, frozen=True):
    """A line of a report to go on after."""

    part: str
    line: int
    number: int


class KeptFile(Struct, frozen=True):
    """A list as it waits; `sealed` but where it came before lists were."""

    content: bytes
    sealed: bool


async def receive(
    db: Db,
    by: Actor,
    purpose_id: UUID,
    file_name: str,
    content: bytes,
    *,
    only_try: bool = False,
    reading: Reading | None = None,
) -> Import:
    """Take a file in for a worker; refused at once if it cannot be read or nobody may be asked.

    To `only_try` nothing of it is kept but the report of what would have come of it. The file is
    kept, encrypted, until it has been worked through, and for WAITS at most. Without a `reading` a
    saved mapping counts, and all else is found out.
    """
    purpose = await consent.purpose(db, purpose_id)
    notice = await asked_by(db, purpose)
    read_by = reading or await mappings.reading(db)
    lists = await opened(content, now=db.now, purpose=purpose.slug, reading=read_by)
    begun = await db.maybe(
        sql.same_file,
        datetime,
        purpose_id=purpose_id,
        file_sha256=bytes.fromhex(lists.sha256),
        quiet_since=db.now - QUIET,
    )
    if begun is not None:
        raise SameFile
    received = await add(
        db, by, notice, lists.given, file_name=file_name, state=State.waiting, only_try=only_try
    )
    sealed = await asyncio.to_thread(db.keys.encrypt, db.business_id, _label(received.id), content)
    await db.run(sql.keep_file, import_id=received.id, content=sealed, lines=content.count(b"\n"))
    db.wake("imports.work", str(db.business_id), str(received.id))
    return received


async def asked_by(db: ReadDb, purpose: Purpose) -> Notice:
    """Return the text whose accepted evidence decides; NoNotice or PurposeOutOfUse without one."""
    if purpose.retired_at is not None:
        raise PurposeOutOfUse
    business = await businesses.get(db)
    return await consent.current_notice(db, purpose.id, business.locale)


async def opened(
    source: bytes | BinaryIO,
    *,
    now: datetime,
    purpose: str,
    reading: Reading = FOUND_OUT,
    size_limit: int = SIZE_LIMIT,
) -> Lists:
    """Open a list, or a ZIP of them, beside the event loop; Unreadable if it is none.

    It is read through once for that. `purpose` is the short name of what it is for.
    """
    return await asyncio.to_thread(
        open_lists, source, now=now, purpose=purpose, reading=reading, size_limit=size_limit
    )


async def add(
    db: Db,
    by: Actor,
    notice: Notice,
    given: Given,
    *,
    file_name: str,
    state: State,
    only_try: bool = False,
) -> Import:
    """Write down that an import was received or begun."""
    import_id = time_ordered()
    await db.run(
        sql.add_import,
        import_id=import_id,
        purpose_id=notice.purpose_id,
        notice_id=notice.id,
        file_name=_plain(file_name),
        file_sha256=bytes.fromhex(given.sha256),
        format=given.tool,
        encoding=given.encoding,
        separator=given.separator,
        mapping=given.mapping,
        reading=msgspec.to_builtins(given.reading),
        state=state,
        only_try=only_try,
        actor_kind=by.kind,
        actor_id=by.id,
    )
    if not only_try:
        await events.record(db, by, Kind.import_started, ref=import_id)
    return await get(db, import_id)


async def start(db: Db, by: Actor, import_id: UUID) -> Import:
    """Import for good what was only tried, from the list that waits; NotTried without one.

    It is judged again, by the text of now: somebody may have left in between.
    """
    found = await get(db, import_id)
    notice = await asked_by(db, await consent.purpose(db, found.purpose_id))
    moved = await db.run(
        sql.start_tried,
        import_id=import_id,
        notice_id=notice.id,
        actor_kind=by.kind,
        actor_id=by.id,
    )
    if not moved:
        raise NotTried
    await db.run(sql.drop_rows, import_id=import_id)
    await events.record(db, by, Kind.import_started, ref=import_id)
    db.wake("imports.work", str(db.business_id), str(import_id))
    return await get(db, import_id)


async def undo(db: Db, by: Actor, import_id: UUID) -> Import:
    """Have a whole import undone by a worker (`crm.privacy.undoing`); NotDone for any other."""
    await get(db, import_id)
    if not await db.run(sql.undo_import, import_id=import_id):
        raise NotDone
    await events.record(db, by, Kind.import_undo_asked, ref=import_id)
    return await get(db, import_id)


async def undoing(db: ReadDb) -> list[Import]:
    """Return what somebody wants undone, the first first."""
    return await db.many(sql.undoing_imports, Import)


async def hold_undo(db: Db, import_id: UUID) -> Undoing | None:
    """Return how far an undo has come, held for its next piece; None where it is through."""
    return await db.maybe(sql.hold_undo, Undoing, import_id=import_id)


async def move_undo(db: Db, import_id: UUID, far: Undoing) -> None:
    """Write down how far an undo has come, in the transaction of the piece that it came by."""
    await db.run(sql.move_undo, import_id=import_id, **msgspec.structs.asdict(far))


async def undone(db: Db, import_id: UUID) -> Import:
    """Write down that an undo is through; again changes nothing."""
    if await db.run(sql.finish_undo, import_id=import_id):
        done = await get(db, import_id)
        summed = f"{done.removed} of {done.added} removed"
        await events.record(db, Actor.system(), Kind.import_undone, ref=import_id, reason=summed)
    return await get(db, import_id)


async def get(db: ReadDb, import_id: UUID) -> Import:
    """Return one import with its books, or refuse with UnknownImport."""
    found = await db.maybe(sql.get_import, Import, import_id=import_id)
    if found is None:
        raise UnknownImport
    return found


async def page(db: ReadDb, *, before: UUID | None = None, limit: int = 50) -> list[Import]:
    """Return imports, the newest first, beginning before this one."""
    return await db.many(sql.imports_before, Import, before=before or _FIRST_PAGE, limit=limit)


async def report(
    db: ReadDb, import_id: UUID, *, after: Place | None = None, limit: int = 50
) -> list[RowReport]:
    """Return what is said about lines of the file, in its order, beginning after this place."""
    return await db.many(
        sql.rows_after,
        RowReport,
        import_id=import_id,
        part=after.part if after else "",
        line=after.line if after else 0,
        number=after.number if after else 0,
        limit=limit,
    )


async def kept_file(db: ReadDb, import_id: UUID) -> bytes | None:
    """Return the list of an import that waits; None if it is gone, KeyWrong without its key."""
    found = await db.maybe(sql.file_of_import, KeptFile, import_id=import_id)
    if found is None or not found.sealed:
        return found.content if found else None
    return await asyncio.to_thread(
        db.keys.decrypt, db.business_id, _label(import_id), found.content
    )


async def expected(db: ReadDb, import_id: UUID) -> int | None:
    """Say about how many rows a file has that is not worked through; None if that is not known.

    Line breaks inside of cells count too.
    """
    lines = await db.maybe(sql.lines_of_file, int, import_id=import_id)
    return None if lines is None else max(1, lines)


async def reasons(db: ReadDb, import_id: UUID) -> list[Reason]:
    """Return what is said in the report, with of how many lines; the most frequent first."""
    return await db.many(sql.reasons_of_import, Reason, import_id=import_id, limit=_REASONS)


async def keep_reasons(db: Db, import_id: UUID) -> None:
    """Sum up what the report says, once it is whole: every look would go through it again."""
    await db.run(sql.keep_reasons, import_id=import_id, reasons=await reasons(db, import_id))


async def whole_report(
    reading: Callable[[], AbstractAsyncContextManager[ReadDb]], import_id: UUID
) -> AsyncIterator[list[RowReport]]:
    """Yield every line of a report, in pieces that each have a transaction of `reading`.

    None is open while a piece is with whoever reads it. Refuses with ReportGone in the midst of
    it where the import was worked through anew meanwhile.
    """
    after: Place | None = None
    done_at: datetime | None = None
    while True:
        async with reading() as db:
            found = await get(db, import_id)
            lines = await report(db, import_id, after=after, limit=_PIECE)
        if after is not None and found.done_at != done_at:
            raise ReportGone
        if lines:
            yield lines
        if len(lines) < _PIECE:
            return
        after, done_at = Place(lines[-1].part, lines[-1].line, lines[-1].number), found.done_at


async def fail(db: Db, import_id: UUID, problem: str) -> None:
    """Write down that nothing of an import was kept, and why; one that has ended stays as it is."""
    if await db.run(sql.fail_import, import_id=import_id, problem=problem):
        await db.run(sql.drop_file, import_id=import_id)
        # One that was tried has said things about its lines already.
        await db.run(sql.drop_rows, import_id=import_id)
        await events.record(db, Actor.system(), Kind.import_failed, ref=import_id)


async def give_up(db: Db, import_id: UUID) -> bool:
    """End an import that nobody has worked on for WAITS, and delete its list; say if it was so."""
    over = await db.maybe(
        sql.gave_up,
        State,
        import_id=import_id,
        received_before=db.now - WAITS,
        quiet_since=db.now - QUIET,
    )
    if over is None:
        return False
    await fail(db, import_id, _ONLY_TRIED if over == State.tried else _WAITED)
    return True


def _label(import_id: UUID) -> str:
    return f"list {import_id}"


async def fail_open(db: Db, problem: str) -> int:
    """Fail every import that has not ended, with its list; returns how many."""
    found = await db.many(sql.open_imports, UUID)
    for import_id in found:
        await fail(db, import_id, problem)
    return len(found)


def _plain(file_name: str) -> str:
    """The last part of a name, with nothing in it that cannot be shown."""
    name = file_name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(letter for letter in name if letter.isprintable())
    return kept[:_LONGEST_NAME] or _NAMELESS


async def lapse_rows(db: Db, after: UUID, limit: int) -> Piece:
    """Delete remarks about rows, and names of files, of imports that ended long ago, by pieces."""
    before = db.now - REMARKS_KEPT
    return await db.one(
        sql.lapse_rows,
        Piece,
        after=after,
        limit=limit,
        over_before=before,
        nameless=_NAMELESS,
    )
