"""The calls: privacy. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, Unpack

from crm.client.answers.privacy import (
    CopyShown,
    Erased,
    FreezeEnds,
    Logged,
    Request,
    Signed,
    Standing,
)
from crm.client.bodies.privacy import Answered, CopyWanted, Longer, NewRequest, Refusal
from crm.client.exchange import Id, Resource, ask, part
from crm.client.rows import Rows


class PrivacyCalls(Resource):
    """Each is named as its operation in /docs."""

    async def delete_restriction(self, id: Id, /) -> FreezeEnds | None:
        """Have the restriction of a customer's data end."""
        return await self._answer_or_none(
            ask("DELETE", f"/v1/customers/{part(id)}/restriction"), FreezeEnds
        )

    async def get_erasure(self, id: Id, /) -> Signed:
        """Read the certificate of an erasure."""
        return await self._answer(ask("GET", f"/v1/customers/{part(id)}/erasure"), Signed)

    async def post_erasure(self, id: Id, /, *, idempotency_key: str | None = None) -> Erased:
        """Delete everything held about a customer."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/customers/{part(id)}/erasure",
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Erased,
        )

    def get_requests(
        self,
        *,
        kind: Literal[
            "access", "portability", "rectification", "erasure", "restriction", "objection"
        ]
        | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Rows[Request]:
        """Page through the privacy requests that wait."""
        return Rows(
            self._exchange,
            ask(
                "GET", "/v1/privacy-requests", query={"kind": kind, "limit": limit, "after": after}
            ),
            Request,
            sliced=False,
        )

    async def post_request(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewRequest]
    ) -> Standing:
        """Record a privacy request."""
        return await self._answer(
            ask(
                "POST",
                "/v1/privacy-requests",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Standing,
        )

    async def get_request(self, id: Id, /) -> Logged:
        """Read a privacy request."""
        return await self._answer(ask("GET", f"/v1/privacy-requests/{part(id)}"), Logged)

    async def post_answer(
        self, id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[Answered]
    ) -> Standing:
        """Answer a privacy request."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/privacy-requests/{part(id)}/answer",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Standing,
        )

    async def post_refusal(
        self, id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[Refusal]
    ) -> Standing:
        """Refuse a privacy request."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/privacy-requests/{part(id)}/refusal",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Standing,
        )

    async def post_extension(
        self, id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[Longer]
    ) -> Standing:
        """Make the time for a privacy request longer."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/privacy-requests/{part(id)}/extension",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            Standing,
        )

    async def get_copies(self, id: Id, /) -> list[CopyShown]:
        """List the copies that this key asked for about a customer."""
        return await self._answer(ask("GET", f"/v1/customers/{part(id)}/copies"), list[CopyShown])

    async def post_copy(
        self, id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[CopyWanted]
    ) -> CopyShown:
        """Ask for a copy of everything held about a customer."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/customers/{part(id)}/copies",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            CopyShown,
        )

    async def get_copy(self, copy_id: Id, /) -> CopyShown:
        """Look how far a copy is."""
        return await self._answer(ask("GET", f"/v1/copies/{part(copy_id)}"), CopyShown)

    async def get_copy_file(self, copy_id: Id, /) -> bytes:
        """Fetch a copy that is ready."""
        return await self._file(ask("GET", f"/v1/copies/{part(copy_id)}/file"))
