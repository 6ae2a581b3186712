"""A service message as a program asks for it, and why it may not go."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from crm.errors import Conflict, Invalid, Problem

# An order with a hundred lines has a tenth of it.
Words = Annotated[str, Meta(min_length=1, max_length=50_000)]
Subject = Annotated[str, Meta(min_length=1, max_length=200)]
# What the business calls what it is about, such as the number of an order.
Reference = Annotated[str, Meta(max_length=200)]


class NoOne(Invalid):
    """Say to whom it goes: either by the id of a customer or by an address, not both."""


class CustomerFrozen(Conflict):
    """Her record is frozen: it is kept and used for nothing, so nothing is sent to her.

    She can end that herself, or staff after she was told.
    """


class AddressSuppressed(Conflict):
    """No mail goes to this address. Its owner lifts that; you can too, where mail came back.

    She lifts a bounce signed in, and with a new yes that somebody said that none may go there.
    """


class NewServiceMessage(Struct, kw_only=True, forbid_unknown_fields=True):
    """One mail to one customer; `text` is Markdown, in which nothing is filled in."""

    # The name of a declared service purpose.
    purpose: Annotated[str, Meta(min_length=1, max_length=63)]
    subject: Subject
    text: Words
    # Either the id of a customer or her address.
    customer: UUID | None = None
    address: Annotated[str, Meta(min_length=3, max_length=1000)] | None = None
    reference: Reference = ""
    # The language it is written in; without, that of the customer.
    locale: Annotated[str, Meta(pattern=r"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?(?!\n)$")] = ""

    def check(self) -> None:
        """Refuse one that goes to nobody, or does not say to whom (NoOne)."""
        if (self.customer is None) == (self.address is None):
            raise NoOne(problems=[Problem("customer", "Give either a customer or an address.")])
