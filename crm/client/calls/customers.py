"""The calls: customers. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.customers import Attention, Customer, CustomerLine, Merged, Plan
from crm.client.bodies.customers import Changes, Merge, NewCustomer, Put, Wanted
from crm.client.exchange import Id, Resource, ask, part
from crm.client.lines import Lines
from crm.client.rows import Rows


class CustomersCalls(Resource):
    """Each is named as its operation in /docs."""

    def get_customers(
        self, *, limit: int | None = None, purpose: str | None = None, after: str | None = None
    ) -> Rows[Customer]:
        """Page through customers."""
        return Rows(
            self._exchange,
            ask("GET", "/v1/customers", query={"limit": limit, "purpose": purpose, "after": after}),
            Customer,
            sliced=False,
        )

    async def post_customer(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewCustomer]
    ) -> Customer:
        """Add a customer."""
        return await self._answer(
            ask("POST", "/v1/customers", body=body, keyed=True, idempotency_key=idempotency_key),
            Customer,
        )

    async def put_customer(self, **body: Unpack[Put]) -> Customer | None:
        """Add a customer, or bring her up to date."""
        return await self._answer_or_none(ask("PUT", "/v1/customers", body=body), Customer)

    async def post_customer_search(
        self, *, purpose: str | None = None, **body: Unpack[Wanted]
    ) -> list[Customer]:
        """Find a customer by address or external id."""
        return await self._answer(
            ask("POST", "/v1/customers/search", query={"purpose": purpose}, body=body),
            list[Customer],
        )

    async def get_customer(self, id: Id, /, *, purpose: str | None = None) -> Customer:
        """Read a customer."""
        return await self._answer(
            ask("GET", f"/v1/customers/{part(id)}", query={"purpose": purpose}), Customer
        )

    async def patch_customer(
        self, id: Id, /, *, if_match: int | str, **body: Unpack[Changes]
    ) -> Customer | None:
        """Change a customer."""
        return await self._answer_or_none(
            ask(
                "PATCH",
                f"/v1/customers/{part(id)}",
                media="application/merge-patch+json",
                body=body,
                if_match=if_match,
            ),
            Customer,
        )

    async def post_restriction(self, id: Id, /) -> None:
        """Freeze a customer's data."""
        await self._nothing(ask("POST", f"/v1/customers/{part(id)}/restriction"))

    def get_every_customer(self, *, purpose: str | None = None) -> Lines[CustomerLine]:
        """Read all customers as a stream."""
        return Lines(
            self._exchange,
            ask("GET", "/v1/customers.ndjson", query={"purpose": purpose}),
            CustomerLine,
        )

    async def get_rhythm(self, id: Id, /) -> Attention:
        """Read how much mail a customer wants."""
        return await self._answer(ask("GET", f"/v1/customers/{part(id)}/rhythm"), Attention)

    async def get_merge(self, id: Id, other: Id, /) -> Plan:
        """See what a merge of two customers would come to."""
        return await self._answer(ask("GET", f"/v1/customers/{part(id)}/merge/{part(other)}"), Plan)

    async def post_merge(
        self,
        id: Id,
        /,
        *,
        if_match: int | str,
        idempotency_key: str | None = None,
        **body: Unpack[Merge],
    ) -> Merged:
        """Merge two customers who are one person."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/customers/{part(id)}/merge",
                body=body,
                if_match=if_match,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Merged,
        )
