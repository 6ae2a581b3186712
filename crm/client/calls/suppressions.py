"""The calls: suppressions. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.suppressions import Suppression
from crm.client.bodies.suppressions import NewSuppression
from crm.client.exchange import Resource, ask


class SuppressionsCalls(Resource):
    """Each is named as its operation in /docs."""

    async def post_suppression(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewSuppression]
    ) -> Suppression:
        """Suppress an address."""
        return await self._answer(
            ask("POST", "/v1/suppressions", body=body, keyed=True, idempotency_key=idempotency_key),
            Suppression,
        )
