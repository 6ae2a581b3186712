"""Settings of the business: what every mail and page says about whose it is."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency

from crm import businesses, time_zones
from crm.businesses import Business, BusinessStale, NewBusiness
from crm.businesses.authorities import AUTHORITIES, likely
from crm.businesses.model import TOO_SOON, too_soon
from crm.characters import composed
from crm.db import Db
from crm.errors import Refused
from crm.events import Actor
from crm.web.forms import Form, read_form
from crm.web.pages import page, redirect

_PATH = "/staff/settings"
_PATTERNS = {
    "return_domain": "A domain looks like bounces.example.com, in plain letters.",
    "locale": "A language looks like en, de or pt-BR.",
    "country": "A country is two letters, such as DE or GB.",
    "authority_url": "The address of a page begins with https://.",
    "privacy_url": "The address of a page begins with https://.",
    "canary": "An address looks like canary@bounces.example.com.",
    "image_hosts": "A host looks like pictures.example.com, without https:// and without a path.",
}
_SWITCHES = ("soft_opt_in", "keeps_network", "names_staff")
_NUMBERS = ("network_days", "mails_from", "mails_until", "mail_days", "dormant_months")
_FIELDS = NewBusiness.__struct_fields__
# A hidden field: what the others showed when the page was opened, and so which were touched.
_SHOWN = "shown"
_MOVED = "Somebody else saved the settings at this moment. Look at them, and save again."


# A right by name: the guard of the router asks for it, this domain lies below the one of roles.
@get("/settings", opt={"right": "change_business"}, sync_to_thread=False)
def get_settings(business: NamedDependency[Business]) -> Response[Any]:
    """Show what is known of the business."""
    known = _known(business)
    return _shown(Form.of(**known, **{_SHOWN: _noted(known)}), business)


@post("/settings", opt={"right": "change_business"}, status_code=303)
async def post_settings(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    by: NamedDependency[Actor],
) -> Response[Any]:
    """Write what was touched over what is known of the business, or show what is wrong with it."""
    form = await read_form(request)
    # What the guard of the host found may be older than what is here now.
    present = await businesses.get(db)
    _catch_up(form, present)
    new = _read(form)
    if new is not None:
        try:
            # A new host is not kept where the rest is refused.
            async with db.together():
                changed = await businesses.change(db, by, new, expected=present.version)
        except Refused as refusal:
            _take(form, refusal)
        else:
            return redirect(_PATH, say=_said(present, changed))
    return _shown(form, present, status=422)


@post("/settings/authority", opt={"right": "change_business"}, status_code=303)
async def post_authority(
    request: Request[Any, Any, Any],
    db: NamedDependency[Db],
    by: NamedDependency[Actor],
) -> Response[Any]:
    """Name one of the authorities that we know, with its page; all else stays as it is."""
    form = await read_form(request)
    code = form.choice("code", [each.code for each in AUTHORITIES])
    form.refuse()
    found = next(each for each in AUTHORITIES if each.code == code)
    present = await businesses.get(db)
    known = {name: getattr(present, name) for name in _FIELDS}
    # The postal address was that of another one.
    known |= {"authority": found.name, "authority_url": found.url, "authority_address": ""}
    await businesses.change(db, by, NewBusiness(**known), expected=present.version)
    return redirect(_PATH, say=f"Whoever wants to complain is led to: {found.name}.")


def _shown(form: Form, business: Business, *, status: int = 200) -> Response[Any]:
    return page(
        "businesses/pages/settings.html",
        status=status,
        form=form,
        named=business.authority or business.authority_url,
        authorities=AUTHORITIES,
        choice=Form.of(code=likely(business.country)),
    )


def _known(business: Business) -> dict[str, str]:
    """Write what is known of the business as the fields of the page show it."""
    known = {name: str(getattr(business, name)) for name in _FIELDS}
    known |= {name: "on" if getattr(business, name) else "" for name in _SWITCHES}
    known["image_hosts"] = business.image_hosts.replace(" ", "\n")
    return known


def _noted(known: dict[str, str]) -> str:
    return msgspec.json.encode(known).decode()


def _catch_up(form: Form, present: Business) -> None:
    """Put what somebody else has saved since the page was opened into the fields left alone.

    Where both changed one field it is said what stands there now; pressing again decides.
    """
    try:
        shown = msgspec.json.decode(form.typed(_SHOWN), type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError):
        shown = {}
    now = _known(present)
    for name, value in now.items():
        typed, before = _typed(form, name), _plain(shown.get(name, ""))
        if name in shown and typed == before:
            form.values[name] = [value]
        elif _plain(value) not in {before, typed}:
            form.wrong(name, _both(value))
    form.values[_SHOWN] = [_noted(now)]


def _typed(form: Form, name: str) -> str:
    if name in _SWITCHES:
        return "on" if form.boolean(name) else ""
    return _plain(form.typed(name))


def _plain(text: str) -> str:
    """Write a text as a field gives it back: its line ends, its composed letters."""
    return composed(text.replace("\r\n", "\n")).strip()


def _both(value: str) -> str:
    stands = f"it says: {value}" if value else "it is empty"
    return f"Somebody else changed this meanwhile; now {stands}. Save again to put yours there."


def _read(form: Form) -> NewBusiness | None:
    given = {
        "name": form.text("name"),
        "legal_name": form.text("legal_name", max=300),
        "postal_address": form.text("postal_address", max=500, lines=True),
        "sender_name": form.text("sender_name"),
        "sender_address": form.address("sender_address"),
        "privacy_contact": form.address("privacy_contact"),
        "return_domain": form.text("return_domain", required=False, max=180).lower(),
        "locale": form.text("locale"),
        "time_zone": _zone(form),
        "origin": form.text("origin"),
        "country": form.text("country", required=False, max=2).upper(),
        "officer": form.text("officer", required=False, max=300),
        "representative": form.text("representative", required=False, max=500, lines=True),
        "authority": form.text("authority", required=False, max=300),
        "authority_url": form.text("authority_url", required=False, max=500),
        "authority_address": form.text("authority_address", required=False, max=500, lines=True),
        "privacy_url": form.text("privacy_url", required=False, max=500),
        "soft_opt_in": form.boolean("soft_opt_in"),
        "keeps_network": form.boolean("keeps_network"),
        "network_days": form.integer("network_days", min=1, max=1095),
        "mail_days": form.integer("mail_days", min=0, max=90),
        "dormant_months": _months(form),
        "names_staff": form.boolean("names_staff"),
        "image_hosts": _hosts(form),
        "mails_from": form.integer("mails_from", min=0, max=23),
        "mails_until": form.integer("mails_until", min=1, max=24),
        "canary": form.text("canary", required=False, max=254),
    }
    if form.problems:
        return None
    try:
        return msgspec.convert(given, NewBusiness)
    except msgspec.ValidationError as wrong:
        # The patterns that the form does not know by itself.
        field = str(wrong).rpartition("$.")[2].rstrip("`")
        form.wrong(field, _PATTERNS[field])
        return None


def _zone(form: Form) -> str:
    zone = form.text("time_zone")
    if zone and zone not in time_zones.named():
        form.wrong("time_zone", "There is no such time zone. One looks like Europe/Lisbon.")
    return zone


def _months(form: Form) -> int | None:
    """Read after how many quiet months a record ends: never, or half a year at the least."""
    months = form.integer("dormant_months", min=0, max=120)
    if months is not None and too_soon(months):
        form.wrong("dormant_months", TOO_SOON)
    return months


def _hosts(form: Form) -> str:
    """Read hosts in lines; each once, as they are compared."""
    typed = form.text("image_hosts", required=False, max=2000, lines=True).lower()
    return " ".join(dict.fromkeys(typed.replace(",", " ").split()))


def _take(form: Form, refusal: Refused) -> None:
    if isinstance(refusal, BusinessStale):
        form.wrong("", _MOVED)
    else:
        # Whatever else an action refuses here, it refuses because of the origin.
        form.wrong("origin", refusal.message)


def _said(before: Business, after: Business) -> str:
    if before.origin == after.origin:
        return "Saved. The next mail and the next page say so."
    return f"Saved. Your pages answer at {after.origin} from now on, and no longer here."


handlers = [get_settings, post_settings, post_authority]
