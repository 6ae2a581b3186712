"""The review: who would get it and who not, by reason, and the parts are the whole."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm import campaigns, consent, customers, mail
from crm.businesses import Business
from crm.campaigns import Review
from crm.campaigns.model import Reason
from crm.consent import Circumstances, Method
from crm.db import Database, Statements, parse
from crm.events import Actor
from crm.privacy import merging
from tests import make
from tests.campaigns.site import drafted
from tests.conftest import Cluster

SYSTEM = Actor.system()


async def test_each_reason_is_counted(database: Database, business: Business) -> None:
    """One customer for each reason there can be before a start, and one who gets it."""
    campaign, notice, ids = await drafted(database, business, 5)
    gets, left, frozen, blocked, merged = ids
    async with database.write(business.id) as db:
        await consent.withdraw(
            db, Actor.customer(left), left, campaign.purpose_id, method=Method.portal
        )
        await customers.restrict(db, SYSTEM, frozen)
        address = (await customers.get(db, blocked)).address
        fingerprint = db.keys.address_hash(business.id, address)
        await mail.suppress(db, SYSTEM, fingerprint, mail.Scope.marketing, mail.Why.bounced)
        await merging.merge(db, SYSTEM, gets, merged, tells=False)
        new = customers.NewCustomer(address="asked@example.com")
        asked = await customers.add(db, SYSTEM, new, source=customers.Source.sign_up)
        by, form = Actor.customer(asked.id), Circumstances(Method.web_form)
        await consent.request(db, by, asked.id, notice.question, form)
    async with database.read(business.id) as db:
        review = await campaigns.review(db, campaign.id)

    assert review == Review(
        1, {"withdrawn": 1, "frozen": 1, "suppressed": 1, "erased": 1, "no_consent": 1}
    )
    assert review.audience == 6


async def test_another_purpose_and_another_business_do_not_count(
    database: Database, business: Business, other_business: Business
) -> None:
    """The audience is that of the campaign's own purpose."""
    campaign, _, _ = await drafted(database, business, 2)
    await drafted(database, other_business, 3)
    async with database.write(business.id) as db:
        elsewhere = await make.notice(db, (await make.purpose(db)).id)
        await make.audience(db, elsewhere, 4, prefix="elsewhere")
        review = await campaigns.review(db, campaign.id)

    assert (review.will_get, review.audience) == (2, 2)


ONE_BY_ONE = parse(
    """-- name: one_by_one
-- The rule for each customer by itself.
SELECT crm.exclusion(s.status, s.ends_at, u.scope, c.restricted_at, c.erased_at, :now) AS reason,
       count(*) AS customers,
       count(*) FILTER (
         WHERE s.status IN ('given', 'renewed')
           AND crm.exclusion(s.status, s.ends_at, u.scope, c.restricted_at, c.erased_at, :now)
               IS NULL
           AND crm.asked_again(s.at, s.ends_at, s.stale_at, :now)) AS asked
  FROM crm.consent_now s
  JOIN crm.customer c ON c.business_id = :business_id AND c.customer_id = s.customer_id
  LEFT JOIN crm.suppression u ON u.business_id = :business_id AND u.address_hash = c.address_hash
 WHERE s.business_id = :business_id AND s.purpose_id = :purpose_id
 GROUP BY 1"""
)[0]


async def _bury(root: asyncpg.Connection, business: Business, count: int) -> None:
    await root.execute(
        """INSERT INTO crm.customer (business_id, customer_id, source, created_at, changed_at,
                                     erased_at)
           SELECT $1, gen_random_uuid(), 'import', now(), now(), now()
             FROM generate_series(1, $2)""",
        business.id,
        count,
    )


async def _merge(root: asyncpg.Connection, business: Business) -> None:
    """Merge some into another, a few of them frozen: their consents are still there."""
    await root.execute(
        """UPDATE crm.customer c SET erased_at = now(), address = NULL, folded = NULL,
                  address_hash = NULL, name = '', locale = '', merged_into = k.customer_id
             FROM (SELECT customer_id FROM crm.customer WHERE business_id = $1 LIMIT 1) k
            WHERE c.business_id = $1 AND c.customer_id <> k.customer_id AND random() < 0.1""",
        business.id,
    )


