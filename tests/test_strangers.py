"""Promise 14: another business's ids are ids of nobody, for every statement and every route.

Business A has lived through everything. Then business B uses A's ids, and again ids that nobody
has. The two must read the same, in what is answered, in what is refused and in how many rows are
touched; and every row of A is as before. Statements and routes are walked, so a new one is
covered; a parameter whose sample cannot be found fails and is named.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pyotp
import pytest
from asyncpg.prepared_stmt import PreparedStatement
from litestar.types import ASGIApp
from msgspec import Struct

from crm import businesses, campaigns, customers, ledger, mail, privacy, segments, trust
from crm.access import credentials
from crm.businesses import Business
from crm.businesses.theme import Theme
from crm.campaigns import filling
from crm.connections import with_json
from crm.customers import Customer
from crm.db import SQL, Database, Statement, parse
from crm.journal import Journal
from crm.ledger import Finding, KeyKind
from crm.mail import relays
from crm.mail.relays import NewRelay
from crm.privacy import NewRequest, RequestKind, merging, requests
from crm.privacy.requests.model import Way
from crm.segments import NewSegment
from crm.staff import second_factor
from crm.staff import sessions as staff_sessions
from crm.staff.model import Credentials
from crm.web import openapi
from tests import make
from tests.browser import Browser
from tests.conftest import KEYS, Cluster
from tests.privacy.life import Life, lived
from tests.routes import DOCUMENT, ROUTES, Route

NOW = datetime(2031, 1, 1, tzinfo=UTC)
# `above` holds the few questions above one business; each answers with ids only.
STATEMENTS = {
    f"{path.stem}.{statement.name}": statement
    for path in sorted(SQL.glob("*.sql"))
    if path.stem != "above"
    for statement in parse(path.read_text())
}
# Where A's value is meant to differ from nobody's, and why.
TAKEN = {
    "add_host": "a host belongs to one business of the whole installation",
    "add_verdict": "a skeleton and its digest belong together; nobody's do not, and are refused",
    "add_dkim_key": "a record for DNS reads like a fingerprint; nobody's is none, and is refused",
    "change_theme": "a colour reads like a fingerprint; nobody's is no colour, and is refused",
    "keep_form": "words and their digest belong together; nobody's do not, and are refused",
}
# As many rows of each table are tried as a table has states worth trying.
ROWS = 4
_TABLES = re.compile(r"\b(?:FROM|JOIN|UPDATE|INTO)\s+(?:crm\.)?([a-z_]+)")
_TELLING = re.compile("@|[0-9a-f]{6}")
# What differs between two askers alone: the token of a session, and the page to come back to.
_OWN = re.compile(r'name="(csrf|back)" value="[^"]+"')
# Parameters that are no column of any table, or must not be what A's rows say.
PLAIN: dict[str, Any] = {
    "among": None,
    "zone": "Europe/Berlin",
    "limit": 50,
    "size": 50,
    "low": UUID(int=0),
    "high": UUID(int=2**128 - 1),
    "cursor": UUID(int=0),
    "before": UUID(int=2**128 - 1),
    "before_id": UUID(int=2**128 - 1),
    "own": ["name"],
    "attributes": ["usual_shop"],
    "after": UUID(int=0),
    "after_hash": b"",
    "after_purpose": UUID(int=0),
    "idle_since": datetime(2000, 1, 1, tzinfo=UTC),
    "quiet_since": NOW,
    "few": 5,
    "last": NOW + timedelta(days=1),
    "kept_off": [""],
    "left_behind": [""],
    "offers_digest": True,
    "again": True,
    "special": True,
    "until": NOW + timedelta(days=1),
    "over_before": NOW + timedelta(days=1),
    "sent_before": NOW + timedelta(days=1),
    "since": datetime(2000, 1, 1, tzinfo=UTC),
    "expires_at": NOW + timedelta(days=1),
    "word": "n",
    "language": "en",
    "checked": "not a hash",
    "new_root": bytes(32),
    "but": b"",
    "token": "of no link",
    "told_id": UUID(int=1),
    "bases": ["consent"],
    "why": "too many came back",
    "today": NOW.date(),
    "unless_declared": "P6Y",
    "soon": NOW.date(),
    "due_before": NOW.date(),
    "step": 2**40,
    "tries": 9,
    "nameless": "list.csv",
    "through": UUID(int=2**128 - 1),
    "months": 36,
    "reaches": timedelta(days=15),
    "most": 9,
    "others": 0,
    "received_before": NOW,
    "proved_at": NOW + timedelta(days=1),
    "first": UUID(int=0),
    "number": 0,
    "leap": 1,
    "before_number": 2**63 - 1,
    "proofs": ["consent.withdrawn"],
    "late": NOW + timedelta(days=1),
    "off_why": "staff",
    "leased_until": NOW,
    "from_states": ["draft", "scheduled", "sending", "paused"],
}
# The same for parameters whose name bounds things of several types.
BOUNDS: dict[tuple[str, str], Any] = {
    ("low", "int8"): 0,
    ("high", "int8"): 2**40,
    ("low", "text"): "",
    ("high", "text"): "zzzz",
    ("before", "timestamptz"): NOW + timedelta(days=1),
}
# What a parameter of a type is given as.
SUITS: dict[str, type | tuple[type, ...]] = {
    "uuid": UUID,
    "timestamptz": datetime,
    "date": date,
    "text": str,
    "bytea": bytes,
    "bool": bool,
    "int2": int,
    "int4": int,
    "int8": int,
}


class Two(Struct):
    """A, who has everything; B, who wants it; and what of A is known to B."""

    a: Life
    b: Business
    # The rows of A by table, each as a mapping.
    rows: dict[str, list[dict[str, Any]]]
    conn: asyncpg.Connection
    # Sums up every row of a business, table by table, in one question.
    sums: PreparedStatement[asyncpg.Record]
    # What they came to when A had lived: no test here changes A.
    whole: dict[str, str] = {}

    async def mark(self) -> dict[str, str]:
        """Sum up every row of A."""
        return {row["name"]: row["sum"] for row in await self.sums.fetch(self.a.business.id)}


@pytest.fixture(scope="module")
async def two(database: Database, shared_cluster: Cluster) -> AsyncIterator[Two]:
    """Let A live through everything, and B exist."""
    async with met(database, shared_cluster) as both:
        yield both


@asynccontextmanager
async def met(database: Database, cluster: Cluster) -> AsyncIterator[Two]:
    """Have A live through everything beside B, until the block ends."""
    a = await make.business(database)
    b = await make.business(database, name="Stranger & Sons")
    life = await lived(database, a, "nora.lindqvist@example.com", "Nora Lindqvist")
    conn = await asyncpg.connect(cluster.superuser_url, server_settings={"search_path": "crm"})
    try:
        await with_json(conn)
        await _complete(database, conn, life)
        both = Two(life, b, await _rows(conn, a.id), conn, await _sums(conn))
        both.whole = await both.mark()
        yield both
    finally:
        await conn.close()


async def _complete(database: Database, conn: asyncpg.Connection, life: Life) -> None:
    """Add what a life leaves empty: a suppression, a way in, a retry, a kept answer, a campaign."""
    business_id = life.business.id
    async with database.write(business_id) as db:
        fingerprint = db.keys.address_hash(db.business_id, customers.fold("gone@example.com"))
        await mail.suppress(db, make.SYSTEM, fingerprint, mail.Scope.marketing, mail.Why.moved)
        await mail.suppress(db, make.SYSTEM, fingerprint, mail.Scope.all, mail.Why.bounced)
        back = db.keys.address_hash(db.business_id, customers.fold("back@example.com"))
        await mail.suppress(db, make.SYSTEM, back, mail.Scope.all, mail.Why.bounced)
        left = db.keys.address_hash(db.business_id, customers.fold("left@example.com"))
        await mail.suppress(db, make.SYSTEM, left, mail.Scope.marketing, mail.Why.moved)
        rule = {"test": "tag", "name": "bakes_at_home"}
        bakers = await segments.add(db, make.SYSTEM, NewSegment(name="Bakers", rule=rule))
        await make.campaign(db, life.notice.purpose_id, segment_id=bakers.id)
        await businesses.change_theme(db, make.SYSTEM, Theme(foot="Open on Sundays"))
        checked = Credentials(life.member.id, life.member.address, "not a hash")
        await staff_sessions.open_session(db, checked)
        begun = await second_factor.begin(db, life.member, life.business)
        code = pyotp.TOTP(begun.letters.replace(" ", "")).at(db.now)
        await second_factor.confirm(db, life.member, code)
        await second_factor.insist(db, make.SYSTEM, on=True)
        slug = await _slug(conn, life)
        for address in ("x@example.com", "y@example.com", "z@example.com"):
            await make.received(db, slug, f"Email Address\n{address}\n")
        await relays.limit_domain(db, make.SYSTEM, "slow.example", 5, 2)
        relay = NewRelay(
            name="Main", host="localhost", password="of a relay", warm_up=[200], rate=9
        )
        relay_id = await relays.add(db, make.SYSTEM, relay, NOW.date())
        await relays.note(db, relay_id, "no_answer")
        await trust.count(db)
        asked = await requests.receive(
            db,
            make.SYSTEM,
            NewRequest(kind=RequestKind.access, address="unknown@example.com", words="And I?"),
            way=Way.mail,
        )
        await requests.send_link(db, make.SYSTEM, asked.id)
        await requests.settle(db, life.actor, RequestKind.objection, life.customer.id)
        await privacy.ask(db, life.member.actor, life.customer.id, reason="to answer her")
        twice = [await make.customer(db) for _ in range(2)]
        await merging.merge(db, make.SYSTEM, *(each.id for each in twice))
    await _halted(database, conn, life)
    await _sealed(database, conn, business_id)
    await _write(conn, life, relay_id)


async def _write(conn: asyncpg.Connection, life: Life, relay_id: UUID) -> None:
    """Write by hand what would take days, a worker or an erasure to come about."""
    business_id, tomorrow = life.business.id, NOW + timedelta(days=1)
    retry = """INSERT INTO crm.retry (business_id, campaign_id, customer_id, due_at)
        SELECT business_id, campaign_id, customer_id, $2 FROM crm.delivery
         WHERE business_id = $1 AND state = 'waiting'"""
    await conn.execute(retry, business_id, tomorrow)
    canary = """INSERT INTO crm.canary (business_id, campaign_id, mark, sent_at)
        SELECT business_id, campaign_id, substr(sha256('canary'), 1, 16), $2 FROM crm.campaign
         WHERE business_id = $1"""
    await conn.execute(canary, business_id, NOW)
    asks = """UPDATE crm.campaign
        SET question = 'Which?', answers = '{Rye,Oats}', source = source || ' ![Bread](bread.png)'
        WHERE business_id = $1"""
    await conn.execute(asks, business_id)
    for state in ("tried", "undoing"):
        moved = """UPDATE crm.import SET state = $2, only_try = $2 = 'tried', done_at = $3
            WHERE business_id = $1 AND import_id = (SELECT min(import_id::text)::uuid
             FROM crm.import WHERE business_id = $1 AND state = 'waiting')"""
        await conn.execute(moved, business_id, state, NOW)
    await _come_back(conn, business_id)
    await _go_on(conn, life)
    bound = "UPDATE crm.attribute SET purpose_id = $2 WHERE business_id = $1"
    await conn.execute(bound, business_id, life.notice.purpose_id)
    use = "INSERT INTO crm.relay_use VALUES ($1, $2, $3, 7, $4)"
    await conn.execute(use, business_id, relay_id, NOW.date(), NOW)
    certificate = """INSERT INTO crm.erasure
        VALUES ($1, $2, $3, 'customer', 'keep', '{"event": 3}', 2, $3)"""
    await conn.execute(certificate, business_id, life.customer.id, tomorrow)
    wish = "INSERT INTO crm.erasure_wish VALUES ($1, $2, $3, $4, 'keep', true, $5)"
    call_off = credentials.fingerprint(_call_off(business_id))
    await conn.execute(wish, business_id, life.customer.id, NOW, tomorrow, call_off)
    answer = """INSERT INTO crm.idempotency_key
        VALUES ($1, 'scope', 'key', 'f', 200, 'body', 'application/json', $2, $2)"""
    await conn.execute(answer, business_id, tomorrow)
    shown = """INSERT INTO crm.form_shown
        VALUES ($1, sha256(convert_to('form', 'UTF8')), 'en', 'form', $2)"""
    await conn.execute(shown, business_id, NOW)
    gone = """WITH stub AS (INSERT INTO crm.consent_event (business_id, event_id, commitment)
                            VALUES ($1, $2, $3) RETURNING event_id)
        INSERT INTO crm.consent_erased SELECT $1, event_id, $4 FROM stub"""
    async with conn.transaction():
        await conn.execute("SET CONSTRAINTS ALL DEFERRED")
        await conn.execute(gone, business_id, uuid4(), bytes(32), NOW.date())


# Something came back, and there are places where it is heard.
_COMES_BACK = (
    """inbound_report (business_id, digest, via, kind, at)
       VALUES ($1, sha256('report'), 'listener', 'hard', $2)""",
    """inbound_count (business_id, day, via, kind, reports, last_at)
       VALUES ($1, '2030-12-31', 'listener', 'hard', 3, $2)""",
    """campaign_return (business_id, campaign_id, kind, reports)
       SELECT business_id, campaign_id, 'hard', 3 FROM crm.campaign
        WHERE business_id = $1 AND $2::timestamptz IS NOT NULL""",
    """domain_trouble (business_id, campaign_id, domain, kind, reason, customers)
       SELECT business_id, campaign_id, 'slow.example', 'failed', 'policy', 7
         FROM crm.campaign WHERE business_id = $1 AND $2::timestamptz IS NOT NULL""",
    """poll_count (business_id, campaign_id, answer, given)
       SELECT business_id, campaign_id, 1, 30 FROM crm.campaign
        WHERE business_id = $1 AND $2::timestamptz IS NOT NULL""",
    """campaign_image (business_id, campaign_id, name, media_type, content, added_at)
       SELECT business_id, campaign_id, 'bread.png', 'image/png', 'bytes', $2
         FROM crm.campaign WHERE business_id = $1""",
    """logo (business_id, name, media_type, content, changed_at)
       VALUES ($1, 'logo.png', 'image/png', 'bytes', $2)""",
    """soft_bounce (business_id, address_hash, bounces, first_at, last_at)
       VALUES ($1, substr(sha256('soft'), 1, 16), 2, $2, $2)""",
    """mailbox (business_id, host, port, tls, username, password, folder, kept_in, next_at,
                changed_at)
       VALUES ($1, 'imap.example', 993, 'implicit', 'letters', 'kept', 'INBOX', 'Read', $2,
               $2)""",
    "journal_mark (business_id, number) SELECT $1, 7 WHERE $2::timestamptz IS NOT NULL",
    """journal_debt (business_id, debt_id, entry, owed_at)
       VALUES ($1, gen_random_uuid(), '{"type": "lifted", "address": "00"}', $2)""",
    """digest_plan (business_id, purpose_id, weekday, hour, subject, switched_by, switched_at,
                    due_at)
       SELECT business_id, purpose_id, 5, 9, 'The week', (
                SELECT m.member_id FROM crm.member m WHERE m.business_id = $1 LIMIT 1), $2, $2
         FROM crm.purpose WHERE business_id = $1
       ON CONFLICT (business_id, purpose_id) DO UPDATE
          SET offered = true, due_at = excluded.due_at""",
    """digest (business_id, purpose_id, week, campaign_id, first_id, issues, made_at)
       SELECT business_id, purpose_id, '2030-12-30', campaign_id, campaign_id,
              ARRAY[campaign_id], $2
         FROM crm.campaign WHERE business_id = $1 LIMIT 1""",
    """retention_sweep (business_id, what, begun_at, pieces, deleted)
       VALUES ($1, 'attributes', $2, 2, 3)""",
    """dormancy (business_id, customer_id, told_at, due_at)
       SELECT business_id, customer_id, $2, $2::timestamptz + interval '30 days'
         FROM crm.customer WHERE business_id = $1""",
    """quarantine (business_id, customer_id, purpose_id, import_id, part, line, why, since,
                   ends_at)
       SELECT $1, c.customer_id, i.purpose_id, i.import_id, '', 7, 'It has no time.', $2, $2
         FROM crm.customer c, crm.import i WHERE c.business_id = $1 AND i.business_id = $1
       ON CONFLICT DO NOTHING""",
    """import_mapping (business_id, name, mapping, changed_at)
       VALUES ($1, 'sent', '{"columns": [{"header": "Mail", "means": "address"}]}', $2)""",
    """restriction_end (business_id, customer_id, told_at, due_at, actor_kind)
       SELECT business_id, customer_id, $2, $2::timestamptz + interval '3 days', 'system'
         FROM crm.customer WHERE business_id = $1""",
    """event_unread (business_id, event_id, entered_at)
       VALUES ($1, gen_random_uuid(), $2)""",
    """webhook (business_id, provider, secret_hash, made_at)
       VALUES ($1, 'postmark', sha256('secret'), $2)""",
)


async def _come_back(conn: asyncpg.Connection, business_id: UUID) -> None:
    for row in _COMES_BACK:
        await conn.execute(f"INSERT INTO crm.{row}", business_id, NOW)


async def _go_on(conn: asyncpg.Connection, life: Life) -> None:
    """Rows that are in no state of interest come into one; where there are two, the other stays."""
    old = datetime(1999, 1, 1, tzinfo=UTC)
    hers = "business_id = $1 AND customer_id = $2"
    for change, *values in (
        (f"customer SET time_zone = 'Europe/Berlin' WHERE {hers}", life.customer.id),
        (
            f"retry SET waits_for = 'budget', due_at = $3 WHERE {hers}",
            life.customer.id,
            old,
        ),
        (
            """lease SET hard = 1, uncertain = uncertain + 1, blocked = 1, excluded = excluded + 1,
                reasons = crm.count_reasons(reasons, '{digest}') WHERE business_id = $1""",
        ),
        (
            """soft_bounce SET last_at = $3, address_hash = (SELECT address_hash
                FROM crm.customer WHERE customer_id = $2) WHERE business_id = $1""",
            life.customer.id,
            old,
        ),
        (
            """service_message SET state = 'sending', lease_until = $2, code = 451, reply = 'busy'
                WHERE business_id = $1 AND kind = 'business'""",
            NOW + timedelta(days=1),
        ),
    ):
        await conn.execute(f"UPDATE crm.{change}", life.business.id, *values)


async def _halted(database: Database, conn: asyncpg.Connection, life: Life) -> None:
    """A campaign just started, a cancelled one in which somebody waits, and one in doubt."""
    async with database.write(life.business.id) as db:
        begun = await make.campaign(db, life.notice.purpose_id)
        await campaigns.start(db, make.SYSTEM, begun.id)
    for doubt in (False, True):
        async with database.write(life.business.id) as db:
            campaign = await make.campaign(db, life.notice.purpose_id)
            await campaigns.start(db, make.SYSTEM, campaign.id)
            await filling.fill_piece(db, campaign.id, 10)
            await campaigns.cancel(db, make.SYSTEM, campaign.id)
        if doubt:
            await conn.execute(
                """WITH doubted AS (
                     UPDATE crm.delivery SET state = 'uncertain' WHERE campaign_id = $1
                        AND state = 'waiting' RETURNING business_id)
                   UPDATE crm.lease SET uncertain = waiting, waiting = 0, open = false
                    WHERE business_id IN (TABLE doubted) AND campaign_id = $1""",
                campaign.id,
            )


async def _sealed(database: Database, conn: asyncpg.Connection, business_id: UUID) -> None:
    """A ledger with leaves, a signed head, an entry that waits, a finding, and a round of looks."""
    enter = "SELECT crm.enter_ledger($1, $2, $3, $4)"
    for number in range(2):
        ids = [uuid4(), uuid4()]
        await conn.execute(enter, business_id, ids, [bytes(32), bytes(32)], NOW)
        if number == 0:
            with TemporaryDirectory() as directory:
                await ledger.seal(database, business_id, Journal(Path(directory)), most=10)
    async with database.write(business_id) as db:
        await ledger.report(db, [Finding("leaf_changed", "leaf 1", "It is not what was sealed.")])
        await ledger.begin_watch(db)
        await ledger.rotate(db, make.SYSTEM, KeyKind.checkpoint)


async def _slug(conn: asyncpg.Connection, life: Life) -> str:
    found: str = await conn.fetchval(
        "SELECT slug FROM crm.purpose WHERE purpose_id = $1", life.notice.purpose_id
    )
    return found


async def _tables(conn: asyncpg.Connection) -> list[str]:
    rows = await conn.fetch(
        "SELECT DISTINCT c.table_name FROM information_schema.columns c"
        " JOIN pg_class p ON p.relname = c.table_name AND p.relkind = 'r'"
        " WHERE c.table_schema = 'crm' AND c.column_name = 'business_id' ORDER BY 1"
    )
    return [row[0] for row in rows]


async def _rows(conn: asyncpg.Connection, business_id: UUID) -> dict[str, list[dict[str, Any]]]:
    """Read every row of a business, the fullest of each state first."""
    found = {}
    for table in await _tables(conn):
        rows = await conn.fetch(
            f"SELECT * FROM crm.{table} WHERE business_id = $1",  # noqa: S608
            business_id,
        )
        full = sorted(rows, key=lambda row: [value is None for value in row.values()])
        first: dict[Any, dict[str, Any]] = {}
        for row in full:
            first.setdefault((row.get("state"), row.get("kind")), dict(row))
        found[table] = [*first.values(), *(dict(row) for row in full)]
    return found


async def _sums(conn: asyncpg.Connection) -> PreparedStatement[asyncpg.Record]:
    each = " UNION ALL ".join(
        f"SELECT '{table}' AS name,"  # noqa: S608
        " md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) AS sum"
        f" FROM crm.{table} t WHERE business_id = $1"
        for table in await _tables(conn)
    )
    return await conn.prepare(each)


def test_everything_is_there_to_be_stolen(two: Two) -> None:
    """Where A has no row, nothing would be proven."""
    assert not [table for table, rows in two.rows.items() if not rows]


def _column(two: Two, statement: Statement, name: str, kind: str, nth: int) -> Any:
    """Find A's value for a parameter: of the statement's own tables first, then of any."""
    own = [table for table in _TABLES.findall(statement.sql) if table in two.rows]
    for table in [*own, *two.rows]:
        rows = two.rows[table]
        named = next((each for each in _columns(name) if each in rows[0]), None)
        if named is not None:
            value = rows[nth % len(rows)][named]
            if value is None:
                value = next((row[named] for row in rows if row[named] is not None), None)
            if _fits(value, kind):
                return value
    return KeyError


def _fits(value: Any, kind: str) -> bool:
    """Say whether a parameter of this type can be given the value at all."""
    if isinstance(value, list) and kind != "jsonb":
        return kind.endswith("[]") and all(_fits(each, kind) for each in value)
    suits = SUITS.get(kind.removesuffix("[]"))
    return value is None or suits is None or isinstance(value, suits)


def _columns(name: str) -> Iterable[str]:
    """Name the columns that a parameter may mean: its own name, or of an array its singular."""
    yield name
    for ending, single in (("ies", "y"), ("hes", "h"), ("ses", "s"), ("s", "")):
        if name.endswith(ending):
            yield name.removesuffix(ending) + single
    yield f"{name}_id"


def _tries(two: Two, statement: Statement, kinds: list[str]) -> list[list[Any]]:
    """Choose A's values from one row after the other, and never the same ones twice."""
    tries: list[list[Any]] = []
    now = datetime.now(UTC)
    for nth in range(ROWS):
        # Half of the tries are made when everything has expired.
        values = _values(two, statement, kinds, nth, NOW + timedelta(days=90) if nth % 2 else now)
        if values not in tries:
            tries.append(values)
    return tries


