"""`crm ledger` as an operator uses it, after a restore, a lost journal and an alteration."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from crm import consent, events, ledger
from crm.businesses import Business
from crm.db import Database
from crm.events import Kind
from crm.journal import CHECKPOINT, Journal, Left
from crm.ledger import KeyKind, note
from tests import make
from tests.commands import crm
from tests.conftest import KEYS, Cluster
from tests.consent.conftest import add_customer, say_yes
from tests.ledger.conftest import entered

_SET_ASIDE = Kind.journal_line_set_aside


@pytest.fixture
def settings(shared_cluster: Cluster, redis_url: str, journal: Journal) -> dict[str, str]:
    """The variables of an installation on the servers of the tests."""

    def written(keys: tuple[tuple[int, bytes], ...]) -> str:
        return ",".join(f"{number}:{key.hex()}" for number, key in keys)

    return {
        "CRM_DATABASE_URL": shared_cluster.app_url,
        "CRM_REDIS_URL": redis_url,
        "CRM_LINK_KEYS": written(KEYS.link_keys),
        "CRM_STORAGE_KEYS": written(KEYS.storage_keys),
        "CRM_PEPPER": KEYS.pepper.hex(),
        "CRM_JOURNAL": str(make.place_of(journal)),
    }


@pytest.fixture
async def yes(database: Database, business: Business, journal: Journal) -> consent.ConsentEvent:
    """One decision, sealed."""
    async with database.write(business.id) as db:
        text = await make.notice(db, (await make.purpose(db)).id)
        event = await say_yes(db, await add_customer(db), text)
    await ledger.seal(database, business.id, journal, most=100)
    return event


@pytest.mark.parametrize(
    ("command", "public"), [("reopen", True), ("settle", False), ("set-aside", False)]
)
async def test_a_reason_says_who_reads_it(command: str, *, public: bool) -> None:
    """Only why a ledger was opened anew is for everybody."""
    _, out, _ = await crm("ledger", command, "--help")

    assert ("everybody" in out) == public
    assert ("staff" in out) != public


async def test_what_was_altered_is_named_and_settled(
    yes: consent.ConsentEvent,
    business: Business,
    root: asyncpg.Connection,
    settings: dict[str, str],
) -> None:
    which = f"--business={business.id}"
    status, out, err = await crm("ledger", "check", which, **settings)
    assert (status, err) == (0, "")
    assert "1 entries are what was sealed" in out

    change = "UPDATE crm.consent_record SET salt = sha256('x') WHERE event_id = $1"
    await root.execute(change, yes.id)

    status, out, err = await crm("ledger", "check", which, **settings)
    assert status == 1
    (line,) = [each for each in out.splitlines() if str(yes.id) in each]
    assert "record_changed" in line

    alarm = line.split()[0]
    reason = "--reason=A test of ours."
    status, out, err = await crm("ledger", "settle", alarm, reason, which, **settings)
    assert (status, out, err) == (0, "Settled; the reason is kept.\n", "")
    status, out, err = await crm("ledger", "settle", str(uuid4()), reason, which, **settings)
    assert status == 2
    assert "no such alarm" in err


async def test_a_lost_journal_is_adopted_once(
    *,
    yes: consent.ConsentEvent,
    database: Database,
    business: Business,
    journal: Journal,
    settings: dict[str, str],
    tmp_path: Path,
) -> None:
    which = f"--business={business.id}"
    status, _, err = await crm("ledger", "adopt", which, **settings)
    assert status == 2
    assert "knows this ledger already" in err
    known = journal.read(business.id, CHECKPOINT)
    settings["CRM_JOURNAL"] = str(tmp_path / "new")
    status, out, err = await crm("ledger", "adopt", which, **settings)
    assert (status, err) == (0, "")
    assert "/ledger/1, 1 entries." in " ".join(out.split())
    new = Journal(tmp_path / "new")
    assert new.read(business.id, CHECKPOINT) == known
    await entered(database, business.id, 1)
    assert await ledger.seal(database, business.id, new, most=10) == 1


async def test_a_restored_database_goes_on_under_a_new_name(
    yes: consent.ConsentEvent,
    database: Database,
    business: Business,
    journal: Journal,
    settings: dict[str, str],
) -> None:
    which = f"--business={business.id}"
    status, _, err = await crm("ledger", "reopen", "--reason=none", which, **settings)
    assert status == 2
    assert "goes on where it was" in err
    # The journal knows a head that this database does not.
    async with database.read(business.id) as db:
        signer = await ledger.signer(db, KeyKind.checkpoint)
        head = await ledger.head(db)
    assert signer is not None
    assert head is not None
    later = ledger.Checkpoint(head.origin, head.size + 7, bytes(32))
    signed = note.sign(later.text(), signer.name, signer.private)
    journal.keep(business.id, CHECKPOINT, lambda _: signed)
    await entered(database, business.id, 1)
    await ledger.seal(database, business.id, journal, most=10)

    status, out, err = await crm("ledger", "status", **settings)
    assert status == 0
    assert "`crm ledger reopen`" in " ".join(out.split())

    reason = "--reason=The disk failed."
    status, out, err = await crm("ledger", "reopen", reason, which, **settings)
    assert (status, err) == (0, "")
    assert "/ledger/2 is open from entry 1" in " ".join(out.split())
    assert "7 entries that were signed before are not here" in " ".join(out.split())
    assert await ledger.seal(database, business.id, journal, most=10) == 1


async def test_keys_are_rotated_and_encrypted_anew(
    yes: consent.ConsentEvent, database: Database, business: Business, settings: dict[str, str]
) -> None:
    which = f"--business={business.id}"
    status, out, err = await crm("ledger", "rotate", "receipt", which, **settings)
    assert (status, err) == (0, "")
    assert "the one before has endorsed it" in " ".join(out.split())
    settings["CRM_STORAGE_KEYS"] = f"2:{'79' * 32},{settings['CRM_STORAGE_KEYS']}"
    status, out, err = await crm("ledger", "encrypt-anew", which, **settings)
    assert (status, out) == (0, "Encrypted anew: checkpoint, receipt.\n")
    status, _, err = await crm("ledger", "rotate", "everything", which, **settings)
    assert status == 2
    # Without the newest key nothing is lost, and nothing can be signed.
    async with database.read(business.id) as db:
        with pytest.raises(ledger.Halt):
            await ledger.signer(db, KeyKind.receipt)


async def test_a_line_that_can_never_be_carried_out_rests(
    database: Database, business: Business, journal: Journal, settings: dict[str, str]
) -> None:
    """It is shown first, and recorded; it stays in the journal, and holds up no file any more."""
    which = f"--business={business.id}"
    log = journal.log(business.id)
    number = log.write(None, database.clock(), [Left("00", 7, "no such way")])
    status, out, err = await crm("ledger", "lines", which, **settings)
    assert (status, err) == (0, "")
    assert "no such way" in out

    aside = ("ledger", "set-aside", str(number), "--reason=Nobody knows this way.", which)
    status, out, err = await crm(*aside, **settings)
    assert (status, err) == (0, "")
    status, out, err = await crm(*aside, **settings)
    assert (status, "no such line" in err) == (2, True)

    async with database.read(business.id) as db:
        told = [each.reason for each in await events.page(db) if each.kind == _SET_ASIDE]
    assert told == [f"line {number} (left): Nobody knows this way."]
    assert log.tail().open == {}
    assert number in [line.n for line in log.since(0)]
