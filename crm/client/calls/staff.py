"""The calls: staff. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.staff import Colleague
from crm.client.bodies.staff import Access, NewMember, NewRole
from crm.client.exchange import Id, Resource, ask, part


class StaffCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_staff(self) -> list[Colleague]:
        """List who works here."""
        return await self._answer(ask("GET", "/v1/staff"), list[Colleague])

    async def post_colleague(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewMember]
    ) -> Colleague:
        """Invite somebody."""
        return await self._answer(
            ask("POST", "/v1/staff", body=body, keyed=True, idempotency_key=idempotency_key),
            Colleague,
        )

    async def get_colleague(self, member_id: Id, /) -> Colleague:
        """Read who somebody is here."""
        return await self._answer(ask("GET", f"/v1/staff/{part(member_id)}"), Colleague)

    async def post_colleague_role(self, member_id: Id, /, **body: Unpack[NewRole]) -> Colleague:
        """Change what somebody may do."""
        return await self._answer(
            ask("POST", f"/v1/staff/{part(member_id)}/role", body=body), Colleague
        )

    async def post_colleague_access(self, member_id: Id, /, **body: Unpack[Access]) -> Colleague:
        """Let somebody in no more, or again."""
        return await self._answer(
            ask("POST", f"/v1/staff/{part(member_id)}/access", body=body), Colleague
        )