def _values(two: Two, statement: Statement, kinds: list[str], nth: int, now: datetime) -> list[Any]:
    """Choose A's value for each parameter; what cannot be chosen is named."""
    found = []
    for name, kind in zip(statement.params, kinds, strict=True):
        if name == "now":
            found.append(now)
            continue
        value = PLAIN.get(name, KeyError)
        if value is KeyError or not _fits(value, kind):
            value = BOUNDS.get((name, kind), KeyError)
        if value is KeyError:
            value = _column(two, statement, name, kind, nth)
        if value is KeyError:
            value = _of_kind(kind)
        assert value is not KeyError, f"no sample for :{name} ({kind}); add it to PLAIN"
        if kind.endswith("[]") and not isinstance(value, list):
            value = [value]
        found.append(value)
    return found


def _of_kind(kind: str) -> Any:
    """A number or a yes says nothing of whom it belongs to."""
    plain = {"int2": 1, "int4": 1, "int8": 1, "numeric": 1, "bool": True, "timestamptz": NOW}
    return plain.get(kind.removesuffix("[]"), KeyError)


class Nobody(Struct):
    """Turns each id of A into an id that nobody has, the same one each time."""

    known: dict[Any, Any]

    def instead(self, value: Any) -> Any:
        """Replace what names somebody: ids, fingerprints and texts."""
        if isinstance(value, list):
            return [self.instead(each) for each in value]
        if isinstance(value, UUID) and value.int not in (0, 2**128 - 1):
            return self.known.setdefault(value, uuid4())
        if isinstance(value, str) and _TELLING.search(value) and "://" not in value:
            return self.known.setdefault(value, f"nobody{uuid4().hex[:8]}{value[-4:]}")
        if isinstance(value, bytes) and value:
            return self.known.setdefault(value, hashlib.sha256(value).digest()[: len(value)])
        return value

    def read(self, found: Any) -> str:
        """Write an answer so that nobody's reads as A's would."""
        text = repr(found)
        for mine, theirs in self.known.items():
            text = text.replace(repr(theirs), repr(mine))
        return text


