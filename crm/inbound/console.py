"""Coming back, for staff: what came in, how mailbox and addresses for reports are, and wishes."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from crm import consent, customers, inbound
from crm.businesses import Business
from crm.consent import EMAIL, Method
from crm.db import Database, Db, ReadDb
from crm.errors import Refused
from crm.events import Actor
from crm.inbound.mailboxes import drop_mailbox, keep_mailbox, mailbox, try_mailbox
from crm.inbound.model import NewMailbox, Provider
from crm.inbound.providers import drop_webhook, make_webhook, webhooks
from crm.settings import Settings
from crm.staff import Member, Right
from crm.staff.auth import may
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect
from crm.web.transaction import ask_now, attempt

_PATH = "/staff/inbound"
_DAYS = 30
_TLS = ("implicit", "starttls", "none")


@get("/inbound", guards=[may(Right.see_campaigns)])
async def get_inbound(
    db: NamedDependency[ReadDb], who: NamedDependency[Member], business: NamedDependency[Business]
) -> Response[Any]:
    """Show what came back lately, and by which ways."""
    return await _shown(db, who, business, None)


@post("/inbound/mailbox", guards=[may(Right.change_business)], status_code=303)
async def post_mailbox(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    by: NamedDependency[Actor],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Enter the mailbox, or show what is wrong with it."""
    form = await read_form(request)
    new = _read(form)
    settings: Settings = request.app.state.settings
    if new is not None and new.tls == "none" and not settings.inbound.local_mailboxes:
        form.wrong("tls", "A password never goes without TLS. Choose one of the other two.")
    if new is not None and not form.problems:
        try:
            await keep_mailbox(db, by, new)
        except Refused as refusal:
            form.wrong("password", refusal.message)
        else:
            return redirect(_PATH, say="Saved. Try it now, or look here again in a minute.")
    return await _shown(db, who, business, form)


@post("/inbound/mailbox/trial", guards=[may(Right.change_business)], status_code=303)
async def post_trial(
    request: Request[Any, Any, Any], business: NamedDependency[Business]
) -> Response[Any]:
    """Open the mailbox once and say what is there; no transaction waits for it."""
    await ask_now(request)
    settings: Settings = request.app.state.settings
    database: Database = request.app.state.database
    local = settings.inbound.local_mailboxes
    try:
        waiting = await try_mailbox(database, business.id, local=local)
    except Refused as refusal:
        return redirect(_PATH, say=refusal.message, tone="stop")
    lie = "one mail lies" if waiting == 1 else f"{waiting} mails lie"
    return redirect(_PATH, say=f"It opens; {lie} there.")


@post("/inbound/mailbox/removal", guards=[may(Right.change_business)], status_code=303)
async def post_mailbox_removal(
    db: NamedDependency[Db], by: NamedDependency[Actor]
) -> Response[Any]:
    """Fetch no mail any more."""
    await drop_mailbox(db, by)
    return redirect(_PATH, say="No mail is fetched any more; what was heard stays.")


@post("/inbound/webhooks", guards=[may(Right.change_business)], status_code=200)
async def post_webhook(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    by: NamedDependency[Actor],
    who: NamedDependency[Member],
    business: NamedDependency[Business],
) -> Response[Any]:
    """Make an address for reports and show it this once."""
    form = await read_form(request)
    provider = form.choice("provider", Provider)
    topic = form.text("topic", required=provider is Provider.ses, max=300)
    if provider is not None and not form.problems:
        try:
            secret = await make_webhook(db, by, provider, topic)
        except Refused as refusal:
            form.wrong("topic", refusal.message)
        else:
            address = f"{business.origin}/hooks/{provider}/{secret}"
            return page("inbound/pages/webhook.html", provider=provider, address=address)
    return await _shown(db, who, business, form)


@post("/inbound/webhooks/removal", guards=[may(Right.change_business)], status_code=303)
async def post_webhook_removal(
    request: Request[Any, Any, Any], db: NamedDependency[Db], by: NamedDependency[Actor]
) -> Response[Any]:
    """Refuse what is posted to an address from now on."""
    form = await read_form(request)
    provider = form.choice("provider", Provider)
    form.refuse()
    if provider is not None:
        await drop_webhook(db, by, provider)
    return redirect(_PATH, say="That address is refused from now on.")


@post(
    "/customers/{customer_id:uuid}/leaving",
    guards=[may(Right.change_customers)],
    status_code=303,
)
async def post_leaving(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    by: NamedDependency[Actor],
    customer_id: FromPath[UUID],
) -> Response[Any]:
    """Stop all mails to a customer who asked for it by mail, with the member's name on it."""

    async def act(db: Db) -> list[UUID]:
        # Held: a record that was merged into another this moment has nothing left to stop.
        held = await consent.hold_many(db, [customer_id])
        customer = await customers.get(db, held.merged.get(customer_id, customer_id))
        return await consent.withdraw_all(
            db, by, customer.id, method=Method.staff, said={"by": "mail"}, channel=EMAIL
        )

    ended = await attempt(request, db, act)
    said = "All mails are off." if ended else "There was nothing left to stop."
    return redirect(f"/staff/customers/{customer_id}", say=said)


async def _shown(db: ReadDb, who: Member, business: Business, form: Form | None) -> Response[Any]:
    known = await mailbox(db)
    if form is None:
        given = msgspec.to_builtins(known) if known else {}
        form = Form.of(
            host=given.get("host", ""),
            port=str(given.get("port", 993)),
            tls=given.get("tls", "implicit"),
            username=given.get("username", ""),
            folder=given.get("folder", "INBOX"),
            kept_in=given.get("kept_in", "Firsthand"),
        )
    return page(
        "inbound/pages/inbound.html",
        status=422 if form.problems else 200,
        counts=await inbound.counts(db, _DAYS),
        business=business,
        mailbox=known,
        webhooks=await webhooks(db),
        may_change=who.may(Right.change_business),
        form=form,
    )


def _read(form: Form) -> NewMailbox | None:
    given = {
        "host": form.text("host", max=253).lower(),
        "port": form.integer("port", min=1, max=65535),
        "tls": form.choice("tls", _TLS),
        "username": form.text("username", max=254),
        "password": form.text("password", required=False, max=500),
        "folder": form.text("folder", max=200),
        "kept_in": form.text("kept_in", max=200),
    }
    if given["folder"] == given["kept_in"]:
        form.wrong("kept_in", "What was read must lie elsewhere, or it is read again.")
    if form.problems:
        return None
    try:
        return msgspec.convert(given, NewMailbox)
    except msgspec.ValidationError:
        form.wrong("host", "A server is named like imap.example.com.")
        return None


handlers = [
    get_inbound,
    post_mailbox,
    post_trial,
    post_mailbox_removal,
    post_webhook,
    post_webhook_removal,
    post_leaving,
]
