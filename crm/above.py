"""The few questions above one business, all in one place (promise 14)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from crm.db import Database, Statements

sql = Statements("above")

_LOWEST = UUID(int=0)
_PAGE = 1000


class DueImport(Struct, frozen=True):
    """An import that waits for a worker."""

    business_id: UUID
    import_id: UUID


class DueCampaign(Struct, frozen=True):
    """A campaign whose deliveries are to be written."""

    business_id: UUID
    campaign_id: UUID


class DueLeases(Struct, frozen=True):
    """A campaign with ranges that nobody works on."""

    business_id: UUID
    campaign_id: UUID
    leases: int


class DueDigest(Struct, frozen=True):
    """A purpose whose week is over."""

    business_id: UUID
    purpose_id: UUID


class DueEndpoint(Struct, frozen=True):
    """Where events are to be told to."""

    business_id: UUID
    endpoint_id: UUID


class LedgerHealth(Struct, frozen=True):
    """How the ledger of one business is."""

    business_id: UUID
    size: int
    unsealed: int
    waiting_since: datetime | None
    alarms: int
    stopped_why: str | None
    watched_at: datetime | None


class RetentionRound(Struct, frozen=True):
    """When one kind of thing of a business was last swept to the end; if never, since when not."""

    business_id: UUID
    what: str
    since: datetime


class JournalMark(Struct, frozen=True):
    """How far a business has written to the journal, and its ledger's head."""

    business_id: UUID
    number: int
    owed: int
    origin_number: int
    size: int


class InboundCount(Struct, frozen=True):
    """How much of a kind came in for one business by one way."""

    business_id: UUID
    via: str
    kind: str
    reports: int


async def business_of_host(database: Database, host: str) -> UUID | None:
    """Find whose pages a host shows; the port does not count."""
    name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
    found = await database.above(sql.business_of_host, UUID, host=name.lower())
    return found[0] if found else None


async def businesses(database: Database) -> list[UUID]:
    """List the ids of all businesses, for work done once for each."""
    found: list[UUID] = []
    while True:
        after = found[-1] if found else _LOWEST
        page = await database.above(sql.businesses, UUID, after=after, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found


async def businesses_with_letters(database: Database) -> list[UUID]:
    """List businesses whose own letters are due."""
    return await database.above(sql.businesses_with_letters, UUID)


async def businesses_with_service_messages(database: Database) -> list[UUID]:
    """List businesses whose programs' messages are due."""
    return await database.above(sql.businesses_with_service_messages, UUID)


async def imports_waiting(database: Database, quiet_since: datetime) -> list[DueImport]:
    """List imports not begun, or begun by a process silent since then."""
    return await database.above(sql.imports_waiting, DueImport, quiet_since=quiet_since)


async def campaigns_to_start(database: Database) -> list[DueCampaign]:
    """List campaigns to write deliveries for."""
    return await database.above(sql.campaigns_to_start, DueCampaign)


async def cancellations_due(database: Database) -> list[DueCampaign]:
    """List cancelled campaigns in which somebody still waits."""
    return await database.above(sql.cancellations_due, DueCampaign)


async def leases_due(database: Database) -> list[DueLeases]:
    """List campaigns with ranges to take."""
    return await database.above(sql.leases_due, DueLeases)


async def campaigns_over(database: Database) -> list[DueCampaign]:
    """List campaigns that send and have nothing left to send."""
    return await database.above(sql.campaigns_over, DueCampaign)


async def digests_due(database: Database) -> list[DueDigest]:
    """List purposes of which a digest is to be made."""
    return await database.above(sql.digests_due, DueDigest)


async def ledgers_due(database: Database) -> list[UUID]:
    """List businesses with entries to seal, or a head to sign."""
    return await database.above(sql.ledgers_due, UUID)


async def ledgers_health(database: Database) -> list[LedgerHealth]:
    """Say of every business how its ledger is."""
    return await database.above(sql.ledgers_health, LedgerHealth)


async def retention_rounds(database: Database, whats: Iterable[str]) -> list[RetentionRound]:
    """Say of every business and kind of thing when it was last swept to the end."""
    return await database.above(sql.retention_rounds, RetentionRound, whats=list(whats))


async def journal_marks(database: Database) -> list[JournalMark]:
    """Say of every business how far it has written to the journal."""
    return await database.above(sql.journal_marks, JournalMark)


async def campaigns_sending(database: Database) -> list[DueCampaign]:
    """List campaigns that send."""
    return await database.above(sql.campaigns_sending, DueCampaign)


async def value_checks_waiting(database: Database, quiet_since: datetime) -> list[DueCampaign]:
    """List drafts whose values are to be checked, and that nobody has looked at since then."""
    return await database.above(sql.value_checks_waiting, DueCampaign, quiet_since=quiet_since)


async def businesses_of_return_domain(database: Database, domain: str) -> list[UUID]:
    """List whose mail comes back to a domain; several may share one."""
    return await database.above(sql.businesses_of_return_domain, UUID, domain=domain)


async def mailboxes_due(database: Database) -> list[UUID]:
    """List whose mailbox is to be looked into."""
    return await database.above(sql.mailboxes_due, UUID)


async def inbound_counts(database: Database) -> list[InboundCount]:
    """Count what came in, for every business, by way and kind."""
    return await database.above(sql.inbound_counts, InboundCount)


async def feeds_due(database: Database) -> list[UUID]:
    """List businesses with events that have no number yet, or of which an endpoint was not told."""
    return await database.above(sql.feeds_due, UUID)


async def endpoints_due(database: Database) -> list[DueEndpoint]:
    """List where events are to be told to now."""
    return await database.above(sql.endpoints_due, DueEndpoint)


async def endpoints_to_clear(database: Database) -> list[DueEndpoint]:
    """List endpoints of which posts that go nowhere any more are left."""
    return await database.above(sql.endpoints_to_clear, DueEndpoint)
