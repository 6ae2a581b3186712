"""One decision with everything that proves it, to show to whoever asks (Art. 7(1) GDPR)."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from crm import ledger
from crm.consent.evidence import EvidenceFile, files
from crm.consent.model import ConsentEvent, Notice, UnknownEvent, Version
from crm.consent.purposes import notice, version
from crm.consent.record import commitment, read
from crm.db import ReadDb, Statements
from crm.ledger import checkpoint_of

sql = Statements("consent")


class Sealed(Struct, frozen=True, kw_only=True):
    """Where a decision stands in the ledger, and whether that was just found to hold."""

    origin: str
    index: int
    size: int
    root: bytes
    path: tuple[bytes, ...]
    note: str
    # The signature and the path were checked a moment ago, as anybody can check them.
    holds: bool


class Exhibit(Struct, frozen=True, kw_only=True):
    """A decision, its exact text and terms, its evidence, and its seal; None until it is sealed."""

    event: ConsentEvent
    notice: Notice | None
    version: Version
    # The page's form as it was shown, where one of ours was.
    form: str | None
    files: list[EvidenceFile]
    salt: bytes
    canonical: bytes
    commitment: bytes
    sealed: Sealed | None

    @property
    def intact(self) -> bool:
        """Whether salt and bytes still give what was committed to when it was recorded."""
        return commitment(self.salt, self.canonical) == self.commitment


class _Kept(Struct, frozen=True):
    salt: bytes
    canonical: bytes
    commitment: bytes
    form: str | None


async def exhibit(db: ReadDb, customer_id: UUID, event_id: UUID) -> Exhibit:
    """Return one decision of a customer with its proof, or refuse with UnknownEvent."""
    kept = await db.maybe(sql.exhibit, _Kept, customer_id=customer_id, event_id=event_id)
    if kept is None:
        raise UnknownEvent
    event = read(kept.canonical)
    named = event.evidence.get("file")
    return Exhibit(
        event=event,
        notice=await notice(db, event.notice_id) if event.notice_id else None,
        version=await version(db, event.purpose_id, event.purpose_version),
        form=kept.form,
        files=[each for each in await files(db, customer_id) if str(each.id) == named],
        salt=kept.salt,
        canonical=kept.canonical,
        commitment=kept.commitment,
        sealed=await _sealed(db, event_id, kept.commitment),
    )


async def exhibits(db: ReadDb, customer_id: UUID) -> list[Exhibit]:
    """Return every decision of a customer with its proof, the oldest first, to print it whole."""
    found = await db.many(sql.events_of_customer, UUID, customer_id=customer_id)
    return [await exhibit(db, customer_id, each) for each in found]


async def _sealed(db: ReadDb, event_id: UUID, committed: bytes) -> Sealed | None:
    proof = await ledger.proof(db, event_id)
    if proof is None:
        return None
    head = checkpoint_of(proof.note)
    return Sealed(
        origin=head.origin,
        index=proof.index,
        size=head.size,
        root=head.root,
        path=proof.path,
        note=proof.note,
        holds=await ledger.holds(db, proof, committed),
    )
