"""E-mail addresses: parse them, fold them to compare, mask them to show (RFC 5321, 6531)."""

import re
import unicodedata
from functools import lru_cache
from typing import NoReturn

from email_validator import ValidatedEmail, validate_email
from msgspec import Struct

from crm.errors import Invalid
from crm.languages import gettext

# RFC 5321 §4.5.3.1, in octets; 254 is what is left of a 256 octet path without its brackets.
LOCAL_LIMIT = 64
DOMAIN_LIMIT = 253
ADDRESS_LIMIT = 254

# Nearly every address of a list looks like this, and email-validator takes 30 µs for it. What
# matches is accepted by email-validator too, a test holds that; all the rest goes there. Labels
# with "--" are left out (Punycode), and so are the endings that exist only inside a network.
_PLAIN = re.compile(
    r"(?=.{1,64}@)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
    r"@(?!.*--)(?!.*(?:\.|@)(?:arpa|invalid|local|localhost|onion|test)\Z)"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}\Z",
    re.IGNORECASE | re.ASCII,
)

_PLAIN_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*\Z")

# What a copied address brings along unseen: zero-width and direction marks, the byte order mark.
_UNSEEN = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"
_BLANK = " \t\r\n\v\f\u00a0\u2007\u202f\u3000" + _UNSEEN
_SPECIAL = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})


class NotAnAddress(Invalid):
    """This is not an e-mail address."""


