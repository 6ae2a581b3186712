"""The calls: interactions. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.interactions import Interaction, InteractionKind
from crm.client.bodies.interactions import NewInteraction, NewKind
from crm.client.exchange import Id, Resource, ask, part
from crm.client.rows import Rows


class InteractionsCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_interaction_kinds(self) -> list[InteractionKind]:
        """List the declared kinds of interaction."""
        return await self._answer(ask("GET", "/v1/interaction-kinds"), list[InteractionKind])

    async def put_interaction_kind(self, name: Id, /, **body: Unpack[NewKind]) -> InteractionKind:
        """Declare a kind of interaction."""
        return await self._answer(
            ask("PUT", f"/v1/interaction-kinds/{part(name)}", body=body), InteractionKind
        )

    def get_interactions(
        self,
        id: Id,
        /,
        *,
        limit: int | None = None,
        purpose: str | None = None,
        after: str | None = None,
    ) -> Rows[Interaction]:
        """Page through a customer's interactions."""
        return Rows(
            self._exchange,
            ask(
                "GET",
                f"/v1/customers/{part(id)}/interactions",
                query={"limit": limit, "purpose": purpose, "after": after},
            ),
            Interaction,
            sliced=False,
        )

    async def post_interaction(
        self, id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[NewInteraction]
    ) -> Interaction:
        """Record an interaction."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/customers/{part(id)}/interactions",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Interaction,
        )