async def _answer(
    prepared: PreparedStatement[asyncpg.Record], values: list[Any]
) -> tuple[Any, str]:
    """Run a statement as the application does; say what came, or which refusal."""
    try:
        rows = await prepared.fetch(*values)
    except asyncpg.PostgresError as wrong:
        return None, _refusal(wrong)
    return [tuple(row) for row in rows], prepared.get_statusmsg() or ""


def _refusal(wrong: asyncpg.PostgresError) -> str:
    """Name the refusal; a sample that PostgreSQL never saw is none, and proves nothing."""
    assert "invalid input for query argument" not in str(wrong), wrong
    return type(wrong).__name__


async def _tried(
    two: Two, prepared: PreparedStatement[asyncpg.Record], values: list[Any], *, apart: bool
) -> tuple[Any, bool]:
    """Run a statement in a transaction of B; say whether it wrote, before it is rolled back."""
    role = "SET LOCAL ROLE crm_app;" if apart else ""
    await two.conn.execute(f"BEGIN; {role} SELECT crm.begin_business('{two.b.id}')")
    try:
        answer = await _answer(prepared, values)
        return answer, answer[0] is not None and await _touched(two)
    finally:
        await two.conn.execute("ROLLBACK")


async def _touched(two: Two) -> bool:
    """Say whether anything of A is otherwise than it was."""
    if await two.conn.fetchval("SELECT pg_current_xact_id_if_assigned() IS NULL"):
        return False  # nothing at all was written, or so much as locked
    await two.conn.execute("RESET ROLE")
    return await two.mark() != two.whole


