"""The calls: purposes. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.purposes import Consequences, PublishedNotice, PublishedVersion, Purpose
from crm.client.bodies.purposes import NewNotice, NewPurpose, Publication, Terms
from crm.client.exchange import Id, Resource, ask, part


class PurposesCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_purposes(self) -> list[Purpose]:
        """List the purposes."""
        return await self._answer(ask("GET", "/v1/purposes"), list[Purpose])

    async def post_purpose(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewPurpose]
    ) -> Purpose:
        """Add a purpose."""
        return await self._answer(
            ask("POST", "/v1/purposes", body=body, keyed=True, idempotency_key=idempotency_key),
            Purpose,
        )

    async def get_purpose(self, purpose_id: Id, /) -> Purpose:
        """Read a purpose."""
        return await self._answer(ask("GET", f"/v1/purposes/{part(purpose_id)}"), Purpose)

    async def get_notices(self, purpose_id: Id, /) -> list[PublishedNotice]:
        """List every version of a purpose's text."""
        return await self._answer(
            ask("GET", f"/v1/purposes/{part(purpose_id)}/notices"), list[PublishedNotice]
        )

    async def post_notice(
        self, purpose_id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[NewNotice]
    ) -> PublishedNotice:
        """Publish the next version of a purpose's text."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/purposes/{part(purpose_id)}/notices",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            PublishedNotice,
        )

    async def get_notice(self, notice_id: Id, /) -> PublishedNotice:
        """Read one version of a text."""
        return await self._answer(ask("GET", f"/v1/notices/{part(notice_id)}"), PublishedNotice)

    async def get_versions(self, purpose_id: Id, /) -> list[PublishedVersion]:
        """List every version of a purpose."""
        return await self._answer(
            ask("GET", f"/v1/purposes/{part(purpose_id)}/versions"), list[PublishedVersion]
        )

    async def post_version(
        self, purpose_id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[Publication]
    ) -> Purpose:
        """Publish the next version of a purpose."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/purposes/{part(purpose_id)}/versions",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Purpose,
        )

    async def post_preview(self, purpose_id: Id, /, **body: Unpack[Terms]) -> Consequences:
        """Ask what the next version would mean."""
        return await self._answer(
            ask("POST", f"/v1/purposes/{part(purpose_id)}/version-previews", body=body),
            Consequences,
        )

    async def post_retirement(
        self, purpose_id: Id, /, *, idempotency_key: str | None = None
    ) -> Purpose:
        """Take a purpose out of use."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/purposes/{part(purpose_id)}/retirement",
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Purpose,
        )
