"""The calls: sign ups. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.sign_ups import TakenSignUp
from crm.client.bodies.sign_ups import HandedIn
from crm.client.exchange import Resource, ask


class SignUpsCalls(Resource):
    """Each is named as its operation in /docs."""

    async def post_sign_up(
        self, *, idempotency_key: str | None = None, **body: Unpack[HandedIn]
    ) -> TakenSignUp:
        """Hand in a sign-up from a form of your own."""
        return await self._answer(
            ask("POST", "/v1/sign-ups", body=body, keyed=True, idempotency_key=idempotency_key),
            TakenSignUp,
        )
