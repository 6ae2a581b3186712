"""Everything personal is in the copy, and nothing of it is left after an erasure.

The catalog is read, so that a table or column added later fails here until it is placed
(promises 9 and 10).
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import pytest
from msgspec import Struct

from crm import privacy
from crm.businesses import Business
from crm.db import Database
from crm.privacy import Fingerprint
from crm.privacy.copies.contents import contents
from crm.privacy.erasure.certificate import STORES
from tests.columns import COLUMNS
from tests.conftest import Cluster
from tests.privacy.life import Life, lived, shadowed
from tests.privacy.taken import inside, taken

NORA = ("Nora.Lindqvist@Example.com", "Nora Lindqvist")
ZOE = ("zoe.other@example.com", "Zoe Other")


class Place(Struct, frozen=True):
    """How a table that knows customers is treated."""

    # What of it the copy leaves out, and why that is no datum of hers.
    unsaid: dict[str, str]
    # What stays of a row after an erasure; nothing where it is empty.
    stays: str = ""
    # How rows of one customer are found.
    key: str = "customer_id"


HELD_SINCE = {"held_since": "when we merged two records, which the copy says of the records"}
IN_ITS_PLACE = {"business_id": "the copy names the business once"}
TYPED = "the typed form of text_value, for selecting by"

# Every table that knows customers, with everything that is not in the copy.
KNOWS: dict[str, Place] = {
    "customer": Place(unsaid={}, stays="an empty tombstone"),
    "attribute_value": Place(
        unsaid=dict.fromkeys(("number", "number_near", "date", "boolean"), TYPED) | HELD_SINCE
    ),
    "customer_tag": Place(unsaid=HELD_SINCE),
    "interaction": Place(unsaid=HELD_SINCE),
    "consent": Place(unsaid={}),
    "consent_record": Place(
        unsaid={
            "salt": "chance, which keeps the commitment from being guessed",
            "canonical": "the same record once more, as bytes that are hashed",
            "evidence_kind": "stands in the evidence",
            "proof_id": "stands with the two instants of the confirmation",
            "warrants": "the text once more, where the decision was a yes",
        }
    ),
    "kept_proof": Place(
        unsaid={"address_hash": "stands with the customer"},
        stays="the proof, under the fingerprint, until its day",
        key="address_hash",
    ),
    "consent_network": Place(unsaid={"sealed": "encrypted; the copy has what it says"}),
    "quarantine": Place(unsaid={}),
    "evidence_file": Place(unsaid={"content": "encrypted; the copy has the file itself"}),
    "mailbox_proof": Place(unsaid={}),
    "event": Place(unsaid={}),
    "post": Place(
        unsaid={
            "attempts": "how often the other system was asked",
            "begun_at": "when it was asked first",
            "out_at": "when it was sent to the other system first",
            "next_at": "when it is asked again",
        }
    ),
    "look_reason": Place(unsaid={"member_id": "which of the staff stands beside the looks"}),
    "privacy_request": Place(
        unsaid={
            "member_id": "which of the staff works on it, by name beside it",
            "link_hash": "of a secret that only the mail holds",
            "link_expires_at": "how long that link is good",
            "mailed_hash": "of the address that the link was mailed to, which stands with her",
            "reminded": "how urgently staff were reminded of it",
            "address_hash": "of somebody who is no customer",
        }
    ),
    "restriction_end": Place(unsaid={}),
    "service_message": Place(
        unsaid={
            "passes": "follows from the kind",
            "kept": "its text lies beside, in messages/",
            "address_hash": "stands with the customer",
            "address": "stands with the customer; gone once sent",
            "content": "the text on its way; gone once sent",
            "attempt": "how often the relay was asked",
            "next_at": "when the relay is asked again",
            "lease_until": "which worker has it",
            "code": "what the relay said",
            "reply": "what the relay said",
            "purpose": "a name among what is declared; the copy has its words",
            "handed_at": "since when the relay may have it",
        },
        key="address_hash",
    ),
    "signup": Place(
        unsaid={
            "folded": "stands with the customer",
            "token_hash": "of a secret that only the mail holds",
            "code_hash": "of a secret that only the mail holds",
            "network": "encrypted; the copy has what it says",
        },
        key="address_hash",
    ),
    "portal_link": Place(
        unsaid={
            "address_hash": "stands with the customer",
            "token_hash": "of a secret that only she holds",
            "code_hash": "of a secret that only she holds",
            "browser_hash": "of a secret that only she holds",
        }
    ),
    "address_change": Place(
        unsaid={
            "folded": "the address once more, to compare it by",
            "token_hash": "of a secret that only the mail holds",
            "code_hash": "of a secret that only the mail holds",
        }
    ),
    "former_address": Place(unsaid={"undo_hash": "of a secret that only the mail holds"}),
    "portal_session": Place(
        unsaid={
            "token_hash": "of a secret that only her browser holds",
            "link_hash": "of a secret that only the mail holds",
            "browser_hash": "of a secret that only her browser holds",
        }
    ),
    "delivery": Place(
        unsaid={"resolved_by": "which of the staff settled an uncertain delivery"},
        stays="counted without name, so that the sums of a campaign hold",
    ),
    "retry": Place(unsaid={}),
    "rhythm": Place(unsaid={}),
    "digest_choice": Place(unsaid={}),
    "brought": Place(
        unsaid={
            "content": "the text of a mail; it lies beside, in messages/",
            "digest": "of what is said, so that nothing is here twice",
        }
    ),
    "copy": Place(unsaid={"lease_until": "which worker has it"}),
    "copy_part": Place(
        unsaid={
            "content": "an earlier copy, encrypted: what it holds is in this one too",
            "number": "its place in the earlier copy",
        }
    ),
    "soft_bounce": Place(unsaid={}, key="address_hash"),
    "dormancy": Place(unsaid={}),
    "erasure_wish": Place(unsaid={"call_off_hash": "of a secret that only the mail holds"}),
    "erasure": Place(unsaid={}, stays="the certificate, which names nobody"),
    "suppression": Place(
        unsaid={
            "beneath": "what was decided is told as an entry of its own",
            "beneath_at": "with its time",
        },
        stays="the fingerprint",
        key="address_hash",
    ),
}

# Tables with a column that looks personal, and why it is not a customer's.
NOT_HERS = {
    "attempt": "counts tries under fingerprints, of addresses and of networks, for minutes",
    "api_key": "programs",
    "attribute": "declarations",
    "business": "the controller",
    "campaign": "what the business wrote",
    "campaign_image": "what the business shows to everybody",
    "campaign_return": "counts",
    "consent_erased": "numbers of stubs, which name nobody",
    "consent_event": "stubs: a checksum that names nobody",
    "consent_tally": "counts",
    "domain_pace": "domains with many mailboxes, and how fast mail goes there",
    "dkim_key": "the controller's keys",
    "endpoint": "other systems of the business",
    "endpoint_secret": "the controller's keys",
    "event_unread": "ids of events, for seconds",
    "feed": "the order of events, by id",
    "feed_head": "a number",
    "form_shown": "what the business wrote",
    "host": "the controller",
    "idempotency_key": "answers to programs, encrypted with a key that only they have, for a day",
    "import": "counts of rows",
    "import_file": "until it has been worked through",
    "import_mapping": "what the business wrote: headers, and what they mean",
    "import_row": "names of lists, line numbers and fixed sentences",
    "import_turn": "nothing",
    "trust_figures": "sums over readers",
    "inbound_count": "counts",
    "inbound_report": "digests of reports, with a kind and a code, which name nobody",
    "interaction_kind": "declarations",
    "journal_mark": "a number",
    "journal_debt": "ids and keyed hashes, until the journal is there again",
    "lease": "ranges and counts",
    "ledger_alarm": "what the monitor found, about leaves and events by number",
    "ledger_checkpoint": "sizes and roots",
    "ledger_head": "sizes and roots",
    "ledger_leaf": "numbers of stubs, which name nobody",
    "ledger_origin": "names of the ledger",
    "ledger_tile": "hashes of checksums that name nobody",
    "ledger_unsealed": "checksums that name nobody, for seconds",
    "ledger_watch": "how far the monitor has come",
    "post_try": "when a post went out, and the number that was answered",
    "poll_count": "numbers, and nothing of who gave an answer",
    "digest": "which issues stand in it",
    "digest_plan": "what the business offers",
    "domain_trouble": "counts by mail domain; those of a few are dropped after a month",
    "canary": "the copy to a mailbox of the business's own",
    "logo": "what the business shows to everybody",
    "theme": "how pages and newsletters look",
    "mailbox": "the controller",
    "member": "staff",
    "notice": "what the business wrote",
    "purpose": "what the business wrote",
    "purpose_version": "what the business wrote",
    "privacy_request_step": "what was done with a request, and who of staff; no word of hers",
    "retention_sweep": "how much was deleted, as counts",
    "relay": "how the mail of the business goes",
    "relay_use": "counts",
    "segment": "rules over what is declared",
    "sending_domain": "the controller",
    "service_purpose": "declarations",
    "second_factor": "staff",
    "second_factor_rule": "whether a business insists",
    "session": "staff",
    "webhook": "the controller",
    "signing_key": "the controller's keys",
    "tag": "declarations",
    "verdict": "what is the same in everybody's mail",
    "value_check": "counts, and ids of a few as examples, which name nobody once she is erased",
}


# What no life of the tests fills: for these the copy is not looked through.
EMPTY: dict[str, set[str]] = {
    "customer": {"import_id", "erased_at", "time_zone", "merged_into"},
    "attribute_value": {"source"},
    "interaction": {"actor_name", "message_id", "in_reply_to", "refs"},
    "evidence_file": {"added_by"},
    "privacy_request": {
        "address",
        "name",
        "extended_on",
        "extended_why",
        "answer",
        "ground",
    },
    "retry": {"waits_for"},
    "service_message": {"bounced_at", "bounce_code"},
    "signup": {"form_sha256", "jurisdiction", "of_age"},
    "delivery": {"bounced_at", "bounce_class", "bounce_code", "complained_at"},
    "rhythm": {"paused_until"},
    "digest_choice": {"left_at"},
}


@pytest.fixture
async def catalog(shared_cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """Look at everything as a superuser."""
    conn = await asyncpg.connect(shared_cluster.superuser_url)
    yield conn
    await conn.close()


@pytest.fixture
async def nora(database: Database, business: Business) -> Life:
    """A customer with something in every table."""
    return await lived(database, business, *NORA)


async def _columns(catalog: asyncpg.Connection) -> dict[str, dict[str, str]]:
    rows = await catalog.fetch(
        "SELECT table_name, column_name, udt_name FROM information_schema.columns"
        " WHERE table_schema = 'crm' AND table_name IN"
        " (SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace"
        "  AND relkind = 'r')"
    )
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        found.setdefault(row["table_name"], {})[row["column_name"]] = row["udt_name"]
    return found


async def test_every_table_is_in_its_place(catalog: asyncpg.Connection) -> None:
    """Whoever adds a table says here whether it knows customers; one with their id does."""
    columns = await _columns(catalog)
    knowing = {table for table, names in columns.items() if "customer_id" in names}

    assert set(columns) == set(KNOWS) | set(NOT_HERS)
    assert set(STORES) == (set(KNOWS) | {"attempt"}) - {"erasure", "kept_proof"}
    assert knowing <= set(KNOWS)
    unsaid = {(table, name) for table, place in KNOWS.items() for name in place.unsaid}
    assert unsaid <= {(table, name) for table, names in columns.items() for name in names}
    # And each column of a table that is not about customers was looked at.
    looked_at = {table: set(names.split()) for table, names in COLUMNS.items()}
    assert {table: set(columns[table]) for table in NOT_HERS} == looked_at


async def _rows_of(
    catalog: asyncpg.Connection, table: str, life: Life, address_hash: bytes
) -> list[asyncpg.Record]:
    key = KNOWS[table].key
    value: Any = address_hash if key == "address_hash" else life.customer.id
    return await catalog.fetch(
        f"SELECT * FROM crm.{table} WHERE business_id = $1 AND {key} = $2",  # noqa: S608
        life.business.id,
        value,
    )


def _hash(database: Database, life: Life) -> bytes:
    folded = life.customer.address.lower()
    return database.keys.address_hash(life.business.id, folded)


async def test_the_life_fills_every_table(
    database: Database, catalog: asyncpg.Connection, nora: Life
) -> None:
    """Otherwise the tests below would prove less than they say."""
    unlived = {
        "suppression",
        "retry",
        "soft_bounce",
        "erasure",
        "erasure_wish",
        "restriction_end",
        "dormancy",
        "quarantine",
    }
    for table in set(KNOWS) - unlived:
        assert await _rows_of(catalog, table, nora, _hash(database, nora)), table


def _scalars(found: Any) -> set[Any]:
    if isinstance(found, dict):
        return set().union(*(_scalars(value) for value in found.values()), set(found))
    if isinstance(found, list):
        return set().union(*(_scalars(value) for value in found))
    return {_plain(found)}


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        for read in (date.fromisoformat, datetime.fromisoformat, Decimal):
            try:
                return _plain(read(value)) if len(value) > 1 else value
            except (ValueError, ArithmeticError):
                continue
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value
    if isinstance(value, UUID | date):
        return str(value)
    return value


async def test_every_column_is_in_the_copy(
    database: Database, catalog: asyncpg.Connection, nora: Life
) -> None:
    """Each value of each row of hers is somewhere in the file, or is named above with a reason.

    Three times: as she lived, with what keeps mails from her, and while she waits for her deletion.
    """
    rows = await _all_rows(database, catalog, nora)
    files = inside(await taken(database, nora.business.id, nora.customer.id))
    filled = _none_missing(rows, json.loads(files["copy.json"]))
    await shadowed(database, nora)
    for rest in _REST:
        await catalog.execute(rest, nora.business.id, nora.customer.id)
    rows = await _all_rows(database, catalog, nora)
    filled |= _none_missing(rows, await _held(database, nora))
    async with database.write(nora.business.id) as db:
        await privacy.plan(db, nora.customer, Fingerprint.keep)
    rows = await _all_rows(database, catalog, nora)
    filled |= _none_missing(rows, await _held(database, nora))

    columns = await _columns(catalog)
    never = {
        table: {
            name
            for name in columns[table]
            if (table, name) not in filled and name not in place.unsaid | IN_ITS_PLACE
        }
        for table, place in KNOWS.items()
        if table != "erasure"
    }
    assert {table: names for table, names in never.items() if names} == EMPTY


# What would take a relay that is busy, and years.
_REST = (
    """INSERT INTO crm.retry (business_id, campaign_id, customer_id, due_at)
       SELECT business_id, campaign_id, customer_id, now() FROM crm.delivery
        WHERE business_id = $1 AND customer_id = $2 LIMIT 1""",
    """INSERT INTO crm.dormancy VALUES ($1, $2, now(), now() + interval '30 days',
                                        now() + interval '1 day')""",
    """INSERT INTO crm.quarantine
       SELECT i.business_id, $2, i.purpose_id, i.import_id, 'june.csv', 7, 'It has no time.', now(),
              now() + interval '90 days' FROM crm.import i WHERE i.business_id = $1 LIMIT 1""",
)


async def _held(database: Database, life: Life) -> dict[str, Any]:
    """What another copy would be made of; she has one already, and so gets no other."""
    async with database.read(life.business.id) as db:
        held = await contents(db, life.customer.id)
        lists = {each.name: [row async for row in each.rows()] for each in held.lists}
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(lists))
    return found


_Rows: TypeAlias = dict[str, list[asyncpg.Record]]


async def _all_rows(database: Database, catalog: asyncpg.Connection, life: Life) -> _Rows:
    fingerprint = _hash(database, life)
    return {table: await _rows_of(catalog, table, life, fingerprint) for table in KNOWS}


def _none_missing(rows: _Rows, copy: dict[str, Any]) -> set[tuple[str, str]]:
    """See that nothing is missing in a copy; return the columns that held something."""
    said = _scalars(copy)
    missing = [
        (table, name, value)
        for table, place in KNOWS.items()
        for row in rows[table]
        for name, value in row.items()
        if name not in place.unsaid | IN_ITS_PLACE and not _is_said(value, said)
    ]
    assert not missing
    return {
        (table, name)
        for table in KNOWS
        for row in rows[table]
        for name, value in row.items()
        if value is not None and value not in ("", "{}")
    }


def _is_said(value: Any, said: set[Any]) -> bool:
    if value is None or value in ("", "{}"):
        return True
    if isinstance(value, bytes):
        return value.hex() in said or base64.b64encode(value).decode() in said
    if isinstance(value, str) and value[:1] in "{[":
        return _scalars(json.loads(value)) <= said
    return _plain(value) in said


async def _dump(catalog: asyncpg.Connection, business: Business) -> dict[str, str]:
    """Write out every row of a business in every table, bytes as hexadecimal."""
    dumped = {}
    for table in await _columns(catalog):
        rows = await catalog.fetch(
            f"SELECT t::text AS line FROM crm.{table} t WHERE business_id = $1",  # noqa: S608
            business.id,
        )
        dumped[table] = "\n".join(row["line"] for row in rows).lower()
    return dumped


def _traces(dumped: dict[str, str], *words: str) -> list[tuple[str, str]]:
    needles = [
        needle
        for word in words
        for needle in (word.lower(), word.encode().hex(), word.lower().encode().hex())
    ]
    return [(table, each) for table, text in dumped.items() for each in needles if each in text]


async def test_nothing_is_left_after_an_erasure(
    database: Database, catalog: asyncpg.Connection, business: Business, nora: Life
) -> None:
    """No column of any table of the business holds address or name; what stays is what we say."""
    address, name = NORA
    local = address.partition("@")[0]
    before = await _dump(catalog, business)
    written = {"customer", "interaction", "privacy_request", "service_message", "signup"}
    written |= {"address_change", "former_address"}
    assert {table for table, _ in _traces(before, address, name)} == written
    stubs = before["consent_event"]

    async with database.write(business.id) as db:
        await privacy.erase(db, nora.actor, nora.customer.id)

    after = await _dump(catalog, business)
    assert not _traces(after, address, local, name, "Lindqvist", "Birthday cake", "Harbour Street")
    for table, place in KNOWS.items():
        rows = await _rows_of(catalog, table, nora, _hash(database, nora))
        assert bool(rows) == bool(place.stays), table
    # Each stub stays; that of the withdrawal by which her consent ended has come.
    assert after["consent_event"].startswith(stubs)
    deliveries = await _rows_of(catalog, "delivery", nora, b"")
    assert {row["state"] for row in deliveries} == {"sent", "excluded"}
    assert {row["reply"] for row in deliveries} == {None}


async def test_another_customer_is_untouched(
    database: Database, catalog: asyncpg.Connection, business: Business, nora: Life
) -> None:
    """Every row of somebody else in the same business is the same afterwards."""
    zoe = await lived(database, business, *ZOE)
    fingerprint = _hash(database, zoe)
    before = {table: await _rows_of(catalog, table, zoe, fingerprint) for table in KNOWS}

    async with database.write(business.id) as db:
        await privacy.erase(db, nora.actor, nora.customer.id)

    after = {table: await _rows_of(catalog, table, zoe, fingerprint) for table in KNOWS}
    assert after == before
    assert sum(map(len, before.values())) > len(KNOWS)