async def _tells(two: Two, statement: Statement, named: UUID, *, apart: bool) -> bool:
    """Say whether A's ids are answered otherwise than nobody's, or anything of A is touched."""
    prepared = await two.conn.prepare(statement.sql)
    kinds = [kind.name for kind in prepared.get_parameters()]
    for values in _tries(two, statement, kinds):
        # B names itself; whoever names A outright is compared with naming no business there is.
        nobody = Nobody({two.b.id: two.b.id})
        if "business_id" in statement.params:
            values[statement.params.index("business_id")] = named
        answer, touched = await _tried(two, prepared, values, apart=apart)
        if touched:
            return True
        theirs, _ = await _tried(two, prepared, nobody.instead(values), apart=apart)
        if repr(answer) != nobody.read(theirs):
            return True
    return False


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=list(STATEMENTS))
async def test_a_statement_asks_for_its_business(two: Two, statement: Statement) -> None:
    """Also without row-level security behind it, B with A's ids is nobody."""
    assert not await _tells(two, statement, two.b.id, apart=False) or statement.name in TAKEN


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=list(STATEMENTS))
async def test_row_level_security_stands_behind(two: Two, statement: Statement) -> None:
    """Also where a statement names A outright, the role that serves B finds nobody."""
    assert not await _tells(two, statement, two.a.business.id, apart=True)


