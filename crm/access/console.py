"""The sign-up form to copy into the business's own site."""

from __future__ import annotations

from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from crm import access, languages
from crm.access.form import Ages
from crm.access.model import Offer
from crm.access.signup_form import OLD_ENOUGH, TRAP
from crm.businesses import Business
from crm.db import ReadDb
from crm.languages import ENGLISH, gettext, speaking
from crm.staff import Right
from crm.staff.auth import may
from crm.web.forms import Form
from crm.web.pages import fragment, page


@get("/sign-up-form", guards=[may(Right.edit_purposes)])
async def get_sign_up_form(
    db: NamedDependency[ReadDb],
    business: NamedDependency[Business],
    purpose: FromQuery[list[str] | None] = None,
) -> Response[Any]:
    """Show the HTML of the form, for the purposes ticked or for all."""
    every = await access.offers(db, business.locale)
    slugs = purpose or []
    chosen = [offer for offer in every if not slugs or offer.purpose.slug in slugs]
    html = ""
    if chosen:
        html = _html(business, chosen, access.seal_form(db, chosen, business.locale))
    return page(
        "access/pages/sign_up_form.html",
        html=html,
        offers=every,
        form=Form.of(purpose=[offer.purpose.slug for offer in chosen]),
    )


def _html(business: Business, chosen: list[Offer], sealed: str) -> str:
    """Write the form in the business's own language: its readers' choice is not known there."""
    with speaking(languages.chosen(business.locale) or ENGLISH):
        return fragment(
            "access/pages/form_to_copy.html",
            {
                "business": business,
                "offers": chosen,
                "sealed": sealed,
                "trap": TRAP,
                "ages": Ages.of(offer.ages for offer in chosen).by_country,
                "old_enough": gettext(OLD_ENOUGH),
            },
        )


handlers = [get_sign_up_form]
