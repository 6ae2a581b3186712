"""What is done with a database that was put back: it is told everything that it has lost.

Each step can be done again, and the mark moves last: whoever is killed here begins anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from crm import above, access, campaigns, events, imports, journal, ledger, mail, privacy, staff
from crm.campaigns import Held
from crm.connections import is_broken, is_lacking
from crm.db import Database, Db
from crm.errors import Conflict
from crm.events import Actor, Kind
from crm.journal import Ending, Found, Keeper, Replayed, Written
from crm.ledger import NothingSealed, NotStopped
from crm.log import logger
from crm.restore.replaying import replay

_log = logger(__name__)

_SYSTEM = Actor.system()
# Lines replayed in one transaction.
_AT_ONCE = 100
_ORIGIN = "the database was put back to an earlier state"
_LACKS = (
    "Line {} of the journal needs what this database has not ({}). Run `crm migrate` with its "
    "owner, give the roles what they lack, and run `crm restore` once more."
)
_LIST = "Our database was put back while this list waited. Give it again."

# Told after every transaction how many lines are done.
Watcher = Callable[[int], None]


class JournalTooShort(Conflict):
    """The journal does not reach back to the time of this backup."""


class DatabaseLacks(Conflict):
    """The database has not what every line may need: a grant, a table, a function."""


class Lost(Struct, frozen=True):
    """What a database lacks: lines after the number that it has, by what they say."""

    number: int
    upto: int
    lines: int
    entries: Counter[str]
    campaigns: frozenset[UUID]
    # Of the lines that nobody committed.
    endings: dict[int, Ending]


class Stopped(Struct, frozen=True):
    """What of a backup does not go on by itself: it may have ended otherwise since."""

    letters: int = 0
    lists: int = 0
    # Announced, and hers to refuse.
    ends_of_freezes: int = 0


class Restored(Struct, frozen=True):
    """What a restore came to, for whoever has to look at the rest."""

    lost: Lost
    held: list[Held]
    stopped: Stopped
    # The name under which the ledger goes on, and how many signed entries are gone, if any is.
    origin: str = ""
    leaves: int = 0
    # Numbers of the lines that could not be carried out.
    failed: list[int] = []


async def put_back(database: Database, found: Found) -> list[UUID]:
    """List whom to restore where any business is behind: all of the database, those behind last.

    The others have lost what leaves nothing in the journal: letters that went, numbers of events,
    ends of sessions. While one is behind nothing is served, so they are done before that ends.
    """
    behind = frozenset(found.put_back)
    every = await above.businesses(database) if behind else []
    return sorted(every, key=behind.__contains__)


async def lost(
    database: Database, keeper: Keeper, business_id: UUID, *, despite_gap: bool = False
) -> Lost:
    """Count what the database of a business lacks; changes nothing."""
    async with database.read(business_id) as read:
        number = await journal.mark(read)

    def counted() -> Lost:
        found, began, upto, lines = Counter[str](), set[UUID](), number, 0
        with _read(business_id):
            endings = keeper.journal.log(business_id).settled(number)
        for line in _since(keeper, business_id, number, despite_gap=despite_gap):
            lines, upto = lines + 1, line.n
            for entry in _wanted(line, endings).entries:
                found[type(entry).__name__.lower()] += 1
                if isinstance(entry, journal.Campaign):
                    began.add(entry.campaign_id)
        return Lost(number, upto, lines, found, frozenset(began), endings)

    return await keeper.walk(counted)


async def restore(
    database: Database,
    keeper: Keeper,
    business_id: UUID,
    *,
    despite_gap: bool = False,
    watch: Watcher = lambda _: None,
) -> Restored:
    """Replay what the journal has, hold what was being sent, and let the business go on.

    `database` must not write to the journal itself. JournalTooShort where entries that the
    database lacks were dropped for their age, unless `despite_gap`; DatabaseLacks where it is not
    one line that is wrong.
    """
    gone = await lost(database, keeper, business_id, despite_gap=despite_gap)
    async with database.write(business_id) as db:
        stopped = await _stop(db)
    failed = await _replay(database, keeper, business_id, gone, watch, despite_gap=despite_gap)
    held = await campaigns.hold_restored(database, business_id, gone.campaigns)
    origin = await _reopen(database, keeper, business_id)
    # What a sweep had carried out went with the database that is lost.
    left = [each for each in failed if gone.endings.get(each.n) != Ending.set_aside]
    await _catch_up(database, keeper, business_id, Replayed(gone.upto, gone.number, left))
    return Restored(gone, held, stopped, *origin, failed=[each.n for each in failed])


async def _stop(db: Db) -> Stopped:
    """Sign everybody out, because sessions that were ended are back, and let nothing go on."""
    await events.leap(db)
    await access.end_sessions(db)
    await staff.end_sessions(db)
    return Stopped(
        letters=await mail.stop_letters(db),
        lists=await imports.fail_open(db, _LIST),
        ends_of_freezes=await privacy.stop_ends(db),
    )


async def _replay(
    database: Database,
    keeper: Keeper,
    business_id: UUID,
    gone: Lost,
    watch: Watcher,
    *,
    despite_gap: bool,
) -> list[Written]:
    """Carry out line by line; return those that could not be, of which nothing is done."""
    failed: list[Written] = []
    lines = _since(keeper, business_id, gone.number, despite_gap=despite_gap)
    done = 0
    while some := await keeper.walk(lambda: list(islice(lines, _AT_ONCE))):
        async with database.write(business_id) as db:
            lacking = [_wanted(line, gone.endings) for line in some if line.n <= gone.upto]
            failed += [line for line in lacking if not await _carried_out(db, line)]
        done += len(some)
        watch(done)
    return failed


def _wanted(line: Written, endings: dict[int, Ending]) -> Written:
    """Leave out what PostgreSQL refused to commit, and what loosens where nobody committed it.

    What was owed by then had been committed.
    """
    ending = endings.get(line.n)
    if ending not in {Ending.refused, Ending.passed_over}:
        return line
    owed, others = line.entries[: line.owed], line.entries[line.owed :]
    if ending == Ending.refused:
        return replace(line, entries=owed)
    return replace(line, entries=owed + [each for each in others if not journal.loosens(each)])


async def _carried_out(db: Db, line: Written) -> bool:
    try:
        async with db.together():
            for entry in line.entries:
                await replay(db, entry, line.at)
    except Exception as wrong:
        if is_broken(wrong):
            raise
        if is_lacking(wrong):
            raise DatabaseLacks(_LACKS.format(line.n, wrong)) from wrong
        # It would fail the next time too: nothing behind it waits for that.
        _log.exception("line_not_replayed", business=str(db.business_id), line=line.n)
        return False
    return True


async def _reopen(database: Database, keeper: Keeper, business_id: UUID) -> tuple[str, int]:
    known = keeper.journal.read(business_id, journal.CHECKPOINT)
    with suppress(NotStopped, NothingSealed):
        async with database.write(business_id) as db:
            origin = await ledger.reopen(db, _SYSTEM, known, reason=_ORIGIN)
            return origin.origin, origin.lost
    return "", 0


async def _catch_up(
    database: Database, keeper: Keeper, business_id: UUID, replayed: Replayed
) -> None:
    """Say in the journal and in the database that they are one again; what came since is open."""
    log = keeper.journal.log(business_id)
    async with database.write(business_id) as db:
        await journal.hold(db)
        await events.record(db, _SYSTEM, Kind.database_restored)
        number = await keeper.do(lambda: log.write(None, db.now, [replayed]))
        await journal.move(db, number)
    await keeper.do(lambda: log.committed(number))


def _since(
    keeper: Keeper, business_id: UUID, number: int, *, despite_gap: bool
) -> Iterator[Written]:
    with _read(business_id):
        yield from keeper.journal.log(business_id).since(number, despite_gap=despite_gap)


@contextmanager
def _read(business_id: UUID) -> Iterator[None]:
    try:
        yield
    except OSError as wrong:
        raise JournalTooShort(f"The journal of {business_id}: {wrong.strerror}.") from wrong