async def test_the_samples_would_find_something(two: Two) -> None:
    """What the tests above rest on: where nothing keeps them apart, A's ids do tell.

    Not for every statement: some ask for a state that none of A's rows is in.
    """
    blunt = [
        name
        for name, statement in STATEMENTS.items()
        if not await _tells(two, statement, two.a.business.id, apart=False)
    ]
    assert len(blunt) <= len(STATEMENTS) // 7, blunt


# What forms of the console and the portal are filled in with; a form takes what it knows.
FORM = {
    "reason": "answering your question",
    "answer": "answering your question",
    "why": "answering your question",
    "ground": "excessive",
    "name": "Stolen",
    "label": "Stolen",
    "title": "Stolen",
    "detail": "Stolen",
    "text": "Yes, send me everything there is. I can stop at any time.",
    "control_label": "Send me everything",
    "locale": "en",
    "accepts": "signed_form",
    "role": "viewer",
    "decision": "start",
    "password": make.PASSWORD,
    "signed_on": "2024-01-02",
    "at": "2031-01-01T09:00",
    "confirmed": "yes",
    "subject": "Stolen",
    "source": "Stolen",
    "version": "1",
    "state": "sent",
    "external_id": "",
    "address": "stranger@example.com",
    "code": "ABCD EFGH",
}
# Links whose right is in the link itself: whoever holds it acts for the one it names.
BY_LINK = ("/u/", "/p/", "/why/", "/hooks/")
WITH_IDS = [
    route
    for route in ROUTES
    if (UUID in route.types.values() or "token" in route.types)
    and not route.path.startswith(BY_LINK)
]


