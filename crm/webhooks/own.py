"""Which endpoints a key manages, and what it can have told: what it made, and what it may read."""

from __future__ import annotations

from uuid import UUID

from crm import webhooks
from crm.db import ReadDb
from crm.events import Kind
from crm.events.model import DECISIONS
from crm.staff import Caller, Scope
from crm.staff.model import ScopeMissing
from crm.webhooks.model import Endpoint, OthersEndpoint


async def own(db: ReadDb, caller: Caller, endpoint_id: UUID) -> Endpoint:
    """Let a key manage what it made itself, and what others made only by a scope of its own."""
    found = await webhooks.endpoint(db, endpoint_id)
    hers = found.created_by is not None and found.created_by.id == caller.id
    if not hers and not caller.allows(Scope.webhooks_manage):
        raise OthersEndpoint
    return found


def check_may_tell(caller: Caller, kinds: list[Kind]) -> None:
    """Let a key have told what it could read itself, and no more."""
    wanted = [Scope.events_read, Scope.customers_read]
    if not kinds or any(each.value.startswith(DECISIONS) for each in kinds):
        wanted.append(Scope.consents_read)
    missing = [each.value for each in wanted if not caller.allows(each)]
    if missing:
        lacks = f"which the key {caller.name!r} lacks: it can have told only what it may read."
        raise ScopeMissing(f"This needs the scope {missing[0]}, {lacks}")
