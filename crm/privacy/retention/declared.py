"""One kind of data, and what ends it: the shape of what `declarations.py` declares."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from crm.businesses import Business
from crm.languages import gettext
from crm.outside import outside


class By(StrEnum):
    """What ends it."""

    # A round of the sweep, once a day, in short pieces.
    sweep = "sweep"
    # A job of the schedule that deletes what has expired, every minute or hour.
    job = "job"
    # The customer, who has everything deleted; no clock runs before that.
    erasure = "erasure"
    # What is done with it: it is handed over, lifted, or replaced.
    use = "use"
    # Nothing of customers: it lives as long as the business does here.
    business = "business"
    # Hashes that name nobody, kept for good, so that proofs of others stay valid.
    ledger = "ledger"


class Declared(Struct, frozen=True, kw_only=True):
    """One kind of data: the tables it lies in, what it is for, and what ends it when."""

    name: str
    tables: tuple[str, ...]
    what: str
    why: str
    until: str
    # What stands in `until` as a number.
    number: int = 0
    by: By
    # The job of the schedule that deletes it.
    job: str = ""
    # Where the operator or the business sets that number: its name in `outside` or of the setting.
    setting: Literal["", "backup_days", "journal_days", "dormant_months"] = ""
    # Said where the business has set 0.
    never: str = ""

    def ends(self, business: Business) -> str:
        """Say until when, in the language that is spoken, as this business has set it."""
        number = self.number
        if self.setting == "dormant_months":
            number = business.dormant_months
        elif self.setting:
            number = getattr(outside, self.setting)
        if not number:
            return gettext(self.never or self.until)
        return gettext(self.until, number=number)

    @property
    def told(self) -> bool:
        """Whether it is about customers, and so stands in the record and on the public page."""
        return self.by is not By.business