class Intruder(Struct):
    """Everybody of B, each signed in where they may be."""

    program: Browser
    staff: Browser
    customer: Browser

    def at(self, path: str) -> Browser:
        """Choose who goes to a path."""
        if path.startswith("/v1"):
            return self.program
        return self.staff if path.startswith("/staff") else self.customer


@pytest.fixture(scope="module")
async def intruder(site: ASGIApp, database: Database, two: Two) -> AsyncIterator[Intruder]:
    """Let B's program, owner and customer in, at B."""
    async with database.write(two.b.id) as db:
        theirs = await make.customer(db)
    async with let_in(site, database, two.b, theirs) as people:
        yield people


@asynccontextmanager
async def let_in(
    site: ASGIApp, database: Database, business: Business, customer: Customer
) -> AsyncIterator[Intruder]:
    """Let a program, an owner and a customer of a business in."""
    async with (
        Browser(site, business.origin) as program,
        Browser(site, business.origin) as browser,
        Browser(site, business.origin) as portal,
    ):
        await make.let_in_by_key(database, business, program)
        await make.let_in_as_owner(database, business, browser)
        await make.let_in_as_customer(database, business, customer, portal)
        yield Intruder(program, browser, portal)


def _sample(two: Two, path: str, name: str) -> Any:
    """Find A's id for a parameter: `id` is of what stands before it in the path."""
    thing = name.removesuffix("_id")
    if name == "id":
        thing = path[: path.index("{id}")].rstrip("/").rpartition("/")[2].removesuffix("s")
    life = {"customer": two.a.customer.id, "campaign": two.a.waits.id, "member": two.a.member.id}
    life["other"] = next(row["merged_into"] for row in two.rows["customer"] if row["merged_into"])
    life["archive"] = life["mail"] = two.a.got.id
    if "/webhooks/" in path:
        told = (each for each in two.rows["post"] if each["acknowledged_at"])
        life["event"] = next(told)["event_id"]
    life["privacy-request"] = two.rows["privacy_request"][0]["request_id"]
    life["service-message"] = next(
        each["message_id"] for each in two.rows["service_message"] if each["kind"] == "business"
    )
    # A session is known by the proof of the mailbox that it came of.
    life["proof"] = two.rows["portal_session"][0]["proof_id"]
    if "/quarantine" in path and name in {"import_id", "customer_id"}:
        # Programs and staff each let another one go.
        rows = two.rows["quarantine"]
        return (rows[0] if path.startswith("/v1/") else rows[-1])[name]
    if thing in life:
        return life[thing]
    held = (row.get(f"{thing}_id") for rows in two.rows.values() for row in rows)
    return next((each for each in held if each is not None), None)


