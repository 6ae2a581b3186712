"""The letter that tells owners that events go to an endpoint no more."""

from __future__ import annotations

from crm import businesses, mail, staff
from crm.access import wording
from crm.customers import NotAnAddress
from crm.db import Db
from crm.languages import ENGLISH
from crm.log import logger
from crm.mail import Letter, LetterKind
from crm.staff import Right
from crm.staff.model import folded
from crm.webhooks.model import OffWhy

_log = logger(__name__)


async def tell_staff(db: Db, endpoint: str, why: OffWhy) -> None:
    """Mail whoever may manage keys that an endpoint was switched off, and why."""
    business = await businesses.get(db)
    words = wording.words(
        "endpoint_off",
        # As everything that staff read.
        ENGLISH,
        business,
        endpoint=endpoint,
        gone=why is OffWhy.gone,
        link=f"{business.origin}/staff/webhooks",
    )
    for each in await staff.members(db):
        if each.disabled_at is not None or not each.may(Right.manage_keys):
            continue
        letter = Letter(
            kind=LetterKind.notice,
            address=each.address,
            address_hash=db.keys.address_hash(db.business_id, folded(each.address)),
            subject=words.subject,
            text=words.text,
            html=words.html,
            locale=words.language,
            kept=False,
        )
        try:
            await mail.post_letter(db, letter)
        except NotAnAddress:
            _log.warning("member_not_told", business=str(db.business_id), member=str(each.id))
