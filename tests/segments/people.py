"""A business with customers of every kind, written by hand, and the same as plain facts."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from msgspec import Struct

from crm import consent, customers
from crm.businesses import Business
from crm.customers import AttributeType, LawfulBasis, NewAttribute, NewKind, NewTag
from crm.db import Database
from tests import make
from tests.segments.plain import Facts, World

ZONE = "Europe/Lisbon"
TEXTS = ["Lisbon", "Lis", "lisbon", "Porto", "O'Hara", "100%", "a_b", "a\\b", "'; DROP TABLE x; --"]
NUMBERS = [-1.5, 0, 3, 3.25, 100]
STATES = ["waiting", "sending", "sent", "failed", "excluded", "uncertain"]
STATUSES = [
    "given", "renewed", "unobjected", "requested", "deferred", "unproven", "refused", "withdrawn",
    "revoked", "expired", "invalidated",
]  # fmt: skip
TYPES = {
    "city": AttributeType.text, "points": AttributeType.number, "birthday": AttributeType.date,
    "vip": AttributeType.boolean, "diet": AttributeType.text, "size": AttributeType.number,
}  # fmt: skip
TAGS = ["bakes", "rides", "sings"]
KINDS = ["purchase", "call"]


class People(Struct, kw_only=True):
    """Whose customers these are, what they are, and what rules may name."""

    business: Business
    world: World
    facts: list[Facts]
    purposes: list[UUID]
    campaigns: list[UUID]

    def __repr__(self) -> str:
        """Say little, for a rule that fails is what one wants to see."""
        return f"{len(self.facts)} customers"


async def people(database: Database, conn: asyncpg.Connection, many: int = 40) -> People:
    """Declare everything, and give each customer a bit of it by chance."""
    chance = Random(7)
    business = await make.business(database, time_zone=ZONE, soft_opt_in=True)
    async with database.write(business.id) as db:
        purposes = [(await make.purpose(db, name=name)).id for name in ("Letter", "Diet", "Old")]
        bound = {
            "diet": purposes[1],
            "size": purposes[2],
            "rides": purposes[1],
            "call": purposes[1],
        }
        for name, kind in TYPES.items():
            new = NewAttribute(
                basis=LawfulBasis.legitimate_interests, origin="From you.",
                label=name, type=kind, purpose="For socks.", retention="P2Y",
                purpose_id=bound.get(name),
            )  # fmt: skip
            await customers.declare_attribute(db, make.SYSTEM, name, new)
        for name in TAGS:
            tag = NewTag(
                label=name, purpose="For socks.", retention="P2Y", purpose_id=bound.get(name)
            )
            await customers.declare_tag(db, make.SYSTEM, name, tag)
        for name in KINDS:
            kind_of = NewKind(
                label=name, purpose="For the till.", retention="P2Y", purpose_id=bound.get(name)
            )
            await customers.declare_kind(db, make.SYSTEM, name, kind_of)
        campaigns = [(await make.campaign(db, purposes[0])).id for _ in range(2)]
        her = [(await make.customer(db)).id for _ in range(many)]
        await consent.retire(db, make.SYSTEM, purposes[2])
        now = db.now
    facts = [_facts(chance, each, now, purposes, campaigns) for each in her]
    facts.sort(key=lambda each: str(each.id))
    for each in facts:
        await _write(conn, business.id, each)
    world = World(now=now, zone=ZONE, bound=bound, retired={purposes[2]})
    return People(
        business=business, world=world, facts=facts, purposes=purposes, campaigns=campaigns
    )


def _facts(
    chance: Random, id: UUID, now: datetime, purposes: list[UUID], campaigns: list[UUID]
) -> Facts:
    def ago() -> datetime:
        return now - timedelta(days=chance.choice([0, 1, 6, 7, 8, 30, 364, 400]), minutes=7)

    today = now.date()
    days = [
        today.replace(year=1990) if (today.month, today.day) != (2, 29) else date(1992, 2, 29),
        today + timedelta(days=3), today - timedelta(days=3), date(1988, 2, 29), date(2001, 12, 31),
    ]  # fmt: skip
    values: dict[str, list[Any]] = {
        "city": TEXTS, "points": NUMBERS, "birthday": days, "vip": [True, False],
        "diet": TEXTS, "size": NUMBERS,
    }  # fmt: skip
    return Facts(
        id=id,
        locale=chance.choice(["", "de", "de-AT", "DE-ch", "en", "den"]),
        created_at=ago(),
        free=chance.random() > 0.1,
        attributes={
            name: chance.choice(list(among))
            for name, among in values.items()
            if chance.random() < 0.6
        },
        tags={name for name in TAGS if chance.random() < 0.5},
        happened=[(chance.choice(KINDS), ago()) for _ in range(chance.randrange(5))],
        consents={
            each: (chance.choice(STATUSES), chance.choice([None, ago(), now + timedelta(days=5)]))
            for each in purposes
            if chance.random() < 0.8
        },
        deliveries={
            each: (chance.choice(STATES), ago()) for each in campaigns if chance.random() < 0.6
        },
    )


async def _write(conn: asyncpg.Connection, business: UUID, her: Facts) -> None:
    """Write a state that would take months to come about: past triggers and keys elsewhere."""
    await conn.execute("SET session_replication_role = replica")
    await conn.execute(
        "UPDATE crm.customer SET locale = $3, created_at = $4, restricted_at = $5"
        " WHERE business_id = $1 AND customer_id = $2",
        business, her.id, her.locale, her.created_at, None if her.free else her.created_at,
    )  # fmt: skip
    for name, value in her.attributes.items():
        kept = customers.written(TYPES[name], str(value) if isinstance(value, date) else value)
        await conn.execute(
            "INSERT INTO crm.attribute_value (business_id, customer_id, name, text_value, number,"
            " date, boolean, set_at) VALUES ($1, $2, $3, $4, $5, $6, $7, now())",
            business, her.id, name, kept.text, kept.number, kept.date, kept.boolean,
        )  # fmt: skip
    for name in her.tags:
        await conn.execute(
            "INSERT INTO crm.customer_tag VALUES ($1, $2, $3, '', now())", business, her.id, name
        )
    for kind, at in her.happened:
        await conn.execute(
            "INSERT INTO crm.interaction (business_id, interaction_id, customer_id, kind, at,"
            " title, actor_kind, recorded_at) VALUES ($1, $2, $3, $4, $5, 'x', 'system', $5)",
            business, uuid4(), her.id, kind, at,
        )  # fmt: skip
    for purpose, (status, ends_at) in her.consents.items():
        await conn.execute(
            "INSERT INTO crm.consent (business_id, customer_id, purpose_id, status, method,"
            " event_id, notice_id, at, valid_until, record_id, purpose_version)"
            " VALUES ($1, $2, $3, $4, 'portal', $5, $5, now(), $6, $5, 1)",
            business, her.id, purpose, status, uuid4(), ends_at,
        )  # fmt: skip
    for campaign, (state, done_at) in her.deliveries.items():
        await conn.execute(
            "INSERT INTO crm.delivery (business_id, campaign_id, customer_id, state, reason,"
            " event_id, notice_id, claimed_at, done_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $7)",
            business, campaign, her.id, state, "withdrawn" if state == "excluded" else None,
            uuid4(), done_at,
        )  # fmt: skip
    await conn.execute("SET session_replication_role = origin")