def _call_off(business_id: UUID) -> str:
    return credentials.secret_token(business_id, bytes(credentials.SECRET_SIZE))


def _token(two: Two, path: str) -> str:
    """Find the secret of a link in the mails that wait for A's customer."""
    if path.startswith("/call-off/"):
        return _call_off(two.a.business.id)
    if path.startswith("/erased/"):
        return privacy.certificate_token(KEYS, two.a.business.id, two.a.customer.id)
    link = re.compile(path.format(token=r"([\w-]{20,})"))
    for row in two.rows["service_message"]:
        if row["content"]:
            mail_of_a = email.message_from_bytes(row["content"], policy=email.policy.default)
            part = mail_of_a.get_body(("plain",))
            assert isinstance(part, EmailMessage)
            if found := link.search(part.get_content()):
                return found[1]
    message = f"no mail of A holds a link for {path}"
    raise AssertionError(message)


async def _call(
    two: Two, intruder: Intruder, route: Route, nobody: Nobody | None
) -> tuple[int, str]:
    """Call a route with A's ids, or with nobody's in their place; say what came back."""

    def of(name: str) -> Any:
        value = _sample(two, route.path, name)
        assert value is not None, f"no sample for {{{name}}} of {route}; add it to _sample"
        return nobody.instead(value) if nobody else value

    given = {name: of(name) for name, kind in route.types.items() if kind is UUID}
    plain: dict[str, Any] = {name: "sent" for name, kind in route.types.items() if kind is str}
    plain |= {name: 1 for name, kind in route.types.items() if kind is int}
    if "/images/" in route.path:
        plain["name"] = "bread.png"
    if "/tags/" in route.path:
        plain["name"] = "bakes_at_home"
    if "token" in plain:
        secret = _token(two, route.path)
        plain["token"] = secret[:-8] + "AAAAAAAA" if nobody else secret
    path = route.path.format(**plain | given)
    who = intruder.at(route.path)
    sent = request_of(route, of)
    if who is not intruder.program and route.method == "POST":
        page = "/staff/account" if who is intruder.staff else "/me/consent"
        sent = {"data": {**FORM, "csrf": await who.token(page)}}
    answer = await who.request(route.method, path, **sent)
    text = _OWN.sub("", answer.text)
    for value in given.values():
        text = text.replace(str(value), "ID")
    return answer.status_code, text


