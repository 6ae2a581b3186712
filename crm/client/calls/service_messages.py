"""The calls: service messages. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.service_messages import ServiceMessage, ServicePurpose
from crm.client.bodies.service_messages import NewServiceMessage, NewServicePurpose
from crm.client.exchange import Id, Resource, ask, part


class ServiceMessagesCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_service_purposes(self) -> list[ServicePurpose]:
        """List the service purposes."""
        return await self._answer(ask("GET", "/v1/service-purposes"), list[ServicePurpose])

    async def put_service_purpose(
        self, name: Id, /, **body: Unpack[NewServicePurpose]
    ) -> ServicePurpose:
        """Declare a service purpose."""
        return await self._answer(
            ask("PUT", f"/v1/service-purposes/{part(name)}", body=body), ServicePurpose
        )

    async def post_service_message(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewServiceMessage]
    ) -> ServiceMessage:
        """Send one mail to one customer."""
        return await self._answer(
            ask(
                "POST",
                "/v1/service-messages",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            ServiceMessage,
        )

    async def get_service_message(self, id: Id, /) -> ServiceMessage:
        """Read where a service message stands."""
        return await self._answer(ask("GET", f"/v1/service-messages/{part(id)}"), ServiceMessage)
