"""What a member of staff is told by mail about her own way in, whoever changed it."""

from __future__ import annotations

from crm import businesses, mail
from crm.access import wording
from crm.customers import NotAnAddress
from crm.db import Db
from crm.languages import ENGLISH
from crm.log import logger
from crm.mail import Letter, LetterKind
from crm.staff import Member
from crm.staff.model import News, folded

_log = logger(__name__)

_SAID = {
    News.password_changed: (
        "Your password was changed",
        "The password of your account was changed, and everywhere else you were signed out.",
    ),
    News.password_reset: (
        "Your password was reset",
        "An owner has put a password for one use in place of yours. You were signed out.",
    ),
    News.factor_set_up: (
        "A second factor was set up",
        "From now on your password is followed by the code of a telephone.",
    ),
    News.factor_removed: (
        "Your second factor was taken away",
        "Your password alone opens your account now. You were signed out.",
    ),
    News.recovery_used: (
        "A code for a lost telephone was used",
        "Somebody signed in to your account with one of the codes that you put away.",
    ),
    News.codes_tried: (
        "Somebody may know your password",
        "Your password was right, but the code of your telephone was wrong ten times today.",
    ),
}


async def tell_member(db: Db, who: Member, news: News) -> None:
    """Mail a member what happened to her password or second factor; no bound holds it back.

    Where her address is none that mail can reach, that is logged, and nothing is refused for it.
    """
    business = await businesses.get(db)
    heading, said = _SAID[news]
    words = wording.words(
        "member_news",
        # As everything that staff read.
        ENGLISH,
        business,
        heading=heading,
        said=said,
        at=wording.moment(db.now, business),
        link=f"{business.origin}/staff/account",
    )
    letter = Letter(
        kind=LetterKind.notice,
        address=who.address,
        address_hash=db.keys.address_hash(db.business_id, folded(who.address)),
        subject=words.subject,
        text=words.text,
        html=words.html,
        locale=words.language,
        # No customer's letter: nobody reads it again here.
        kept=False,
    )
    try:
        await mail.post_letter(db, letter)
    except NotAnAddress:
        _log.warning("member_not_told", business=str(db.business_id), member=str(who.id))
