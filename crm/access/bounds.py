"""How many letters whoever types an address can cause to it.

Networks are counted apart, so that a stranger uses up what he may cause, and nothing of hers; all
of them together are counted as well, because a mailbox is filled by many too. What is counted under
are keyed hashes that begin with that of the address, by which an erasure finds them.
"""

from __future__ import annotations

from datetime import timedelta

from crm import staff
from crm.access.model import LETTERS_A_DAY, MAILS_PER_ADDRESS
from crm.db import Db
from crm.staff import DAY

SIGN_UP = "sign_up_letter"
SIGN_IN = "sign_in_letter"
LEAVE = "leave_letter"
NEW_ADDRESS = "address_letter"
# From all networks together, as many as four of them can cause.
_NETWORKS = 4


async def count_letter(db: Db, kind: str, address_hash: bytes, asker: str) -> int:
    """Count a letter that `asker` wants sent to an address; return the seconds to wait, or 0.

    The asker is a network, or a customer who is signed in. Each way costs the same statements.
    """
    apart = address_hash + db.keys.address_hash(db.business_id, f"\0asker {asker}")
    quarter, wait = timedelta(minutes=15), 0
    for step, subject, most, lasts in (
        (f"{kind}_by", apart, MAILS_PER_ADDRESS, quarter),
        (f"{kind}_by_day", apart, LETTERS_A_DAY, DAY),
        (kind, address_hash, _NETWORKS * MAILS_PER_ADDRESS, quarter),
        (f"{kind}_day", address_hash, _NETWORKS * LETTERS_A_DAY, DAY),
    ):
        # What is refused already uses up nothing more: it is counted where it bounds nothing.
        counted = f"{step}_refused" if wait else step
        more = await staff.count_attempt(db, counted, subject, most=most, lasts=lasts)
        wait = wait or more
    return wait


async def forgive_letters(db: Db, kind: str, address_hash: bytes) -> None:
    """Forget the letters of a kind to an address: its owner has answered one."""
    kinds = [kind, f"{kind}_day", f"{kind}_by", f"{kind}_by_day"]
    await staff.forgive_about(db, kinds, address_hash)
