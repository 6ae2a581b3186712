"""Every route of the web process: the path is the audience, and the audience is the guard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litestar import Request, Router, get
from litestar.di import NamedDependency
from litestar.types import ControllerRouterHandler, Guard

from crm import access, languages
from crm.access import api as access_api
from crm.access import auth as access_auth
from crm.access import by_link as access_by_link
from crm.access import console as access_console
from crm.access import new_address_portal, sessions_portal, sign_ups_api
from crm.access import portal as access_portal
from crm.access import receipt_portal as access_receipts
from crm.businesses import Business
from crm.businesses import api as businesses_api
from crm.businesses import console as businesses_console
from crm.businesses import portal as businesses_portal
from crm.businesses.host import of_host, of_host_if_any
from crm.campaigns import api as campaigns_api
from crm.campaigns import archive as campaigns_archive
from crm.campaigns import console as campaigns_console
from crm.campaigns import course_api
from crm.campaigns import poll_page as campaigns_poll
from crm.campaigns import portal as campaigns_portal
from crm.campaigns import public as campaigns_public
from crm.consent import api as consent_api
from crm.consent import console as consent_console
from crm.consent import (
    customer_tab,
    proof_console,
    purpose_editor,
    purposes_api,
    receipt_api,
    receipt_portal,
)
from crm.consent import portal as consent_portal
from crm.consent import public as consent_public
from crm.customers import api as customers_api
from crm.customers import console as customers_console
from crm.customers import declared_api, tags_api, tags_console
from crm.customers import portal as customers_portal
from crm.db import ReadDb
from crm.events import api as events_api
from crm.events import console as events_console
from crm.exports import api as exports_api
from crm.imports import api as imports_api
from crm.imports import console as imports_console
from crm.imports import mapping_api, mapping_console
from crm.inbound import console as inbound_console
from crm.inbound import webhooks as inbound_webhooks
from crm.languages import marked
from crm.ledger import console as ledger_console
from crm.ledger import public as ledger_public
from crm.mail import api as mail_api
from crm.mail import console as mail_console
from crm.mail import domain_console
from crm.privacy import address_back_portal
from crm.privacy import api as privacy_api
from crm.privacy import console as privacy_console
from crm.privacy import portal as privacy_portal
from crm.privacy.brought import api as brought_api
from crm.privacy.brought import console as brought_console
from crm.privacy.copies import api as copies_api
from crm.privacy.copies import portal as copies_portal
from crm.privacy.erasure import public as erasure_public
from crm.privacy.merging import api as merging_api
from crm.privacy.merging import console as merging_console
from crm.privacy.quarantine import api as quarantine_api
from crm.privacy.quarantine import console as quarantine_console
from crm.privacy.requests import api as requests_api
from crm.privacy.requests import console as requests_console
from crm.privacy.requests import portal as requests_portal
from crm.privacy.retention import console as retention_console
from crm.rhythm import api as rhythm_api
from crm.rhythm import portal as rhythm_portal
from crm.segments import api as segments_api
from crm.segments import console as segments_console
from crm.service import api as service_api
from crm.staff import api as staff_api
from crm.staff import auth as staff_auth
from crm.staff import console as staff_console
from crm.staff import members_api, members_console, second_factor_console
from crm.trust import public as trust_public
from crm.web import assets, docs, reader
from crm.web.csrf import same_session
from crm.web.pages import Tab, redirect
from crm.web.parameters import only_known
from crm.web.refusals import PAGES, PROBLEMS, pages_behind
from crm.webhooks import api as webhooks_api
from crm.webhooks import console as webhooks_console
from crm.webhooks import portal as webhooks_portal

TABS = (
    Tab("/me", marked("What we hold")),
    Tab("/me/consent", marked("What we may do")),
    Tab("/me/rhythm", marked("How often")),
    Tab("/me/mails", marked("What we sent")),
    Tab("/me/requests", marked("Ask or object")),
    Tab("/me/delete", marked("Leave or delete")),
)
ROOMS = (
    Tab("/staff/campaigns", "Campaigns"),
    Tab("/staff/customers", "Customers"),
    Tab("/staff/segments", "Segments"),
    Tab("/staff/requests", "Privacy requests"),
    Tab("/staff/inbound", "Coming back"),
    Tab("/staff/imports", "Imports"),
    Tab("/staff/purposes", "Purposes"),
    Tab("/staff/members", "Staff"),
    Tab("/staff/keys", "API keys"),
    Tab("/staff/webhooks", "Webhooks"),
    Tab("/staff/audit", "Audit"),
    Tab("/staff/retention", "Retention"),
    Tab("/staff/ledger", "Ledger"),
    Tab("/staff/relays", "Relays"),
    Tab("/staff/domains", "Domains"),
    Tab("/staff/settings", "Settings"),
    Tab("/staff/account", "My account"),
)

_API = [
    *customers_api.handlers,
    *exports_api.handlers,
    *tags_api.handlers,
    *declared_api.handlers,
    *consent_api.handlers,
    *purposes_api.handlers,
    *access_api.handlers,
    *sign_ups_api.handlers,
    *receipt_api.handlers,
    *campaigns_api.handlers,
    *segments_api.handlers,
    *course_api.handlers,
    *imports_api.handlers,
    *mapping_api.handlers,
    *mail_api.handlers,
    *service_api.handlers,
    *rhythm_api.handlers,
    *privacy_api.handlers,
    *merging_api.handlers,
    *requests_api.handlers,
    *copies_api.handlers,
    *brought_api.handlers,
    *quarantine_api.handlers,
    *events_api.handlers,
    *webhooks_api.handlers,
    *businesses_api.handlers,
    *members_api.handlers,
    *staff_api.handlers,
]
_PORTAL = [
    *privacy_portal.handlers,
    *requests_portal.handlers,
    *copies_portal.handlers,
    *consent_portal.handlers,
    *receipt_portal.handlers,
    *access_receipts.handlers,
    *rhythm_portal.handlers,
    *webhooks_portal.handlers,
    *campaigns_portal.handlers,
    *customers_portal.handlers,
    *access_portal.handlers,
    *sessions_portal.handlers,
    *new_address_portal.handlers,
]
_CONSOLE = [
    *campaigns_console.handlers,
    *segments_console.handlers,
    *customers_console.handlers,
    *tags_console.handlers,
    *consent_console.handlers,
    *customer_tab.handlers,
    *proof_console.handlers,
    *purpose_editor.handlers,
    *imports_console.handlers,
    *mapping_console.handlers,
    *privacy_console.handlers,
    *merging_console.handlers,
    *requests_console.handlers,
    *brought_console.handlers,
    *quarantine_console.handlers,
    *retention_console.handlers,
    *access_console.handlers,
    *events_console.handlers,
    *webhooks_console.handlers,
    *inbound_console.handlers,
    *ledger_console.handlers,
    *domain_console.handlers,
    *staff_console.handlers,
    *members_console.handlers,
    *second_factor_console.handlers,
    *businesses_console.handlers,
    *mail_console.handlers,
]

# A signed link or an open form; no session.
_BY_LINK = [
    *access_portal.by_link,
    *address_back_portal.by_link,
    *campaigns_portal.by_link,
    *requests_portal.by_link,
    *erasure_public.by_link,
]
# For everybody, and cached by whoever likes.
_PUBLIC = [
    *ledger_public.handlers,
    *consent_public.handlers,
    *campaigns_archive.handlers,
    *campaigns_public.handlers,
    *campaigns_poll.handlers,
    *trust_public.handlers,
    *businesses_portal.handlers,
    *retention_console.public,
]


def provide_business(request: Request[Any, Any, Any]) -> Business:
    """Inject the business whose page is asked for."""
    business: Business = request.scope["state"]["business"]
    return business


@get("/", guards=[of_host], exception_handlers=PAGES, include_in_schema=False)
async def get_front(
    request: Request[Any, Any, Any],
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
) -> Any:
    """Lead whoever is signed in to her page, and others to the sign-up form, if there is one."""
    if access_auth.cookie_of(request, business, access_auth.SESSION):
        return redirect("/me")
    offered = await access.offers(db, languages.spoken_of(business.locale))
    return redirect("/sign-up" if offered else "/sign-in")


def routers() -> Sequence[ControllerRouterHandler]:
    """List every router: the path is the audience, and the audience is the guard."""
    return [
        Router(
            "/v1",
            route_handlers=_API,
            guards=[staff_auth.with_key, only_known],
            exception_handlers=PROBLEMS,
            security=[{"key": []}],
        ),
        _pages("/me", _PORTAL, access_auth.signed_in_customer, sign_in="/sign-in"),
        _pages("/staff", _CONSOLE, staff_auth.signed_in, sign_in="/staff/sign-in"),
        _open(
            "/staff",
            [*staff_console.open_handlers, *second_factor_console.open_handlers],
            guards=[of_host],
        ),
        _open("/", _BY_LINK, guards=[of_host]),
        _open("/", _PUBLIC, guards=[of_host]),
        # The link names its business itself: leaving works wherever the business answers by now.
        _open("/", access_by_link.by_token, guards=[]),
        # What providers post: the secret in the path is the right.
        Router(
            "/",
            route_handlers=inbound_webhooks.handlers,
            exception_handlers=PROBLEMS,
            include_in_schema=False,
        ),
        get_front,
        _open("/", reader.handlers, guards=[of_host_if_any]),
        *assets.handlers,
        *docs.handlers,
    ]


def _pages(
    path: str, handlers: Sequence[ControllerRouterHandler], signed_in: Guard, *, sign_in: str
) -> Router:
    return Router(
        path,
        route_handlers=handlers,
        guards=[of_host, signed_in, same_session],
        exception_handlers=pages_behind(sign_in),
        include_in_schema=False,
    )


def _open(path: str, handlers: Sequence[ControllerRouterHandler], *, guards: list[Guard]) -> Router:
    return Router(
        path,
        route_handlers=handlers,
        guards=guards,
        exception_handlers=PAGES,
        include_in_schema=False,
    )
