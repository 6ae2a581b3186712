"""A customer as another system knows her: added where she is not known, else brought up to date."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from crm.customers import actions
from crm.customers.address import NotAnAddress, fold, parse
from crm.customers.model import (
    AddressTaken,
    Changes,
    Customer,
    ExternalId,
    Locale,
    Name,
    NewCustomer,
    Source,
    TimeZone,
)
from crm.customers.text import cleaned, named
from crm.db import Db, Statements
from crm.errors import Conflict
from crm.events import Actor

sql = Statements("customers")


class AddressDiffers(Conflict):
    """Who has this external id has another address here; only the customer herself changes that."""


class ExternalIdDiffers(Conflict):
    """Who has this address has another external id here. Change that first, if it is hers."""


class Put(Struct, kw_only=True, forbid_unknown_fields=True):
    """What another system says of a customer; of what is left out nothing changes."""

    address: Annotated[str, Meta(max_length=1000, examples=["nora@example.com"])]
    external_id: ExternalId | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    locale: Locale | UnsetType = UNSET
    time_zone: TimeZone | UnsetType = UNSET


async def put(db: Db, by: Actor, said: Put) -> tuple[Customer, bool]:
    """Return the customer with this external id, else with this address, and whether she is new.

    Refuses with AddressDiffers and ExternalIdDiffers where the two do not belong together: whose
    record it would be is for a person to say. Two at once add one customer.
    """
    try:
        folded = parse(said.address).folded
    except NotAnAddress as wrong:
        raise named(wrong, "address") from None
    if said.external_id is not UNSET:
        said.external_id = cleaned(said.external_id, "external_id", ExternalId)
    known = await _known(db, said, folded)
    if known is None:
        try:
            return await actions.add(db, by, _new(said), source=Source.api), True
        except AddressTaken:
            # Somebody was faster, and has committed by now.
            known = await _known(db, said, folded)
            if known is None:
                raise
    changes = Changes(
        name=said.name,
        locale=said.locale,
        time_zone=said.time_zone,
        external_id=said.external_id,
    )
    customer = await actions.change_held(db, by, known, changes)
    if customer.source is Source.imported:
        # Also where nothing differs: the other system keeps her id.
        await db.run(sql.own_customer, customer_id=customer.id)
    return customer, False


async def _known(db: Db, said: Put, folded: str) -> Customer | None:
    """Find whom it is about, and hold her row: what is compared here is what is changed."""
    if said.external_id is not UNSET:
        known = await db.maybe(sql.hold_by_external_id, Customer, external_id=said.external_id)
        if known is not None:
            if fold(known.address) != folded:
                raise named(AddressDiffers(), "address")
            return known
    known = await db.maybe(sql.hold_by_folded, Customer, folded=folded)
    if known is None or said.external_id is UNSET:
        return known
    # Who was added between the two questions has the external id already.
    if known.external_id not in {None, said.external_id}:
        raise named(ExternalIdDiffers(), "external_id")
    return known


def _new(said: Put) -> NewCustomer:
    return NewCustomer(
        address=said.address,
        name=said.name or "",
        locale=said.locale or "",
        time_zone=said.time_zone or "",
        external_id=said.external_id or None,
    )
