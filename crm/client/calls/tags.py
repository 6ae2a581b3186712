"""The calls: tags. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.tags import HeldTag, Tag
from crm.client.bodies.tags import NewTag
from crm.client.exchange import Id, Resource, ask, part


class TagsCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_tags(self) -> list[Tag]:
        """List the declared tags."""
        return await self._answer(ask("GET", "/v1/tags"), list[Tag])

    async def put_tag(self, name: Id, /, **body: Unpack[NewTag]) -> Tag:
        """Declare a tag."""
        return await self._answer(ask("PUT", f"/v1/tags/{part(name)}", body=body), Tag)

    async def get_customer_tags(self, id: Id, /, *, purpose: str | None = None) -> list[HeldTag]:
        """Read a customer's tags."""
        return await self._answer(
            ask("GET", f"/v1/customers/{part(id)}/tags", query={"purpose": purpose}), list[HeldTag]
        )

    async def put_customer_tag(self, id: Id, name: Id, /) -> list[HeldTag] | None:
        """Put a tag on a customer."""
        return await self._answer_or_none(
            ask("PUT", f"/v1/customers/{part(id)}/tags/{part(name)}"), list[HeldTag]
        )

    async def delete_customer_tag(self, id: Id, name: Id, /) -> None:
        """Take a tag off a customer."""
        await self._nothing(ask("DELETE", f"/v1/customers/{part(id)}/tags/{part(name)}"))
