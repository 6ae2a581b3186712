"""A customer with something in every table, all of it made by the actions themselves."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from email import policy
from email.parser import BytesParser
from typing import Any
from uuid import UUID, uuid4

import msgspec

from crm import (
    access,
    businesses,
    campaigns,
    consent,
    customers,
    events,
    imports,
    mail,
    privacy,
    rhythm,
    service,
    staff,
    webhooks,
)
from crm.access import Choice, NewSignup, new_address
from crm.access.model import Elsewhere
from crm.businesses import Business, NewBusiness
from crm.campaigns import NewPlan, jobs
from crm.consent import Method, Network, Notice
from crm.customers import (
    AttributeType,
    Changes,
    Customer,
    LawfulBasis,
    NewAttribute,
    NewInteraction,
    NewKind,
    NewTag,
)
from crm.db import Database, Db
from crm.events import Actor
from crm.events import Kind as Told
from crm.ids import opaque
from crm.imports.working import work_waiting
from crm.inbound.hearing import hear_arrival
from crm.inbound.model import Via, arrived
from crm.mail import sending_domains
from crm.mail.actions import claim_letters, record_letter
from crm.mail.outcome import Kind, Outcome
from crm.privacy import NewRequest, RequestKind, brought, requests, restriction
from crm.privacy.brought.foreign import Brought
from crm.privacy.requests.model import Proof, Way
from crm.return_path import Way as ReturnWay
from crm.return_path import return_address
from crm.rhythm import Wanted
from crm.service import NewServiceMessage
from crm.settings import Sending, Settings, Smtp
from crm.staff import Member, NewKey, NewMember, Role, Scope
from tests import make
from tests.inbound.letters import dsn
from tests.privacy.taken import built
from tests.smtpd import smtpd
from tests.webhooks.receiver import Reply, receiver
from tests.webhooks.site import added, turn

SYSTEM = Actor.system()
# Where mail comes back.
_DOMAIN = "back.corner-bakery.example"
_LINK = re.compile(r"/confirm/([\w-]+)")
_CODE = re.compile(r"^([0-9A-Z]{4} [0-9A-Z]{4})\s*$", re.MULTILINE)


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """Whose life it is, and what of it a test wants to find again."""

    business: Business
    customer: Customer
    notice: Notice
    member: Member
    # The campaign she got, and the one that waits for her.
    got: campaigns.Campaign
    waits: campaigns.Campaign

    @property
    def actor(self) -> Actor:
        """The customer acting for herself."""
        return Actor.customer(self.customer.id)


async def lived(database: Database, business: Business, address: str, name: str) -> Life:
    """Live through everything that leaves a row; the address is her second one."""
    await _declare(database, business)
    async with database.write(business.id) as db:
        sender = sending_domains.domain_of(business.sender_address)
        await sending_domains.add(db, SYSTEM, sender)
        purpose = await make.purpose(db)
        notice = await make.notice(db, purpose.id)
        other = await make.notice(db, (await make.purpose(db, name="Offers")).id)
    await _left_before(database, business, notice, address)
    signed_up = await _signed_up(database, business, notice, f"earlier.{address}", name)
    customer = await moved(database, business, signed_up, notice, address)
    member = await _seen_by_staff(database, business, customer)
    await _written_to(database, business, customer)
    await _described(database, business, customer, other)
    got = await _sent(database, business, purpose.id)
    async with database.write(business.id) as db:
        waits = await make.campaign(db, purpose.id, subject="Waiting for her")
        await campaigns.start(db, SYSTEM, waits.id)
    await jobs.fill(_ctx(database, 1), str(business.id), str(waits.id))
    await _on_her_way_in(database, business, customer, other)
    async with database.write(business.id) as db:
        await rhythm.change(db, customer.id, Wanted(5))
        plan = NewPlan(5, 9, "The week")
        await campaigns.offer_digest(db, member.actor, purpose.id, plan)
        await rhythm.choose_digest(db, customer.id, purpose.id, weekly=True)
        # What she chose waits for another; single issues go to her as before.
        await campaigns.stop_digest(db, member.actor, purpose.id)
    await _asked_to_move(database, business, customer, f"later.{address}")
    await _imported(database, business, purpose.id, address)
    await _passed_on(database, business, customer, purpose.id)
    async with database.write(business.id) as db:
        told = Brought("letters", db.now, "Old Bakery", {"subject": "Welcome", "kind": "notice"})
        await brought.bring(db, customer.id, told, "Welcome to the old bakery")
    # By a program, so that she can ask for her own.
    await built(database, business.id, Actor.key(opaque(), "Shop till"), customer.id)
    async with database.read(business.id) as read:
        known = await customers.get(read, customer.id)
    return Life(
        business=business, customer=known, notice=notice, member=member, got=got, waits=waits
    )


async def _declare(database: Database, business: Business) -> None:
    async with database.write(business.id) as db:
        kept = {field: getattr(business, field) for field in NewBusiness.__struct_fields__}
        await businesses.change(
            db, SYSTEM, NewBusiness(**kept | {"keeps_network": True, "names_staff": True})
        )
        await customers.declare_attribute(
            db,
            SYSTEM,
            "usual_shop",
            NewAttribute(
                basis=LawfulBasis.legitimate_interests,
                origin="From you.",
                label="Usual shop",
                type=AttributeType.text,
                purpose="For opening hours.",
                retention="P24M",
            ),
        )
        tag = NewTag(label="Bakes at home", purpose="To tell of courses.", retention="P2Y")
        await customers.declare_tag(db, SYSTEM, "bakes_at_home", tag)
        await customers.declare_kind(
            db,
            SYSTEM,
            "purchase",
            NewKind(label="Purchase", purpose="Because tax law says so.", retention="P6Y"),
        )


async def _left_before(
    database: Database, business: Business, notice: Notice, address: str
) -> None:
    """Somebody of this address allowed something, and had everything deleted: a proof is kept."""
    async with database.write(business.id) as db:
        gone = await make.customer(db, address=address, name="")
        word = await make.own_word(db, gone.id)
        await consent.give(db, Actor.customer(gone.id), gone.id, notice.question, word)
        await privacy.erase(db, Actor.customer(gone.id), gone.id)


async def _signed_up(
    database: Database, business: Business, notice: Notice, address: str, name: str
) -> Customer:
    """Fill in the form, open the caught mail, press the button."""
    async with database.write(business.id) as db:
        await access.start(db, sign_up(address, name, notice))
    async with database.write(business.id) as db:
        claimed = await claim_letters(db, 10)
        (letter,) = [each for each in claimed if each.address.lower() == address.lower()]
        caught = BytesParser(policy=policy.default).parsebytes(letter.content)
        text = caught.get_body(("plain",))
        assert text is not None
        token = _LINK.search(text.get_content())
        assert token is not None
        await access.confirm(db, token[1], Network("192.0.2.45", "Browser/1"))
        # As rude a relay as there is: it says the address back, and nobody has cleaned it.
        await record_letter(db, letter, Outcome(Kind.sent, "accepted", code=250, text=address))
        found = await customers.by_address(db, address)
    assert found is not None
    return found


async def _asked_to_move(
    database: Database, business: Business, customer: Customer, address: str
) -> None:
    async with database.write(business.id) as db:
        await new_address.ask(db, customer, customers.parse(address))


async def moved(
    database: Database, business: Business, customer: Customer, notice: Notice, address: str
) -> Customer:
    """Change the address by the code in the caught mail, and say again what may be sent."""
    await _asked_to_move(database, business, customer, address)
    async with database.write(business.id) as db:
        (letter,) = await claim_letters(db, 10)
        caught = BytesParser(policy=policy.default).parsebytes(letter.content)
        text = caught.get_body(("plain",))
        assert text is not None
        code = _CODE.search(text.get_content())
        assert code is not None
        session = await access.open_session(db, await make.entered(db, customer.id))
        again = {notice.purpose_id: notice}
        change = await new_address.held(db, customer.id)
        moved = await new_address.confirm(
            db, customer, change, again, session=session, code=code[1]
        )
        await record_letter(db, letter, Outcome(Kind.sent, "accepted", code=250, text=address))
    return moved


async def _seen_by_staff(database: Database, business: Business, customer: Customer) -> Member:
    async with database.write(business.id) as db:
        new = NewMember(
            name="Bob Okafor", address=f"bob-{customer.id.hex[:6]}@bakery.example", role=Role.owner
        )
        member = await staff.invite(db, SYSTEM, new, "not a hash")
        reason = "answering your question"
        await staff.give_reason(db, member, customer.id, reason)
        await events.look(db, member.actor, [customer.id], reason)
        key, _ = await staff.add_key(
            db,
            member.actor,
            NewKey(name="Shop till", scopes=[Scope.customers_read], reason="to print the list"),
        )
        await events.look(db, Actor.key(key.id, key.name), [customer.id], "list")
    return member


async def _written_to(database: Database, business: Business, customer: Customer) -> None:
    """A program has confirmed an order, and its mail waits."""
    async with database.write(business.id) as db:
        declared = mail.NewServicePurpose(
            label="Order confirmation",
            purpose="You ordered something, and we confirm it.",
            basis=LawfulBasis.contract,
        )
        await mail.declare_service_purpose(db, SYSTEM, "order_confirmation", declared)
        new = NewServiceMessage(
            customer=customer.id,
            purpose="order_confirmation",
            subject="Your order",
            text=f"Thank you, {customer.name}. We bake your birthday cake.",
            reference="2026-0417",
        )
        await service.send(db, Actor.key(opaque(), "Shop till"), new)


async def _described(
    database: Database, business: Business, customer: Customer, other: Notice
) -> None:
    me = Actor.customer(customer.id)
    async with database.write(business.id) as db:
        await customers.change(
            db, SYSTEM, customer.id, Changes(external_id=f"shop-{customer.id.hex[:6]}", locale="en")
        )
        await customers.set_attributes(db, SYSTEM, customer.id, {"usual_shop": "Harbour Street"})
        await customers.put_tag(db, Actor.key(opaque(), "Shop till"), customer.id, "bakes_at_home")
        await customers.interact(
            db,
            SYSTEM,
            customer.id,
            NewInteraction(
                kind="purchase",
                title=f"Birthday cake for {customer.name}",
                detail=f"Receipt to {customer.address}",
                amount=Decimal("32.00"),
                currency="GBP",
            ),
        )
        await customers.note(db, SYSTEM, customer.id, "Rang about the course")
        await consent.add_file(db, SYSTEM, customer.id, "form.jpg", b"A photograph of a form")
        asks = NewRequest(
            kind=RequestKind.access,
            customer_id=customer.id,
            words=f"What do you hold of {customer.name}?",
        )
        await requests.receive(db, me, asks, way=Way.portal, proof=Proof.session)
        word = await make.own_word(db, customer.id)
        await consent.give(db, me, customer.id, other.question, word)
        await consent.withdraw(db, me, customer.id, other.purpose_id, method=Method.portal)


async def _sent(database: Database, business: Business, purpose_id: Any) -> campaigns.Campaign:
    async with database.write(business.id) as db:
        campaign = await make.campaign(db, purpose_id, public=True)
        await campaigns.start(db, SYSTEM, campaign.id)
    async with smtpd() as relay:
        ctx = _ctx(database, relay.port)
        await jobs.fill(ctx, str(business.id), str(campaign.id))
        await jobs.send(ctx, str(business.id), str(campaign.id))
    return campaign


async def _on_her_way_in(
    database: Database, business: Business, customer: Customer, other: Notice
) -> None:
    """A way in and a sign-up that are not used, with their letters waiting; and a session."""
    async with database.write(business.id) as db:
        await access.open_session(db, await make.entered(db, customer.id))
    async with database.write(business.id) as db:
        await access.send_link(db, customers.parse(customer.address), "a browser")
    async with database.write(business.id) as db:
        told = Elsewhere(form="till", asked_at=db.now, key_id=uuid4(), key_name="The shop's till")
        wish = sign_up(customer.address, customer.name, other)
        await access.start(db, msgspec.structs.replace(wish, elsewhere=told))


async def _imported(database: Database, business: Business, purpose_id: Any, address: str) -> None:
    """An old list with her in it: nothing of her changes, and the report names nobody."""
    lines = [
        "Email Address,First Name,OPTIN_TIME,CONFIRM_TIME,LAST_CHANGED,UNSUB_TIME,CLEAN_TIME",
        f"{address},Old,,,,,",
        f"{address},Old,2021-05-04 09:10:11",
    ]
    async with database.write(business.id) as db:
        received = await imports.receive(
            db, SYSTEM, purpose_id, "list.csv", "\n".join(lines).encode()
        )
    await work_waiting(database, business.id, received.id)


async def _passed_on(
    database: Database, business: Business, customer: Customer, purpose_id: UUID
) -> None:
    """A withdrawal of hers is told to another system, which acknowledges it; and one waits."""
    async with receiver() as there:
        endpoint, _ = await added(database, business, there, acknowledges=True)
        async with database.write(business.id) as db:
            await events.record(
                db, SYSTEM, Told.consent_withdrawn, customer_id=customer.id, ref=purpose_id
            )
        there.answer = lambda heard: Reply(
            200, body=msgspec.json.encode({"acknowledged": heard.id})
        )
        await turn(database, business, endpoint)
    async with database.write(business.id) as db:
        await webhooks.rotate(db, SYSTEM, endpoint.id)
        await events.record(
            db, SYSTEM, Told.consent_withdrawn, customer_id=customer.id, ref=purpose_id
        )
    await turn(database, business, endpoint)


def sign_up(address: str, name: str, notice: Notice) -> NewSignup:
    """Write what somebody who fills in the form sends."""
    return NewSignup(
        address=customers.parse(address),
        name=name,
        locale="en",
        choices=(Choice(notice.purpose_id, notice.id),),
        page="https://corner-bakery.example/rye",
        network=Network("192.0.2.44", "Browser/1"),
    )


def _ctx(database: Database, port: int) -> jobs.Ctx:
    settings = Settings(
        link_keys="1:" + "31" * 32,
        storage_keys="1:" + "73" * 32,
        pepper="70" * 32,
        smtp=Smtp(port=port),
        sending=Sending(batch=20, connections=2),
    )
    return {"database": database, "settings": settings, "sending": asyncio.Lock()}


async def suppressed(database: Database, life: Life) -> mail.Suppression | None:
    """How her address is suppressed now, if it is."""
    async with database.read(life.business.id) as db:
        fingerprint = db.keys.address_hash(db.business_id, customers.fold(life.customer.address))
        return await mail.suppressed(db, fingerprint)


async def erase_traces(db: Db) -> int:
    """Erase again whoever the worker would; returns how many it were."""
    found = await privacy.traces(db)
    for customer_id in found:
        await privacy.erase_again(db, customer_id)
    return len(found)


async def shadowed(database: Database, life: Life) -> None:
    """What keeps mails from her: a suppression, a full mailbox, a freeze that is to end."""
    fingerprint = _fingerprint(database, life)
    way = ReturnWay.service
    sender = return_address(database.keys, life.business.id, _DOMAIN, way, fingerprint, uuid4())
    report = arrived(sender, dsn("4.2.2", "mailbox full"))
    await hear_arrival(database, life.business.id, report, Via.listener)
    async with database.write(life.business.id) as db:
        await mail.suppress(db, SYSTEM, fingerprint, mail.Scope.marketing, mail.Why.complained)
        await customers.restrict(db, life.actor, life.customer.id)
        await restriction.announce(db, life.member.actor, life.customer.id)


def _fingerprint(database: Database, life: Life) -> bytes:
    return database.keys.address_hash(life.business.id, customers.fold(life.customer.address))