def request_of(route: Route, of: Any) -> dict[str, Any]:
    """Make the body, the query and the headers that an operation of the API asks for."""
    operation = route.operation
    if not operation:
        return {}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        if isinstance(value, str) and re.fullmatch("[A-Z]+_ID", value):
            return str(of(value.lower()))
        return value

    media, body = openapi.body_sample(DOCUMENT, operation)
    headers = {"if-match": "*", "idempotency-key": uuid4().hex}
    query = {
        each["name"]: filled(openapi.sample(DOCUMENT, each["schema"], each["name"]))
        for each in operation.get("parameters", ())
        if each["in"] == "query" and each["required"]
    }
    sent: dict[str, Any] = {"headers": headers, "params": query}
    if media:
        headers["content-type"] = media
        sent["content"] = msgspec.json.encode(filled(body))
    return sent


@pytest.mark.parametrize("route", WITH_IDS, ids=str)
async def test_a_route_knows_nothing_of_another_business(
    two: Two, intruder: Intruder, route: Route
) -> None:
    """B, signed in at B, with A's ids in the path and in the body: as if nobody had them."""
    status, text = await _call(two, intruder, route, None)
    theirs = await _call(two, intruder, route, Nobody({}))

    assert (status, text) == theirs
    assert status in {403, 404, 409, 422}
    assert await two.mark() == two.whole


def _ends(route: Route) -> tuple[bool, bool, bool, int]:
    """Tell what ends rows, an endpoint, her sessions, and then what ends her record."""
    path = route.path
    apart = "/quarantine" in path and not path.endswith("/release")
    all_of_them = path.endswith(("/quarantine", "/quarantine/let-go"))
    removes = "/webhooks/" in path and (route.method == "DELETE" or path.endswith("/removal"))
    hers = "/undo/" in path or "/address/" in path
    return "erasure" in path, hers, removes, apart + all_of_them


async def test_the_routes_would_find_something(
    site: ASGIApp, database: Database, shared_cluster: Cluster
) -> None:
    """What the test above rests on: A's own people do reach A's things by the same calls."""
    async with (
        met(database, shared_cluster) as two,
        let_in(site, database, two.a.business, two.a.customer) as people,
    ):
        # A copy is given to the program that asked for it, and to no other of the same business.
        asked = """UPDATE crm.copy SET actor_id = (
            SELECT key_id FROM crm.api_key WHERE business_id = $1 ORDER BY created_at DESC LIMIT 1)
            WHERE business_id = $1 AND actor_kind = 'key'"""
        await two.conn.execute(asked, two.a.business.id)
        # What ends her record comes last.
        routes = sorted(WITH_IDS, key=_ends)
        missed = [
            str(route)
            for route in routes
            if (await _call(two, people, route, None))[0] == HTTPStatus.NOT_FOUND
        ]
    assert missed == []
