"""The calls: business. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.business import BusinessNow
from crm.client.bodies.business import BusinessChanges
from crm.client.exchange import Resource, ask


class BusinessCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_business(self) -> BusinessNow:
        """Read what is known of the business."""
        return await self._answer(ask("GET", "/v1/business"), BusinessNow)

    async def patch_business(
        self, *, if_match: int | str, **body: Unpack[BusinessChanges]
    ) -> BusinessNow:
        """Change what is known of the business."""
        return await self._answer(
            ask(
                "PATCH",
                "/v1/business",
                media="application/merge-patch+json",
                body=body,
                if_match=if_match,
            ),
            BusinessNow,
        )
