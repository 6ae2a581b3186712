"""The calls: segments. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.segments import Counted, Segment
from crm.client.bodies.segments import Asked, NewSegment
from crm.client.exchange import Id, Resource, ask, part


class SegmentsCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_segments(self) -> list[Segment]:
        """List the segments."""
        return await self._answer(ask("GET", "/v1/segments"), list[Segment])

    async def post_segment(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewSegment]
    ) -> Segment:
        """Write a segment."""
        return await self._answer(
            ask("POST", "/v1/segments", body=body, keyed=True, idempotency_key=idempotency_key),
            Segment,
        )

    async def post_count(self, **body: Unpack[Asked]) -> Counted:
        """Count whom a rule selects."""
        return await self._answer(ask("POST", "/v1/segments/count", body=body), Counted)

    async def get_segment(self, id: Id, /) -> Segment:
        """Read a segment."""
        return await self._answer(ask("GET", f"/v1/segments/{part(id)}"), Segment)

    async def put_segment(
        self, id: Id, /, *, if_match: int | str, **body: Unpack[NewSegment]
    ) -> Segment:
        """Replace a segment."""
        return await self._answer(
            ask("PUT", f"/v1/segments/{part(id)}", body=body, if_match=if_match), Segment
        )

    async def delete_segment(self, id: Id, /) -> None:
        """Delete a segment."""
        await self._nothing(ask("DELETE", f"/v1/segments/{part(id)}"))
