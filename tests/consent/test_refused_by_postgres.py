"""What the service's own role may not do, whatever its code says: PostgreSQL refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from crm import consent, ledger
from crm.businesses import Business
from crm.campaigns import Campaign
from crm.consent import Notice
from crm.db import Database
from crm.journal import Journal
from tests import make
from tests.consent.conftest import Raw, say_no, say_yes

# Everything that is evidence, or what evidence is checked with.
EVIDENCE = (
    "consent_event",
    "consent_record",
    "consent_erased",
    "evidence_file",
    "form_shown",
    "ledger_checkpoint",
    "ledger_leaf",
    "mailbox_proof",
    "notice",
    "purpose_version",
)
_DELIVERY = """INSERT INTO crm.delivery (business_id, campaign_id, customer_id, state, event_id,
                                         notice_id)
    VALUES ($1, $2, $3, 'waiting', $4, $5)"""
_PROOF = """INSERT INTO crm.mailbox_proof (business_id, proof_id, customer_id, way, mailed_at,
                                           proved_at)
    VALUES ($1, $2, $3, 'confirm_link', now(), now())"""


@pytest.fixture
async def campaign(database: Database, business: Business, notice: Notice) -> Campaign:
    async with database.write(business.id) as db:
        return await make.campaign(db, notice.purpose_id)


@pytest.fixture
async def yes(database: Database, business: Business, customer: UUID, notice: Notice) -> UUID:
    """A decision in every table, sealed."""
    async with database.write(business.id) as db:
        event = await say_yes(db, customer, notice)
        await consent.add_file(db, make.SYSTEM, customer, "form.jpg", b"x")
    return event.id


@pytest.mark.parametrize("table", EVIDENCE)
@pytest.mark.parametrize(
    "write",
    [
        "UPDATE crm.{} SET business_id = business_id",
        "DELETE FROM crm.{}",
        "TRUNCATE crm.{} CASCADE",
    ],
)
async def test_evidence_is_only_added(
    *,
    yes: UUID,
    database: Database,
    business: Business,
    raw: Raw,
    tmp_path: Path,
    table: str,
    write: str,
) -> None:
    await ledger.seal(database, business.id, Journal(tmp_path), most=10)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await raw(write.format(table))


async def test_a_version_of_a_purpose_is_never_less_stale(
    yes: UUID, raw: Raw, notice: Notice
) -> None:
    """What it says cannot be updated at all; its end only comes nearer."""
    for column in ("terms = ''", "validity = 'P99Y'", "basis = 'soft_opt_in'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await raw(f"UPDATE crm.purpose_version SET {column}")  # noqa: S608
    stale = "UPDATE crm.purpose_version SET stale_at = now(), ends_at = now() + interval '1 day'"
    assert await raw(stale) == "UPDATE 1"
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="stays as it is"):
        await raw("UPDATE crm.purpose_version SET stale_at = NULL, ends_at = NULL")


@pytest.mark.parametrize("cites", ["nothing", "no event", "a no", "a yes to another text"])
async def test_no_delivery_without_its_warrant(
    *,
    database: Database,
    business: Business,
    customer: UUID,
    notice: Notice,
    campaign: Campaign,
    yes: UUID,
    raw: Raw,
    cites: str,
) -> None:
    async with database.write(business.id) as db:
        no = await say_no(db, customer, notice.purpose_id)
        other = await make.notice(db, notice.purpose_id, text="Yes, send me another letter.")
    cited: dict[str, tuple[Any, ...]] = {
        "nothing": (None, None),
        "no event": (uuid4(), notice.id),
        "a no": (no.id, notice.id),
        "a yes to another text": (yes, other.id),
    }
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await raw(_DELIVERY, business.id, campaign.id, customer, *cited[cites])
    # The same with what allows it is taken.
    assert await raw(_DELIVERY, business.id, campaign.id, customer, yes, notice.id) == "INSERT 0 1"


async def test_nobody_but_her_mailbox_makes_a_proof_of_it(
    business: Business, customer: UUID, raw: Raw
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await raw(_PROOF, business.id, uuid4(), customer)


async def test_a_guessed_secret_proves_nothing(
    database: Database, business: Business, customer: UUID
) -> None:
    """The functions answer with nothing, and write nothing."""
    prove = (
        "SELECT crm.prove_sign_in($1, $2, $3, 'guessed', NULL, now())",
        "SELECT crm.prove_sign_up($1, $2, $3, $2, 'guessed', NULL, now())",
    )
    async with database.write(business.id) as db:
        for each in prove:
            found = await db._conn.fetchval(each, business.id, uuid4(), customer)  # noqa: SLF001
            assert found is None
        assert (await consent.export(db, customer)).proofs == []
