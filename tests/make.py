"""Rows with sane defaults, made by the actions themselves so that they keep every invariant."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct

from crm import access, businesses, campaigns, consent, customers, imports, staff
from crm.access import Entered, credentials
from crm.access.auth import SESSION, cookie_name
from crm.businesses import Business, NewBusiness
from crm.campaigns import Campaign, NewCampaign
from crm.consent import (
    Circumstances,
    Method,
    NewEvent,
    NewNotice,
    NewPurpose,
    NewVersion,
    Notice,
    OptIn,
    Purpose,
)
from crm.db import Database, Db, parse
from crm.events import Actor
from crm.ids import secret
from crm.journal import Directory, Journal
from crm.mail import sending_domains
from crm.staff import Member, NewKey, NewMember, Role, Scope
from crm.staff.passwords import Cost
from tests.browser import Browser

SYSTEM = Actor.system()
PASSWORD = "a sentence that is easy"
# The least Argon2 takes: what is tested is what is made of the answer, not the work.
CHEAP = Cost(memory=8, passes=1, lanes=1)
# Evidence that a notice of ours accepts, as a program or an import hands it in.
ELSEWHERE = Circumstances(Method.api, evidence={"kind": "former_double_opt_in"})

_LINK, _WAY_IN = parse(
    """
-- name: link
-- The way in that waits for a customer.
SELECT token_hash, code_hash, browser_hash, created_at, expires_at
  FROM crm.portal_link
 WHERE business_id = :business_id
   AND customer_id = :customer_id;

-- name: way_in
-- A way in like a mailed one.
INSERT INTO crm.portal_link (business_id, customer_id, address_hash, token_hash, code_hash,
                             browser_hash, created_at, expires_at)
SELECT :business_id, c.customer_id, c.address_hash, :token_hash, :code_hash, :browser_hash,
       :created_at, :expires_at
  FROM crm.customer c
 WHERE c.business_id = :business_id
   AND c.customer_id = :customer_id
ON CONFLICT (business_id, customer_id, browser_hash) DO UPDATE
   SET address_hash = excluded.address_hash, token_hash = excluded.token_hash,
       code_hash = excluded.code_hash, created_at = excluded.created_at,
       expires_at = excluded.expires_at;
