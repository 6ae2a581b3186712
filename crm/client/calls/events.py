"""The calls: events. Written by `make calls`."""

from __future__ import annotations

from typing import Literal

from crm.client.answers.events import Event
from crm.client.exchange import Resource, ask
from crm.client.rows import Rows


class EventsCalls(Resource):
    """Each is named as its operation in /docs."""

    def get_events(
        self,
        *,
        order: Literal["newest", "oldest"] | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Rows[Event]:
        """Page through what happened."""
        return Rows(
            self._exchange,
            ask("GET", "/v1/events", query={"order": order, "limit": limit, "after": after}),
            Event,
            sliced=True,
        )
