"""What is done with receipts: they are signed when asked for, alone or with all that proves them.

Nothing is kept of one: what it says is sealed already, so it can be had again at any time, with a
newer proof. Before its decision is sealed a receipt is pending.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from uuid import UUID

from joserfc import jws
from msgspec import Struct
from msgspec.structs import replace

from crm import businesses, customers, ledger
from crm.businesses import Business
from crm.consent.bundle import Bundle, BundledOrigin, Endorsed, Jwk, Jwks, Path, Proved
from crm.consent.model import ConsentEvent, Notice, UnknownEvent
from crm.consent.purposes import notices_shown_to
from crm.consent.receipt import ALGORITHM, REGISTRY, Issuer, Seal, Sealed, encoded, seal
from crm.consent.receipt import signed as signed_receipt
from crm.consent.record import commitment, read
from crm.consent.terms import Terms, Wording
from crm.consent.terms import read as read_terms
from crm.db import ReadDb, Statements
from crm.errors import Conflict
from crm.ledger import Halt, KeyKind, Origin, Proof, PublicKey, checkpoint_of

sql = Statements("consent")

# So many are signed before anybody else has a turn: a few milliseconds.
_AT_ONCE = 20
# Which earlier heads a bundle has a path from, counted back from the newest.
_NEAR = (*range(1, 9), 16, 32, 64)


class NoReceiptKey(Conflict):
    """The key that receipts are signed with cannot be used now. Ask again when that is mended."""


class Receipt(Struct, frozen=True, kw_only=True):
    """A receipt of one decision, with what a page shows of it; `proof` is None while pending."""

    event: ConsentEvent
    notice: Notice | None
    # What was entered for the purpose in the version that the decision is about.
    terms: bytes
    jws: str
    commitment: bytes
    proof: Proof | None
    # The thumbprint of the key that signed it.
    kid: str

    @property
    def entered(self) -> Terms:
        """What was entered for the purpose."""
        return read_terms(self.terms)

    @property
    def wording(self) -> Wording:
        """The name of the purpose, in the language of the text that was shown if it has one."""
        names = self.entered.wording
        locale = self.notice.locale if self.notice else ""
        return names.get(locale) or next(iter(names.values()))

    @property
    def kept_for(self) -> str:
        """How long the proof is kept after the consent ended, in words; empty where nobody said."""
        kept = self.entered.retention
        return customers.retention(kept).words() if kept else ""

    @property
    def head(self) -> ledger.Checkpoint | None:
        """The signed head below which it was sealed."""
        return checkpoint_of(self.proof.note) if self.proof else None


class _Row(Struct, frozen=True):
    event_id: UUID
    customer_id: UUID
    salt: bytes
    canonical: bytes
    terms: bytes
    notice_id: UUID | None


async def receipt(db: ReadDb, customer_id: UUID, event_id: UUID) -> Receipt:
    """Sign the receipt of one decision of hers, or refuse with UnknownEvent or NoReceiptKey."""
    row = await db.maybe(sql.sealed_record, _Row, customer_id=customer_id, event_id=event_id)
    if row is None:
        raise UnknownEvent
    (signed,), _ = await _signed(db, customer_id, [row])
    return signed


async def bundle(
    db: ReadDb, customer_id: UUID, event_id: UUID, *, since: int | None = None
) -> Bundle:
    """Put a receipt together with all that proves it.

    `since` is the size of a checkpoint somebody kept; the path from it is in the bundle then.
    """
    row = await db.maybe(sql.sealed_record, _Row, customer_id=customer_id, event_id=event_id)
    if row is None:
        raise UnknownEvent
    return await _bundled(db, customer_id, [row], since=since)


async def receipts(db: ReadDb, customer_id: UUID) -> Bundle:
    """Put the receipts of every decision of a customer together, newest first."""
    rows = await db.many(sql.sealed_records_of_customer, _Row, customer_id=customer_id)
    return await _bundled(db, customer_id, rows)


async def receipts_if_signed(db: ReadDb, customer_id: UUID) -> Bundle | None:
    """Return the same, or None while the key cannot be used: the rest is hers all the same."""
    try:
        return await receipts(db, customer_id)
    except NoReceiptKey:
        return None


async def signed_paper(db: ReadDb, kind: str, said: bytes) -> str:
    """Sign another paper of the business with the key of receipts (JWS, RFC 7515), or NoReceiptKey.

    `kind` is its media type (`typ`), so that no paper passes for another.
    """
    with_ = await _seal(db)
    header = {"alg": ALGORITHM, "kid": with_.kid, "typ": kind}
    return jws.serialize_compact(header, said, with_.key, registry=REGISTRY)


async def jwks(db: ReadDb) -> Jwks:
    """Return every key that receipts were ever signed with, the first first."""
    known = await ledger.keys(db)
    return Jwks([Jwk.of(each.public) for each in known if each.kind is KeyKind.receipt])


async def _bundled(
    db: ReadDb, customer_id: UUID, rows: Sequence[_Row], *, since: int | None = None
) -> Bundle:
    signed, head = await _signed(db, customer_id, rows) if rows else ([], "")
    known = await ledger.keys(db)
    return Bundle(
        receipts=[Proved(each.jws, each.proof.text() if each.proof else "") for each in signed],
        head=head,
        jwks=await jwks(db),
        receipt_keys=_endorsed(known, KeyKind.receipt),
        checkpoint_keys=_endorsed(known, KeyKind.checkpoint),
        origins=await _origins(db),
        consistency=await _paths(db, head, since) if head else [],
    )


async def _signed(db: ReadDb, customer_id: UUID, rows: Sequence[_Row]) -> tuple[list[Receipt], str]:
    """Sign receipts, all by one head, which is returned with them."""
    texts = {each.id: each for each in await notices_shown_to(db, customer_id)}
    key, issuer = await _seal(db), _issuer(await businesses.get(db))
    places = await ledger.positions(db, [row.event_id for row in rows])
    head, proofs = await ledger.proofs_at(db, list(places.values()))
    signed = []
    for number, row in enumerate(rows, 1):
        if not number % _AT_ONCE:
            # Others are answered meanwhile, however many there are.
            await asyncio.sleep(0)
        notice = texts.get(row.notice_id) if row.notice_id else None
        sealed = Sealed(
            event_id=row.event_id,
            customer_id=row.customer_id,
            salt=row.salt,
            canonical=row.canonical,
            terms=row.terms,
            notice=notice,
        )
        signed.append(
            Receipt(
                event=read(row.canonical),
                notice=notice,
                terms=row.terms,
                jws=signed_receipt(issuer, sealed, key, db.now),
                commitment=commitment(row.salt, row.canonical),
                proof=proofs.get(places.get(row.event_id, -1)),
                kid=key.kid,
            )
        )
    return signed, head


async def _seal(db: ReadDb) -> Seal:
    try:
        signer = await ledger.signer(db, KeyKind.receipt)
    except Halt:
        raise NoReceiptKey from None
    if signer is None:
        raise NoReceiptKey
    known = [each for each in await ledger.keys(db) if each.kind is KeyKind.checkpoint]
    return seal(signer.private, str(known[0].verifier) if known else "")


async def _origins(db: ReadDb) -> list[BundledOrigin]:
    every = [_first(each) if not n else each for n, each in enumerate(await ledger.origins(db))]
    opened = [each.begins_at for each in every if each.opening]
    _, proofs = await ledger.proofs_at(db, opened)
    return [_origin(each, proofs.get(each.begins_at)) for each in every]


def _first(origin: Origin) -> Origin:
    """Tell the first name there is without what it follows.

    Where a restore has lost the ledger whole, nothing here can show who signed what it cites; its
    opening is its first leaf all the same, and on the ledger's page.
    """
    return replace(origin, opening=None, predecessor="")


def _origin(origin: Origin, proof: Proof | None) -> BundledOrigin:
    return BundledOrigin(
        origin=origin.origin,
        begins_at=origin.begins_at,
        opening=encoded(origin.opening or b""),
        predecessor=origin.predecessor,
        proof=proof.text() if proof and origin.opening else "",
    )


async def _paths(db: ReadDb, head: str, since: int | None) -> list[Path]:
    """Give the paths from some earlier heads, nearer ones more densely, to this one."""
    size = checkpoint_of(head).size
    earlier = sorted({each.size for each in await ledger.signed_heads(db)}, reverse=True)
    chosen = [earlier[at] for at in _NEAR if at < len(earlier)]
    sizes = {each for each in [*chosen, since or 0] if 0 < each < size}
    return [
        Path(
            first=each,
            second=size,
            path=[b64encode(one).decode() for one in await ledger.consistency(db, each, size)],
        )
        for each in sorted(sizes)
    ]


def _endorsed(known: Sequence[PublicKey], kind: KeyKind) -> list[Endorsed]:
    return [Endorsed(str(each.verifier), each.endorsement) for each in known if each.kind is kind]


def _issuer(business: Business) -> Issuer:
    return Issuer(
        origin=business.origin,
        name=business.name,
        legal_name=business.legal_name,
        postal_address=business.postal_address,
        contact=business.privacy_contact,
        country=business.country,
        officer=business.officer,
        representative=business.representative,
        authority=business.authority,
    )