"""
)


class _Way(Struct):
    token_hash: bytes
    code_hash: bytes
    browser_hash: bytes
    created_at: datetime
    expires_at: datetime


async def business(database: Database, **changes: Any) -> Business:
    """Add a business that answers on a host of its own."""
    business_id = uuid4()
    given: dict[str, Any] = {
        "name": "Corner Bakery",
        "legal_name": "Corner Bakery Ltd",
        "postal_address": "4 Mill Lane, Exampleton EX1 2AB",
        "sender_name": "Corner Bakery",
        "sender_address": "letter@corner-bakery.example",
        "privacy_contact": "privacy@corner-bakery.example",
        "origin": f"http://{business_id.hex}.example",
    }
    async with database.write(business_id) as db:
        added = await businesses.add(db, NewBusiness(**given | changes))
        sender = sending_domains.domain_of(added.sender_address)
        await sending_domains.confirm(db, SYSTEM, sender)
    return added


async def purpose(db: Db, **changes: Any) -> Purpose:
    """Add a newsletter."""
    given: dict[str, Any] = {
        "slug": f"letter-{uuid4().hex[:8]}",
        "name": "The Corner Letter",
        "description": "What we bake, why, and when.",
    }
    return await consent.add_purpose(db, SYSTEM, NewPurpose(**given | changes))


async def notice(db: Db, purpose_id: UUID, **changes: Any) -> Notice:
    """Publish a text for a purpose."""
    given: dict[str, Any] = {
        "locale": "en",
        "text": "Yes, send me The Corner Letter by e-mail. I can stop at any time.",
        "control_label": "Send me The Corner Letter",
        "accepts": [consent.EvidenceKind.former_double_opt_in],
    }
    return await consent.publish_notice(db, SYSTEM, purpose_id, NewNotice(**given | changes))


async def audience(
    db: Db, notice: Notice, count: int, *, prefix: str = "reader", domain: str = "example.com"
) -> list[UUID]:
    """Add customers who consented to a notice elsewhere, by the bulk actions of an import."""
    arrivals = [
        customers.Arrival(
            address=customers.parse(f"{prefix}{number}@{domain}"), name=f"Reader {number}"
        )
        for number in range(count)
    ]
    ids = await customers.add_many(db, arrivals, source=customers.Source.imported)
    version = await consent.version(db, notice.purpose_id, notice.purpose_version)
    valid_until = customers.ends(db.now, version.validity) if version.validity else None
    given = [
        (
            NewEvent(
                customer_id=customer_id,
                purpose=version.cited,
                notice=notice.cited,
                status=consent.Status.given,
                method=consent.Method.imported,
                at=db.now,
                evidence={"kind": "former_double_opt_in"},
                valid_until=valid_until,
            ),
            None,
        )
        for customer_id in ids
    ]
    await consent.append_many(db, SYSTEM, given)
    return ids


async def campaign(db: Db, purpose_id: UUID, **changes: Any) -> Campaign:
    """Write a draft."""
    given: dict[str, Any] = {
        "purpose_id": purpose_id,
        "subject": "Rye on Saturdays",
        "source": "# Rye\n\nDear {{ first_name | default('reader') }}, there is rye bread.",
    }
    return await campaigns.draft(db, SYSTEM, NewCampaign(**given | changes))


async def customer(db: Db, **changes: Any) -> customers.Customer:
    """Add a customer, to whom nothing may be sent yet."""
    given: dict[str, Any] = {"address": f"nora-{uuid4().hex[:12]}@example.com", "name": "Nora"}
    new = customers.NewCustomer(**given | changes)
    return await customers.add(db, SYSTEM, new, source=customers.Source.api)


async def entered(db: Db, customer_id: UUID) -> Entered:
    """Use up a way in that was mailed to a customer: her mailbox has proved itself.

    One that was really mailed stays as it is.
    """
    waits = await db.maybe(_LINK, _Way, customer_id=customer_id)
    token = credentials.secret_token(db.business_id, secret(credentials.SECRET_SIZE))
    hashed = credentials.fingerprint(token)
    way = _Way(hashed, hashed, hashed, db.now, db.now + timedelta(hours=1))
    await db.run(_WAY_IN, customer_id=customer_id, **msgspec.structs.asdict(way))
    done = await access.open_link(db, token, token)
    if waits is not None:
        await db.run(_WAY_IN, customer_id=customer_id, **msgspec.structs.asdict(waits))
    return done


async def own_word(
    db: Db, customer_id: UUID, method: Method = Method.portal, **changes: Any
) -> Circumstances:
    """Say yes as the customer herself, whose mailbox has just proved itself."""
    proof = await entered(db, customer_id)
    opt_in = OptIn(proof.proof_id, "sign_in_link", db.now, db.now)
    return Circumstances(method, opt_in=opt_in, **changes)


async def other_words(db: Db, purpose_id: UUID, *, grace: timedelta) -> consent.Notice:
    """Publish another version of a purpose; a yes to the present one ends after the grace."""
    present = (await consent.purpose(db, purpose_id)).version
    terms = (await consent.version(db, purpose_id, present)).entered
    text = NewNotice(
        locale="en",
        text="Yes, e-mail me The Corner Letter, and tell the mill.",
        control_label="Send me both",
    )
    new = NewVersion(terms=terms, notices=[text], replaces=present, is_substance=True, grace=grace)
    await consent.publish_version(db, SYSTEM, purpose_id, new)
    return await consent.current_notice(db, purpose_id, "en")


async def received(db: Db, slug: str, text: str, *, only_try: bool = False) -> imports.Import:
    """Hand in a list that waits for a worker."""
    purpose = await consent.purpose_by_slug(db, slug)
    content = text.encode()
    return await imports.receive(db, SYSTEM, purpose.id, "list.csv", content, only_try=only_try)


async def let_in_by_key(
    database: Database, business: Business, program: Browser, scopes: Sequence[Scope] = tuple(Scope)
) -> None:
    """Give a program a key with these scopes; else with every one."""
    new = NewKey(name="Shop", scopes=list(scopes), reason="to answer what was asked")
    async with database.write(business.id) as db:
        _, text = await staff.add_key(db, SYSTEM, new)
    program.headers["authorization"] = f"Bearer {text}"


async def owner(db: Db, role: Role = Role.owner) -> Member:
    """Add a member of staff who may do everything, or what another role may."""
    address = f"owner-{uuid4().hex[:8]}@bakery.example"
    kept = await staff.hashed(PASSWORD, cost=CHEAP)
    new = NewMember(name="Olga Owner", address=address, role=role)
    return await staff.invite(db, SYSTEM, new, kept)


async def let_in_as_owner(
    database: Database, business: Business, browser: Browser, role: Role = Role.owner
) -> Member:
    """Sign an owner in by the form, or somebody of another role."""
    async with database.write(business.id) as db:
        who = await owner(db, role)
    form = {"address": who.address, "password": PASSWORD}
    answer = await browser.post("/staff/sign-in", data=form)
    assert answer.status_code == 303, answer.text
    return who


async def signed_in(db: Db, customer_id: UUID) -> str:
    """Sign a customer in, in a browser of which only this token is known."""
    return await access.open_session(db, await entered(db, customer_id))


async def let_in_as_customer(
    database: Database, business: Business, customer: customers.Customer, browser: Browser
) -> None:
    """Sign a customer in, as pressing the button of the mail does."""
    async with database.write(business.id) as db:
        token = await signed_in(db, customer.id)
    browser.cookies.set(cookie_name(business, SESSION), token)


async def employ(db: Db, address: str, role: Role = Role.owner) -> Member:
    """Add somebody who works here and never signs in."""
    return await staff.invite(
        db, SYSTEM, NewMember(name="Olga Owner", address=address, role=role), "not a hash"
    )


def place_of(journal: Journal) -> Path:
    """Find where a journal of a test is."""
    assert isinstance(journal.store, Directory)
    return journal.store.path