async def _scatter(root: asyncpg.Connection, business: Business, purpose: UUID) -> None:
    """Put everybody in a state of hers, near an end of hers, and set some apart."""
    await root.execute("SELECT setseed(0.25)")
    # With the triggers that tally.
    await root.execute("SET session_replication_role = origin")
    await root.execute(
        """INSERT INTO crm.purpose_version
           SELECT (jsonb_populate_record(v, '{"version": 2}')).*
             FROM crm.purpose_version v WHERE purpose_id = $1""",
        purpose,
    )
    await root.execute(
        """UPDATE crm.consent SET at = now() - interval '300 days' * random(),
             valid_until = CASE WHEN random() < 0.8 THEN now() + interval '1 day' *
                                (random() * 200 - 40) END,
             purpose_version = 1 + floor(random() * 2)::int,
             status = (ARRAY['given', 'given', 'given', 'renewed', 'unobjected', 'requested',
                             'deferred', 'unknown', 'refused', 'withdrawn', 'revoked', 'expired',
                             'invalidated'])[1 + floor(random() * 13)::int]
            WHERE purpose_id = $1""",
        purpose,
    )
    await root.execute(
        """UPDATE crm.customer SET restricted_at = now()
            WHERE business_id = $1 AND random() < 0.15""",
        business.id,
    )
    await root.execute(
        """INSERT INTO crm.suppression
           SELECT business_id, address_hash, 'marketing', 'bounced', now() FROM crm.customer
            WHERE business_id = $1 AND random() < 0.2""",
        business.id,
    )
    await _merge(root, business)
    # Erased: nothing is left but a mark.
    await _bury(root, business, 20)


@pytest.mark.parametrize("stale", [None, -1, 1, 30, 90])
async def test_counted_together_as_one_by_one(
    database: Database, business: Business, root: asyncpg.Connection, stale: int | None
) -> None:
    """Every state, near every end, with and without what sets a customer apart."""
    campaign, _, _ = await drafted(database, business, 400)
    purpose = campaign.purpose_id
    await _scatter(root, business, purpose)
    if stale is not None:
        await root.execute(
            """UPDATE crm.purpose_version SET stale_at = now() - interval '2 days',
                 ends_at = now() + interval '1 day' * $2
                WHERE purpose_id = $1 AND version = 1""",
            purpose,
            stale,
        )
    async with database.read(business.id) as db:
        expected = await db.many(ONE_BY_ONE, Reason, purpose_id=purpose)
        review = await campaigns.review(db, campaign.id)

    among = {row.reason: row for row in expected}
    get_it = among.pop(None, Reason(None, 0, 0))
    assert review == Review(
        get_it.customers,
        {str(reason): row.customers for reason, row in among.items()},
        get_it.asked,
    )
    assert review.audience == 400


async def _set_apart(
    root: asyncpg.Connection, *, suppressed: list[UUID], restricted: list[UUID]
) -> None:
    await root.execute(
        """INSERT INTO crm.suppression
           SELECT business_id, address_hash, 'marketing', 'bounced', now() FROM crm.customer
            WHERE customer_id = ANY ($1)""",
        suppressed,
    )
    await root.execute(
        "UPDATE crm.customer SET restricted_at = now() WHERE customer_id = ANY ($1)", restricted
    )


async def test_an_audience_is_counted_without_reading_it(
    own_cluster: Cluster, own_database: Database
) -> None:
    """Of consents and customers those are looked up whom something sets apart, and nobody else.

    Nor is anybody who was erased.

    In a database of its own: VACUUM marks no page that a transaction elsewhere may still see older.
    """
    business = await make.business(own_database)
    campaign, _, ids = await drafted(own_database, business, 200)
    root = await asyncpg.connect(own_cluster.superuser_url)
    await _set_apart(root, suppressed=ids[:3], restricted=ids[2:4])
    await _bury(root, business, 100)
    for table in ("consent", "consent_tally", "customer", "suppression"):
        await root.execute(f"VACUUM ANALYZE crm.{table}")
    statement = Statements("campaigns").audience_by_reason
    given = {
        "business_id": business.id,
        "purpose_id": campaign.purpose_id,
        "now": datetime.now(UTC),
    }
    async with root.transaction():
        await root.execute("SET LOCAL ROLE crm_app")
        await root.execute(f"SET LOCAL crm.business_id = '{business.id}'")
        # What a table of this size would be read by, and one of a million is not.
        await root.execute("SET LOCAL enable_seqscan = off")
        await root.execute("SET LOCAL enable_bitmapscan = off")
        await root.execute("SET LOCAL enable_mergejoin = off")
        await root.execute("SET LOCAL enable_hashjoin = off")
        plan = await root.fetchval(
            f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, FORMAT JSON) {statement.sql}",
            *(given[name] for name in statement.params),
        )
    await root.close()

    read = dict(_read(json.loads(plan)[0]["Plan"]))
    # Three suppressed and two restricted; each suppressed is looked up once more by her address.
    assert read == {"consent": 5, "customer": 5}


def _read(node: dict[str, Any]) -> Counter[str]:
    """How many rows were read from each of the two tables, by the nodes of a plan."""
    rows = Counter[str]()
    if node.get("Relation Name") in {"consent", "customer"}:
        rows[node["Relation Name"]] += round(node["Actual Rows"] * node["Actual Loops"])
    for below in node.get("Plans", []):
        rows += _read(below)
    return rows
