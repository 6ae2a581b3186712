"""The calls: webhooks. Written by `make calls`."""

from __future__ import annotations

from typing import Literal, Unpack

from crm.client.answers.webhooks import (
    Acknowledged,
    Endpoint,
    Post,
    Try,
    WithSecret,
)
from crm.client.bodies.webhooks import NewEndpoint, Rotation, Since, Switch
from crm.client.exchange import Id, Resource, ask, part
from crm.client.rows import Rows


class WebhooksCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_webhooks(self) -> list[Endpoint]:
        """List the endpoints that events are told to."""
        return await self._answer(ask("GET", "/v1/webhooks"), list[Endpoint])

    async def post_webhook(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewEndpoint]
    ) -> WithSecret:
        """Have events told to an endpoint."""
        return await self._answer(
            ask("POST", "/v1/webhooks", body=body, keyed=True, idempotency_key=idempotency_key),
            WithSecret,
        )

    async def get_webhook(self, endpoint_id: Id, /) -> Endpoint:
        """Read an endpoint."""
        return await self._answer(ask("GET", f"/v1/webhooks/{part(endpoint_id)}"), Endpoint)

    async def put_webhook(
        self, endpoint_id: Id, /, *, if_match: int | str, **body: Unpack[NewEndpoint]
    ) -> Endpoint:
        """Change an endpoint."""
        return await self._answer(
            ask("PUT", f"/v1/webhooks/{part(endpoint_id)}", body=body, if_match=if_match), Endpoint
        )

    async def delete_webhook(self, endpoint_id: Id, /) -> None:
        """Remove an endpoint."""
        await self._nothing(ask("DELETE", f"/v1/webhooks/{part(endpoint_id)}"))

    async def post_webhook_switch(self, endpoint_id: Id, /, **body: Unpack[Switch]) -> Endpoint:
        """Switch an endpoint on or off."""
        return await self._answer(
            ask("POST", f"/v1/webhooks/{part(endpoint_id)}/switch", body=body), Endpoint
        )

    async def post_webhook_test(self, endpoint_id: Id, /) -> None:
        """Have a test event told."""
        await self._nothing(ask("POST", f"/v1/webhooks/{part(endpoint_id)}/test"))

    async def post_webhook_secret(
        self, endpoint_id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[Rotation]
    ) -> WithSecret:
        """Make a new secret."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/webhooks/{part(endpoint_id)}/secrets",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            WithSecret,
        )

    def get_webhook_deliveries(
        self,
        endpoint_id: Id,
        /,
        *,
        only: Literal["waiting", "told", "failed"] | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> Rows[Post]:
        """Page through what was told to an endpoint."""
        return Rows(
            self._exchange,
            ask(
                "GET",
                f"/v1/webhooks/{part(endpoint_id)}/deliveries",
                query={"only": only, "limit": limit, "after": after},
            ),
            Post,
            sliced=True,
        )

    def get_webhook_attempts(
        self, endpoint_id: Id, /, *, limit: int | None = None, after: str | None = None
    ) -> Rows[Try]:
        """Page through the attempts of an endpoint."""
        return Rows(
            self._exchange,
            ask(
                "GET",
                f"/v1/webhooks/{part(endpoint_id)}/attempts",
                query={"limit": limit, "after": after},
            ),
            Try,
            sliced=True,
        )

    async def post_webhook_replay(self, endpoint_id: Id, /, **body: Unpack[Since]) -> None:
        """Have everything since an instant told once more."""
        await self._nothing(ask("POST", f"/v1/webhooks/{part(endpoint_id)}/replay", body=body))

    async def post_delivery_replay(self, endpoint_id: Id, event_id: Id, /) -> None:
        """Have one event told once more."""
        await self._nothing(
            ask("POST", f"/v1/webhooks/{part(endpoint_id)}/deliveries/{part(event_id)}/replay")
        )

    async def post_delivery_acknowledgement(self, endpoint_id: Id, event_id: Id, /) -> Acknowledged:
        """Say that a withdrawal or an erasure was heeded."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/webhooks/{part(endpoint_id)}/deliveries/{part(event_id)}/acknowledgement",
            ),
            Acknowledged,
        )
