"""The calls: attributes. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.attributes import Attribute, AttributeValue, SetAttributes
from crm.client.bodies.attributes import NewAttribute
from crm.client.exchange import Id, Resource, ask, part


class AttributesCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_attributes(self) -> list[Attribute]:
        """List the declared attributes."""
        return await self._answer(ask("GET", "/v1/attributes"), list[Attribute])

    async def put_attribute(self, name: Id, /, **body: Unpack[NewAttribute]) -> Attribute:
        """Declare an attribute."""
        return await self._answer(ask("PUT", f"/v1/attributes/{part(name)}", body=body), Attribute)

    async def get_customer_attributes(
        self, id: Id, /, *, purpose: str | None = None
    ) -> list[AttributeValue]:
        """Read a customer's attributes."""
        return await self._answer(
            ask("GET", f"/v1/customers/{part(id)}/attributes", query={"purpose": purpose}),
            list[AttributeValue],
        )

    async def put_customer_attributes(
        self, id: Id, body: dict[str, str | int | float | bool | None], /
    ) -> SetAttributes:
        """Set a customer's attributes."""
        return await self._answer(
            ask("PUT", f"/v1/customers/{part(id)}/attributes", body=body), SetAttributes
        )
