"""One customer who comes with a copy of hers, taken in as an import of a single row."""

from __future__ import annotations

from datetime import datetime

import msgspec

from crm import businesses, consent, customers, events
from crm.consent import Notice, Purpose, Version
from crm.db import Db, Statements
from crm.errors import Refused
from crm.events import Actor, Kind
from crm.imports import actions
from crm.imports.batch import Books
from crm.imports.decision import Closed
from crm.imports.fields import Fields
from crm.imports.judged import Task
from crm.imports.mapping import Given
from crm.imports.model import AnotherRuns, Import, Row, State, Tool

sql = Statements("imports")

_OVER = "It was ended while it was worked on. Nothing of it was kept; start it again."


async def take_row(
    db: Db, by: Actor, notice: Notice, row: Row, *, file_name: str, sha256: str
) -> Import:
    """Decide what a customer allows by what she decided elsewhere, under the rules of every import.

    It mails nobody, never undoes an opt-out, and is consent only where the text accepts such
    evidence (promise 7). `sha256` is that of the receipts that are kept with it. One business has
    one import at a time: AnotherRuns.
    """
    await db.run(sql.add_turn)
    if await db.maybe(sql.take_turn, int) is None:
        raise AnotherRuns
    given = Given(Tool.firsthand, sha256)
    begun = await actions.add(db, by, notice, given, file_name=file_name, state=State.running)
    books = Books(db, await task(db, begun, Tool.firsthand, sha256))
    await books.take(books.gather(iter([row]), 1))
    return await done(db, begun, books)


async def task(db: Db, begun: Import, tool: Tool, sha256: str) -> Task:
    """Look up what is the same for every row of an import.

    It may be closed to a yes by what happened while the list waited.
    """
    purpose = await consent.purpose(db, begun.purpose_id)
    notice = consent.narrowed(await consent.notice(db, begun.notice_id), purpose)
    version = await consent.version(db, begun.purpose_id, notice.purpose_version)
    business = await businesses.get(db)
    return Task(
        import_id=begun.id,
        by=begun.actor,
        version=version,
        notice=notice,
        network_days=business.network_days if business.keeps_network else 0,
        tool=tool,
        sha256=sha256,
        fields=Fields(await customers.attributes(db), await customers.tags(db)),
        closed=_closed(purpose, version, db.now),
    )


def _closed(purpose: Purpose, version: Version, now: datetime) -> Closed | None:
    if purpose.retired_at is not None:
        return Closed.retired
    if version.ends_at is not None and version.ends_at <= now:
        return Closed.words_ended
    return None


async def done(db: Db, begun: Import, books: Books) -> Import:
    """Write down what came of an import, in the transaction of its work.

    Refused where it was ended meanwhile, so that nothing of the work is kept, as its end says.
    """
    tally = books.tally
    finished = await db.run(
        sql.finish_import,
        import_id=begun.id,
        rows_read=tally.rows,
        **msgspec.structs.asdict(tally),
    )
    if not finished:
        raise Refused(_OVER)
    await actions.keep_reasons(db, begun.id)
    summed = (
        f"{tally.rows} rows: {tally.added} added, {tally.changed} changed, "
        f"{tally.unchanged} unchanged, {tally.rejected} rejected"
    )
    kind = Kind.import_tried if begun.only_try else Kind.import_done
    await events.record(db, Actor.system(), kind, ref=begun.id, reason=summed)
    return await actions.get(db, begun.id)
