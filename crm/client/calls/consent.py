"""The calls: consent. Written by `make calls`."""

from __future__ import annotations

from typing import Unpack

from crm.client.answers.consent import Allowed, Bundle, Check, Checks, Withdrawal
from crm.client.answers.shared import ConsentEvent
from crm.client.bodies.consent import Asked, NewConsentEvent, NewWithdrawal
from crm.client.exchange import Id, Resource, ask, part


class ConsentCalls(Resource):
    """Each is named as its operation in /docs."""

    async def get_consent_events(self, id: Id, /) -> list[ConsentEvent]:
        """Read every decision of a customer."""
        return await self._answer(
            ask("GET", f"/v1/customers/{part(id)}/consent-events"), list[ConsentEvent]
        )

    async def post_consent_event(
        self, id: Id, /, *, idempotency_key: str | None = None, **body: Unpack[NewConsentEvent]
    ) -> ConsentEvent:
        """Record a decision of a customer."""
        return await self._answer(
            ask(
                "POST",
                f"/v1/customers/{part(id)}/consent-events",
                body=body,
                keyed=True,
                idempotency_key=idempotency_key,
            ),
            ConsentEvent,
        )

    async def get_consents(self, id: Id, /) -> list[Allowed]:
        """Read what a customer allows now."""
        return await self._answer(ask("GET", f"/v1/customers/{part(id)}/consents"), list[Allowed])

    async def get_check(self, *, customer: Id, purpose: Id) -> Check:
        """Answer "May I contact this customer for this purpose?"."""
        return await self._answer(
            ask("GET", "/v1/consents/check", query={"customer": customer, "purpose": purpose}),
            Check,
        )

    async def post_checks(self, **body: Unpack[Asked]) -> Checks:
        """Answer "May I contact these customers for this purpose?"."""
        return await self._answer(ask("POST", "/v1/consent-checks", body=body), Checks)

    async def post_withdrawal(
        self, *, idempotency_key: str | None = None, **body: Unpack[NewWithdrawal]
    ) -> Withdrawal:
        """Record that an address leaves."""
        return await self._answer(
            ask("POST", "/v1/withdrawals", body=body, keyed=True, idempotency_key=idempotency_key),
            Withdrawal,
        )

    async def get_receipt(self, id: Id, event_id: Id, /, *, since: int | None = None) -> Bundle:
        """Read the receipt of a decision."""
        return await self._answer(
            ask(
                "GET",
                f"/v1/customers/{part(id)}/consent-events/{part(event_id)}/receipt",
                query={"since": since},
            ),
            Bundle,
        )
