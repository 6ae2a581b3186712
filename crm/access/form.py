"""The signed hidden field of the sign-up form: which texts it showed, in which language, and when.

So the form can be pasted into another site, and still nobody can claim other words were shown.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from uuid import UUID

import msgspec
from msgspec import Struct

from crm.errors import Invalid
from crm.keys import MAC_SIZE, Keys

_LABEL = "sign-up form"


class NotOurForm(Invalid):
    """This form is not one of ours, or was changed on its way. Open our own form and use that."""


class Ages(Struct, frozen=True):
    """From what age the purposes of a form can be decided, by country; empty where none asks."""

    by_country: dict[str, int]

    @classmethod
    def of(cls, every: Iterable[Mapping[str, int]]) -> Ages:
        """Take of each country the highest age, for what is ticked together."""
        found: dict[str, int] = {}
        for ages in every:
            for country, age in ages.items():
                found[country] = max(age, found.get(country, 0))
        return cls(dict(sorted(found.items())))

    def at(self, country: str) -> int:
        """Return the age that counts; for a country that is not named the highest there is."""
        return self.by_country.get(country) or max(self.by_country.values(), default=0)


class Shown(Struct, frozen=True, array_like=True):
    """What a form showed: the ids of its notices, its language, and the second it was made."""

    notice_ids: tuple[UUID, ...]
    locale: str
    made_at: int


def seal(keys: Keys, business_id: UUID, shown: Shown) -> str:
    """Write the hidden field."""
    data = msgspec.msgpack.encode(shown)
    signature = keys.sign(business_id, _LABEL, data)
    return urlsafe_b64encode(signature + data).rstrip(b"=").decode()


def unseal(keys: Keys, business_id: UUID, text: str) -> Shown:
    """Read the hidden field, or refuse with NotOurForm: missing, altered, or of somebody else."""
    try:
        whole = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise NotOurForm from None
    signature, data = whole[: MAC_SIZE + 1], whole[MAC_SIZE + 1 :]
    if not keys.verified(business_id, _LABEL, data, signature):
        raise NotOurForm
    try:
        return msgspec.msgpack.decode(data, type=Shown)
    except msgspec.MsgspecError:
        # Signed by an older version of us, whose forms said something else.
        raise NotOurForm from None