class Address(Struct, frozen=True, gc=False):
    """One address: `display` as it was typed, `folded` to compare it by, `domain` in ASCII."""

    display: str
    folded: str
    domain: str

    @property
    def local(self) -> str:
        """The part before the @, as it was typed."""
        return self.display.rpartition("@")[0]

    @property
    def deliverable(self) -> str:
        """The form for the wire: local part as typed, domain in ASCII (RFC 5891)."""
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a server that offers SMTPUTF8 (RFC 6531) can take mail for it."""
        return not self.local.isascii()


def parse(text: str) -> Address:
    """Read one bare address, or raise NotAnAddress with what is wrong and the way out.

    The folded form compares: local part NFC and lower case, domain as lower-case A-labels. Dots and
    +tags stay: only the receiving server knows what they mean.
    """
    typed = text.strip(_BLANK)
    if len(typed) <= ADDRESS_LIMIT and _PLAIN.match(typed):
        folded = typed.lower()
        return Address(typed, folded, folded[folded.index("@") + 1 :])
    _refuse_by_shape(typed)
    return _parse_with_care(typed)


def fold(text: str) -> str:
    """The form two addresses are compared by; raises NotAnAddress."""
    return parse(text).folded


def in_letters(domain: str) -> str:
    """A domain in ASCII as people type it (RFC 5891), or as it is where it stands for no other."""
    checked = _accepted(f"a@{domain}") if "xn--" in domain else None
    return domain if checked is None else checked.domain


def masked(address: str) -> str:
    """Enough for the owner to know it again, too little for anybody else to write to it."""
    local, at, domain = address.strip(_BLANK).rpartition("@")
    if not at:
        return "•••"
    shown = local[0] if len(local) > 1 and local[0].isalnum() else ""
    return f"{shown}•••@{domain}"


def _parse_with_care(typed: str) -> Address:
    """What the plain pattern does not cover: international, long or unusual addresses."""
    local, _, domain = typed.rpartition("@")
    reached = _reached(domain)
    if reached is None or not (_PLAIN_LOCAL.match(local) or _accepted(f"{local}@example.com")):
        _refuse_by_part(local, domain)
    shown, ascii_domain = reached
    local = unicodedata.normalize("NFC", local)
    # Lower-casing, not casefold(): that would make one person of Strasse and Straße.
    small = unicodedata.normalize("NFC", local.lower())
    # A few letters grow when they become small; both forms have to fit.
    _refuse_by_length(local, small, ascii_domain)
    return Address(f"{local}@{shown}", f"{small}@{ascii_domain}", ascii_domain)


@lru_cache(maxsize=4096)
def _reached(domain: str) -> tuple[str, str] | None:
    """A domain as it is shown and in ASCII, or None. A list has few domains, each many times."""
    checked = _accepted(f"a@{domain}")
    if checked is None:
        return None
    # IDNA drops what cannot be seen in a domain; so does the form that is kept.
    shown = domain if domain.isascii() else checked.domain
    return shown, (checked.ascii_domain or "").lower()


def _accepted(typed: str) -> ValidatedEmail | None:
    try:
        return validate_email(typed, check_deliverability=False)
    except ValueError:  # EmailNotValidError, and what IDNA raises below it
        return None


def _refuse_by_shape(typed: str) -> None:
    """The mistakes people really make, each with its own way out."""
    if not typed:
        raise NotAnAddress(
            gettext("The address is missing. An address looks like name@example.com.")
        )
    if len(typed) > ADDRESS_LIMIT + 1:
        raise NotAnAddress(
            gettext(
                "This is longer than an address can be (%(most)s characters).", most=ADDRESS_LIMIT
            )
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in typed):
        raise NotAnAddress(
            gettext(
                "The address contains a line break or another character that cannot be seen. "
                "Type it again instead of copying it."
            )
        )
    if any(mark in typed for mark in '<>()[]"\\,;: '):
        _refuse_by_mark(typed)
    if "@" not in typed:
        raise NotAnAddress(
            gettext("There is an @ missing. An address looks like name@example.com.")
        )
    if typed.count("@") > 1:
        raise NotAnAddress(
            gettext("There is more than one @. An address looks like name@example.com.")
        )


def _refuse_by_mark(typed: str) -> NoReturn:
    if "[" in typed or "]" in typed:
        raise NotAnAddress(
            gettext(
                "An address at a bare network number is not accepted. Use one at a domain name."
            )
        )
    if "<" in typed or ">" in typed:
        raise NotAnAddress(
            gettext("Give only the address, without a name and without angle brackets around it.")
        )
    if '"' in typed or "(" in typed or ")" in typed or "\\" in typed:
        raise NotAnAddress(
            gettext(
                "Quotation marks, brackets and backslashes are not accepted in an address. "
                "Give it without them."
            )
        )
    if " " in typed:
        raise NotAnAddress(gettext("There is a blank inside the address. Take it out."))
    raise NotAnAddress(
        gettext(
            "A comma, colon or semicolon cannot stand in an address. "
            "Give one address; if you meant a dot, put a dot."
        )
    )


def _refuse_by_part(local: str, domain: str) -> NoReturn:
    """Say which half is wrong; always raises."""
    if not local:
        raise NotAnAddress(
            gettext("There is nothing before the @. An address looks like name@example.com.")
        )
    if not domain:
        raise NotAnAddress(
            gettext("There is nothing after the @. An address looks like name@example.com.")
        )
    _refuse_dots(local, domain)
    if "." not in domain:
        raise NotAnAddress(
            gettext("The part after the @ has no ending such as .com. Write the whole domain.")
        )
    _refuse_by_length(local, local, domain)
    if domain.rpartition(".")[2].lower() in _SPECIAL:
        raise NotAnAddress(
            gettext(
                "The domain after the @ is reserved and cannot be reached from the internet. "
                "Use an address with a public domain."
            )
        )
    raise NotAnAddress(
        gettext(
            "A character in it, or its domain, is not allowed in an address. "
            "Check both sides of the @. An address looks like name@example.com."
        )
    )


def _refuse_dots(local: str, domain: str) -> None:
    if _dotted(local):
        raise NotAnAddress(
            gettext(
                "The part before the @ begins or ends with a dot, or has two dots in a row. "
                "Take the extra dot out."
            )
        )
    if _dotted(domain):
        raise NotAnAddress(
            gettext(
                "The part after the @ begins or ends with a dot, or has two dots in a row. "
                "Take the extra dot out."
            )
        )


def _dotted(part: str) -> bool:
    return part.startswith(".") or part.endswith(".") or ".." in part


def _refuse_by_length(local: str, small: str, domain: str) -> None:
    before = max(len(local.encode(errors="replace")), len(small.encode(errors="replace")))
    if before > LOCAL_LIMIT:
        raise NotAnAddress(
            gettext(
                "The part before the @ is longer than %(most)s bytes, "
                "more than mail servers must take. Use a shorter address.",
                most=LOCAL_LIMIT,
            )
        )
    if len(domain) > DOMAIN_LIMIT or before + 1 + len(domain) > ADDRESS_LIMIT:
        raise NotAnAddress(
            gettext(
                "The address is longer than %(most)s bytes, more than mail servers must take. "
                "Use a shorter address.",
                most=ADDRESS_LIMIT,
            )
        )
