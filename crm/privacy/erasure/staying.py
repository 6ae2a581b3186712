"""What stays of a customer who is deleted: told before it is done, and by the certificate after."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from msgspec import Struct

from crm import access, consent, customers, imports
from crm.customers import Customer
from crm.db import ReadDb
from crm.inbound.model import LETTERS_REST
from crm.languages import marked
from crm.outside import outside
from crm.privacy import requests
from crm.privacy.model import Inventory

_GOOD = marked("It stays for good.")
_SENT = marked("Newsletters that went to somebody or left somebody out")
_BOOKS = marked("So that the books of each newsletter add up.")
_CHECKSUMS = marked("Checksums of decisions")
_LEDGER = marked("So that the ledger stays whole; nobody can read from one what it was, or whose.")
_PROOF = marked("For each purpose what you allowed, and how it ended")
_GROUND = marked(
    "To answer on which ground we wrote to you, and for nothing else. Nobody can list it: it is "
    "found by your address or a receipt that you kept, or, where the fingerprint is deleted too, "
    "by a receipt alone."
)
_LAST = marked("The last of it goes on this day:")
_REQUESTS = marked("What was asked under the law, when, and what came of it")
_ANSWERED = marked("To show an authority that it was answered.")
_THREE_YEARS = marked("It goes three years after the answer.")
_EMPTY = marked("An empty record")
_HANGS = marked("So that what hangs on it still counts.")
_LINE = marked("A line that a record was deleted, and this certificate")
_DONE = marked("To show that it was done.")
_FOUR_YEARS = marked("The line goes after three years, the certificate after four.")
_BACKUPS = marked("Encrypted backups of the database, from before")
_DISKS = marked("In case a disk fails. Whoever was deleted is deleted again before one is used.")
_FILES = marked("Lists that wait to be imported, encrypted, if there is one with you in it")
_TURN = marked("Nobody can look into one before its turn, and so take you out.")
_BOX = marked("Letters that you wrote to us, as they came, where we fetch them from a mailbox")
_ATTACHED = marked("So that people can read what programs cannot, such as what was attached.")
_JOURNAL = marked(
    "Lines in a journal outside the database: the record's number and the fingerprint"
)
_PUT_RIGHT = marked("So that a backup which is put back is put right before it is used.")
_DAY = marked("They go on this day:")
_MARKS = marked("The fingerprint of each address you had")
_LISTS = marked("So that no old list brings newsletters back; it cannot be read back.")
_AGAIN = marked("It goes if you confirm a new sign-up.")
_PROGRAMS = marked("Answers that a program was given, encrypted so that only it can read them")
_TWICE = marked("So that a call repeated does nothing twice.")
_A_DAY = marked("They go after a day.")


class Stays(Struct, frozen=True):
    """Something that stays: why, until when, and how many; `ends` is the day, where it is known."""

    what: str
    why: str
    until: str
    count: int
    ends: date | None = None


class Left(Struct, frozen=True, kw_only=True):
    """How much an erasure leaves."""

    at: datetime
    # Hers, and those that were merged into it.
    records: int
    deliveries: int
    decisions: int
    proof: consent.ToKeep
    requests: int
    # Different addresses whose fingerprint is kept; none where she has it deleted.
    addresses: int


def staying(left: Left) -> list[Stays]:
    """List what stays; only what is under a fingerprint is anybody's."""
    found = [
        Stays(_EMPTY, _HANGS, _GOOD, left.records),
        Stays(_SENT, _BOOKS, _GOOD, left.deliveries),
        Stays(_CHECKSUMS, _LEDGER, _GOOD, left.decisions),
        Stays(_PROOF, _GROUND, _LAST, left.proof.proofs, left.proof.until),
        Stays(_REQUESTS, _ANSWERED, _THREE_YEARS, left.requests),
        Stays(_LINE, _DONE, _FOUR_YEARS, left.records),
        Stays(_BACKUPS, _DISKS, _DAY, 1, _after(left.at, outside.backup_days)),
        Stays(_FILES, _TURN, _DAY, 1, _after(left.at, imports.WAITS.days)),
        Stays(_BOX, _ATTACHED, _DAY, 1, _after(left.at, LETTERS_REST.days)),
        Stays(_JOURNAL, _PUT_RIGHT, _DAY, left.records, _after(left.at, outside.journal_days)),
        Stays(_MARKS, _LISTS, _AGAIN, left.addresses),
    ]
    return [*(each for each in found if each.count), Stays(_PROGRAMS, _TWICE, _A_DAY, 0)]


async def would_stay(db: ReadDb, customer: Customer, inventory: Inventory) -> list[Stays]:
    """List what an erasure at this moment would leave of a customer."""
    records = [customer.id, *await customers.merged_records(db, customer.id)]
    hashes = {db.keys.address_hash(db.business_id, customers.fold(customer.address))}
    for each in records:
        hashes |= {one.address_hash for one in await access.former_addresses(db, each)}
    return staying(
        Left(
            at=db.now,
            records=len(records),
            deliveries=inventory.deliveries,
            decisions=inventory.decisions,
            proof=await consent.to_keep(db, customer.id),
            requests=len(await requests.of_customer(db, customer.id)),
            addresses=len(hashes),
        )
    )


def _after(at: datetime, days: int) -> date:
    return (at + timedelta(days=days)).date()
