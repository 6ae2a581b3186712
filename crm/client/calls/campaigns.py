"""The calls: campaigns. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, Unpack

from crm.client.answers.campaigns import (
    Campaign,
    CampaignLine,
    CampaignWithCounts,
    DeliveryLine,
    Figures,
    Forecast,
    Going,
    ImageSize,
    Preview,
    Tally,
)
from crm.client.bodies.campaigns import Expiry, NewCampaign, Start, Trial
from crm.client.exchange import Id, Resource, ask, part
from crm.client.rows import Rows


class CampaignsCalls(Resource):
    """Each is named as its operation in /docs."""

    def get_campaigns(
        self, *, limit: int | None = None, after: str | None = None
    ) -> Rows[CampaignLine]:
        """Page through campaigns."""
        return Rows(
            self._exchange,
            ask("GET", "/v1/campaigns", query={"limit": limit, "after": after}),
            CampaignLine,
            sliced=False,
        )

    async def post_campaign(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewCampaign]
    ) -> Campaign:
        """Write a draft."""
        return await self._answer(
            ask("POST", "/v1/campaigns", body=body, keyed=True, idempotency_key=idempotency_key),
            Campaign,
        )

    async def get_campaign(self, id: Id, /) -> CampaignWithCounts:
        """Read a campaign."""
        return await self._answer(ask("GET", f"/v1/campaigns/{part(id)}"), CampaignWithCounts)

    async def put_campaign(
        self, id: Id, /, *, if_match: int | str, **body: Unpack[NewCampaign]
    ) -> Campaign:
        """Change a draft."""
        return await self._answer(
            ask("PUT", f"/v1/campaigns/{part(id)}", body=body, if_match=if_match), Campaign
        )

    async def get_preview(self, id: Id, /, *, customer_id: Id | None = None) -> Preview:
        """Read a campaign as a customer would."""
        return await self._answer(
            ask("GET", f"/v1/campaigns/{part(id)}/preview", query={"customer_id": customer_id}),
            Preview,
        )

    async def get_review(self, id: Id, /) -> Forecast:
        """Ask who would get a campaign now."""
        return await self._answer(ask("GET", f"/v1/campaigns/{part(id)}/review"), Forecast)

    async def post_test(self, id: Id, /, **body: Unpack[Trial]) -> None:
        """Send a test."""
        await self._nothing(ask("POST", f"/v1/campaigns/{part(id)}/test", body=body))

    async def post_schedule(self, id: Id, /, **body: Unpack[Start]) -> Campaign:
        """Schedule a campaign."""
        return await self._answer(
            ask("POST", f"/v1/campaigns/{part(id)}/schedule", body=body), Campaign
        )

    async def delete_schedule(self, id: Id, /) -> Campaign:
        """Take a scheduled campaign back."""
        return await self._answer(ask("DELETE", f"/v1/campaigns/{part(id)}/schedule"), Campaign)

    async def post_start(
        self,
        id: Id,
        /,
        *,
        despite_gaps: bool | None = None,
        version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Campaign:
        """Start a campaign."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/campaigns/{part(id)}/start",
                query={"despite_gaps": despite_gaps, "version": version},
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Campaign,
        )

    async def post_pause(self, id: Id, /) -> Campaign:
        """Pause a campaign."""
        return await self._answer(ask("POST", f"/v1/campaigns/{part(id)}/pause"), Campaign)

    async def post_resumption(self, id: Id, /) -> Campaign:
        """Resume a paused campaign."""
        return await self._answer(ask("POST", f"/v1/campaigns/{part(id)}/resumption"), Campaign)

    async def post_cancellation(self, id: Id, /) -> Campaign:
        """Cancel a campaign."""
        return await self._answer(ask("POST", f"/v1/campaigns/{part(id)}/cancellation"), Campaign)

    async def get_counts(self, id: Id, /) -> Tally:
        """Count a campaign's deliveries."""
        return await self._answer(ask("GET", f"/v1/campaigns/{part(id)}/counts"), Tally)

    async def get_figures(self, id: Id, /) -> Figures:
        """Read what a campaign came to."""
        return await self._answer(ask("GET", f"/v1/campaigns/{part(id)}/figures"), Figures)

    async def get_images(self, id: Id, /) -> list[ImageSize]:
        """List the pictures of a campaign."""
        return await self._answer(ask("GET", f"/v1/campaigns/{part(id)}/images"), list[ImageSize])

    async def get_image(self, id: Id, name: Id, /) -> bytes:
        """Read a picture of a campaign."""
        return await self._file(ask("GET", f"/v1/campaigns/{part(id)}/images/{part(name)}"))

    async def put_image(self, id: Id, name: Id, body: bytes, /) -> ImageSize:
        """Attach a picture to a draft."""
        return await self._answer(
            ask(
                "PUT",
                f"/v1/campaigns/{part(id)}/images/{part(name)}",
                media="application/octet-stream",
                body=body,
            ),
            ImageSize,
        )

    async def delete_image(self, id: Id, name: Id, /) -> None:
        """Take a picture out of a draft."""
        await self._nothing(ask("DELETE", f"/v1/campaigns/{part(id)}/images/{part(name)}"))

    def get_deliveries(
        self,
        id: Id,
        /,
        *,
        state: Literal["waiting", "sending", "sent", "failed", "excluded", "uncertain"],
        limit: int | None = None,
        after: str | None = None,
    ) -> Rows[DeliveryLine]:
        """Page through a campaign's deliveries in one state."""
        return Rows(
            self._exchange,
            ask(
                "GET",
                f"/v1/campaigns/{part(id)}/deliveries",
                query={"state": state, "limit": limit, "after": after},
            ),
            DeliveryLine,
            sliced=False,
        )

    async def get_course(self, id: Id, /) -> Going:
        """See how a campaign goes."""
        return await self._answer(ask("GET", f"/v1/campaigns/{part(id)}/course"), Going)

    async def put_expiry(self, id: Id, /, **body: Unpack[Expiry]) -> Going:
        """Set when a campaign expires."""
        return await self._answer(ask("PUT", f"/v1/campaigns/{part(id)}/expiry", body=body), Going)
