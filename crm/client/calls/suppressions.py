"""The calls: suppressions. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.suppressions import Checked, Listed, Suppression
from crm.client.bodies.suppressions import NewSuppression, OneAddress, SomeAddresses
from crm.client.exchange import Resource, ask
from crm.client.rows import Rows


class SuppressionsCalls(Resource):
    """Each is named as its operation in /docs."""

    def get_suppressions(
        self, *, limit: int | None = None, after: str | None = None
    ) -> Rows[Listed]:
        """Page through the suppressions."""
        return Rows(
            self._exchange,
            ask("GET", "/v1/suppressions", query={"limit": limit, "after": after}),
            Listed,
            sliced=True,
        )

    async def post_suppression(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewSuppression]
    ) -> Suppression:
        """Suppress an address."""
        return await self._answer(
            ask("POST", "/v1/suppressions", body=body, keyed=True, idempotency_key=idempotency_key),
            Suppression,
        )

    async def post_suppression_check(self, **body: Unpack[SomeAddresses]) -> list[Checked]:
        """Ask whether addresses are suppressed."""
        return await self._answer(ask("POST", "/v1/suppressions/check", body=body), list[Checked])

    async def post_suppression_lift(self, **body: Unpack[OneAddress]) -> Checked:
        """Mail an address again that mail came back from."""
        return await self._answer(ask("POST", "/v1/suppressions/lift", body=body), Checked)
