"""Copies from other installations for programs: tried out, and taken over."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from crm.db import Db
from crm.privacy.brought.arriving import LARGEST, arrive
from crm.staff import Caller, Scope
from crm.staff.auth import needs
from crm.staff.model import ScopeMissing


class TakenOver(Struct, frozen=True, kw_only=True):
    """What came of a copy; `customer_id` is null where it was only tried and she is not here yet.

    `states` says, by our short name of a purpose, what follows here from what she decided there;
    `said` has in sentences what was not taken over, or not as the copy says.
    """

    customer_id: UUID | None
    added: bool
    origin: str
    attributes: int
    interactions: int
    decisions: int
    mails: int
    states: dict[str, str]
    said: list[str]


@post(
    "/copies",
    guards=[needs("imports:write")],
    status_code=200,
    request_max_body_size=LARGEST,
    opt={"body": "application/zip"},
    tags=["Imports"],
    summary="Take over a customer's copy from another installation",
    description="The body is her `your-data.zip`; docs/copy.md says what of it is taken over. With "
    "`only_try` it is said what would come of it, and nothing is kept. `declare`, which takes the "
    "scope `customers:write` as well, declares attributes and kinds that are not known here yet. "
    "Each `purpose` is THEIRS=OURS, where short names differ. 422 `not_a_copy` names the file that "
    "is not as it was packed. It mails nobody, and the same copy again changes nothing.",
)
async def post_copy_from_elsewhere(  # noqa: PLR0917  (as the router calls it)
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    caller: NamedDependency[Caller],
    only_try: FromQuery[bool] = False,  # noqa: FBT002  (a query)
    declare: FromQuery[bool] = False,  # noqa: FBT002  (a query)
    purpose: Annotated[
        list[str] | None, QueryParameter(description="THEIRS=OURS, by short names.")
    ] = None,
) -> TakenOver:
    """Take over a customer's copy from another installation."""
    if declare and not caller.allows(Scope.customers_write):
        raise ScopeMissing
    named = [each.partition("=") for each in purpose or ()]
    came = await arrive(
        db,
        caller.actor,
        await request.body(),
        declare=declare,
        purposes={theirs: ours or theirs for theirs, _, ours in named},
        only_try=only_try,
    )
    took = came.took
    return TakenOver(
        customer_id=None if only_try and took.added else took.customer.id,
        added=took.added,
        origin=came.origin,
        attributes=took.attributes,
        interactions=took.interactions,
        decisions=took.decisions,
        mails=took.mails,
        states=took.states,
        said=took.said,
    )


handlers = [post_copy_from_elsewhere]
