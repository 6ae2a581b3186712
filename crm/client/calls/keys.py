"""The calls: keys. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.keys import Key, MadeKey, ThisKey
from crm.client.bodies.keys import NewKey, Rotation
from crm.client.exchange import Id, Resource, ask, part


class KeysCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_key(self) -> ThisKey:
        """Read which key this is."""
        return await self._answer(ask("GET", "/v1/key"), ThisKey)

    async def post_key_rotation(
        self, *, idempotency_key: str | None = None, **body: Unpack[Rotation]
    ) -> MadeKey:
        """Give this key a new text."""
        return await self._answer(
            ask("POST", "/v1/key/rotation", body=body, keyed=True, idempotency_key=idempotency_key),
            MadeKey,
        )

    async def get_keys(self) -> list[Key]:
        """List the keys."""
        return await self._answer(ask("GET", "/v1/keys"), list[Key])

    async def post_key(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewKey]
    ) -> MadeKey:
        """Make a key."""
        return await self._answer(
            ask("POST", "/v1/keys", body=body, keyed=True, idempotency_key=idempotency_key), MadeKey
        )

    async def get_one_key(self, key_id: Id, /) -> Key:
        """Read one key."""
        return await self._answer(ask("GET", f"/v1/keys/{part(key_id)}"), Key)

    async def post_rotation(
        self, key_id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[Rotation]
    ) -> MadeKey:
        """Give a key a new text."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/keys/{part(key_id)}/rotation",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            MadeKey,
        )

    async def post_revocation(self, key_id: Id, /) -> Key:
        """Revoke a key."""
        return await self._answer(ask("POST", f"/v1/keys/{part(key_id)}/revocation"), Key)
