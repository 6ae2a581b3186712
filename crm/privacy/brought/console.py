"""A customer's copy from another installation, for staff: sent, looked at first, taken over.

Between the two it is kept nowhere: the page that shows what would come of it holds it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm import consent
from crm.db import Db, ReadDb
from crm.errors import Refused
from crm.privacy.brought.arriving import LARGEST, Arrived, arrive
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

_PATH = "/staff/imports/copy"
_IMPORTS = [may(Right.import_customers)]
# In base64 on the way back, among a few other fields.
_BODY = LARGEST * 4 // 3 + 100_000


@get("/imports/copy", guards=_IMPORTS)
async def get_copy(db: NamedDependency[ReadDb]) -> Response[Any]:
    """Show the form for a copy."""
    return await _shown(db, Form())


@post(
    "/imports/copy",
    opt={"right": Right.import_customers, "typed": _BODY},
    status_code=303,
    request_max_body_size=_BODY,
)
async def post_copy(
    request: Request[Any, Any, Any], db: NamedDependency[Db], who: NamedDependency[Member]
) -> Response[Any]:
    """Show what would come of a copy, or take it over as it was shown."""
    form = await read_form(request)
    content = await _content(form)
    if not content:
        return await _shown(db, form)
    declare = form.boolean("declare") and who.may(Right.change_customers)
    take = form.typed("then") == "take"
    try:
        came = await arrive(
            db,
            who.actor,
            content,
            declare=declare,
            purposes=_chosen(form, [each.slug for each in await consent.purposes(db)]),
            only_try=not take,
        )
    except Refused as refusal:
        form.wrong("file", refusal.message)
        return await _shown(db, form)
    if take:
        say = f"Taken over from {came.origin}. Say why you open the record, and you see it."
        return redirect(f"/staff/customers/{came.took.customer.id}", say=say)
    if who.may(Right.change_customers):
        form.values["declare"] = ["yes"] if declare else [""]
    return await _shown(db, form, came, b64encode(content).decode())


async def _shown(
    db: ReadDb,
    form: Form,
    came: Arrived | None = None,
    content: str = "",
) -> Response[Any]:
    ours = [(each.slug, each.name) for each in await consent.purposes(db)]
    for each in came.purposes if came else ():
        if not form.typed(_field(each)):
            form.values[_field(each)] = [each if each in dict(ours) else ""]
    return page(
        "privacy/pages/copy_from_elsewhere.html",
        status=422 if form.problems else 200,
        request_path=_PATH,
        form=form,
        came=came,
        content=content,
        ours=ours,
        field=_field,
        most=LARGEST // 1_000_000,
    )


async def _content(form: Form) -> bytes:
    """Read the file that was chosen, or the one that came back with the page that showed it."""
    kept = form.typed("copy")
    if kept:
        try:
            return b64decode(kept, validate=True)
        except ValueError:
            form.wrong("file", "It did not come back whole. Choose the file again.")
            return b""
    file = form.file("file")
    content = await file.read(LARGEST + 1) if file else b""
    if len(content) > LARGEST:
        form.wrong("file", "This file is too large for a page. The command `crm import` takes it.")
        return b""
    if file and not content:
        form.wrong("file", "This file is empty. Choose the one that she brought.")
    return content


def _chosen(form: Form, ours: list[str]) -> dict[str, str]:
    """Read which of ours each of theirs is; what is none of ours is of no purpose here."""
    prefix = _field("")
    return {
        name.removeprefix(prefix): given[0] if given[0] in ours else ""
        for name, given in form.values.items()
        if name.startswith(prefix) and given
    }


def _field(theirs: str) -> str:
    return f"purpose/{theirs}"


handlers = [get_copy, post_copy]
