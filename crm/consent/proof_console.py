"""The proof that is kept of somebody erased: found by the address that she names, or a receipt.

There is no list of them: who has left is looked up when somebody asks on which ground she was
written to, and for nothing else. Each search is written down with whoever made it.
"""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm import customers, events
from crm.consent.kept_proof import NotAReceipt, check_receipt, kept_proofs
from crm.consent.purposes import notice
from crm.customers import NotAnAddress
from crm.db import Db
from crm.events import Actor, Kind
from crm.staff import Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page

PATH = "/staff/proofs"
_PAGE = "consent/pages/kept_proofs.html"
_GUARDS = [may(Right.answer_requests)]
# A receipt holds the words that were shown, in all their languages.
_LONGEST = 200_000
_BODY = 3 * _LONGEST


@get("/proofs", guards=_GUARDS, sync_to_thread=False)
def get_proofs() -> Response[Any]:
    """Ask for an address or a receipt."""
    return page(_PAGE, form=Form(), searched=False)


@post("/proofs", guards=_GUARDS, status_code=200, request_max_body_size=_BODY)
async def post_proofs(
    request: Request[Any, Any, Any], db: NamedDependency[Db], by: NamedDependency[Actor]
) -> Response[Any]:
    """Show what is kept under an address, or what a receipt proves."""
    form = await read_form(request)
    address = form.address("address", required=False)
    receipt = form.text("receipt", required=False, max=_LONGEST, lines=True)
    if bool(address) == bool(receipt) and not form.problems:
        form.wrong("address", "Enter an address or a receipt, one of the two.")
    found, checked = [], None
    if not form.problems:
        try:
            if address:
                folded = customers.parse(address).folded
                found = await kept_proofs(db, db.keys.address_hash(db.business_id, folded))
            else:
                checked = await check_receipt(db, receipt)
                found = [checked.proof] if checked.proof else []
        except NotAnAddress as no:
            form.wrong("address", no.message)
        except NotAReceipt as no:
            form.wrong("receipt", no.message)
    if form.problems:
        return page(_PAGE, status=422, form=form, searched=False)
    await events.record(db, by, Kind.proof_sought)
    texts = {each.notice_id: await notice(db, each.notice_id) for each in found if each.notice_id}
    return page(_PAGE, form=Form(), searched=True, checked=checked, found=found, texts=texts)


handlers = [get_proofs, post_proofs]
