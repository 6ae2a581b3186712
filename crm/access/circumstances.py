"""How a sign-up was asked for and how it was confirmed, as its two decisions record it."""

from __future__ import annotations

import msgspec

from crm import consent
from crm.access.model import Signup
from crm.consent import Circumstances, Form, Method, Network, OptIn
from crm.db import ReadDb


def steps(
    db: ReadDb, signup: Signup, opt_in: OptIn, network: Network | None
) -> tuple[Circumstances, Circumstances]:
    """Say how it was asked for, and how confirmed; what a program said of it stands as said."""
    before = consent.unsealed_network(db, signup.id, signup.network) if signup.network else None
    told = signup.elsewhere
    evidence: dict[str, str | int] = {"of_age": signup.of_age} if signup.of_age else {}
    if told:
        evidence["handed_in_by"] = told.key_name
    asked = Circumstances(
        Method.api if told else Method.web_form,
        at=told.asked_at if told else signup.requested_at,
        evidence=evidence,
        form=Form(_form(signup), signup.page or "/sign-up", signup.form_sha256),
        jurisdiction=signup.jurisdiction,
        request=str(signup.id),
        network=before,
    )
    given = msgspec.structs.replace(
        asked,
        method=Method.renewal if signup.again else Method.double_opt_in,
        at=db.now,
        opt_in=opt_in,
        network=network,
    )
    return asked, given


def _form(signup: Signup) -> str:
    if signup.again:
        return "renewal"
    return (signup.elsewhere and signup.elsewhere.form) or "sign_up"
