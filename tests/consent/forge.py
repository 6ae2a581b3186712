"""Receipts, ledgers and bundles out of nothing, right or wrong, for whoever checks them."""

from __future__ import annotations

import json
import random
from base64 import b64encode, urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from crm.consent import Basis, Method, NewEvent, NewPurpose, Notice, OptIn, Status
from crm.consent.bundle import FORMAT, Jwk
from crm.consent.model import CitedVersion, Form, digest
from crm.consent.receipt import Issuer, Seal, Sealed, encoded, payload, seal, signed
from crm.consent.record import Place, canonical, commitment
from crm.consent.terms import Party
from crm.consent.terms import canonical as written
from crm.consent.terms import digest as sha256
from crm.events import Actor
from crm.ledger import Checkpoint, Proof, Verifier, leaf_hash, note
from crm.ledger.model import Opening, opening_bytes, opening_commitment
from crm.ledger.signing import endorsement_text
from tests.ledger.test_tree import consistency, head, inclusion

HOST = "bakery.example"
ISSUER = Issuer(
    origin=f"https://{HOST}",
    name="Corner Bakery",
    legal_name="Corner Bakery Ltd",
    postal_address="4 Mill Lane, Exampleton EX1 2AB",
    contact=f"privacy@{HOST}",
    country="DE",
)
AT = datetime(2026, 5, 3, 18, 42, 10, 123456, tzinfo=UTC)
_TEXT = "Yes, send me The Corner Letter by e-mail. I can stop at any time."
_LABEL = "Send me The Corner Letter"


class Forge:
    """A business that makes what it likes; `seed` decides all of it."""

    def __init__(self, seed: int, leaves: int = 6, *, host: str = HOST) -> None:
        self.chance = random.Random(seed)
        self.host = host
        self.receipt_keys = [self.key() for _ in range(3)]
        self.checkpoint_keys = [self.key() for _ in range(3)]
        self.origins = [f"{host}/ledger/1", f"{host}/ledger/2"]
        # The keys' names: the third signs for the origin that follows.
        self.names = [self.origins[0], self.origins[0], self.origins[1]]
        self.sealed = [self.decision(number) for number in range(leaves)]
        self.lost = 2
        data = [commitment(each.salt, each.canonical) for each in self.sealed]
        self.leaves = [leaf_hash(each) for each in data]
        before = [*self.leaves, leaf_hash(b"one"), leaf_hash(b"two")]
        self.predecessor = self.checkpoint(before, key=1)
        self.opening = opening_bytes(
            Opening(
                origin=self.origins[1],
                opened_at="2026-06-01T08:00:00Z",
                begins_at=leaves,
                lost=self.lost,
                predecessor=self.predecessor,
                reason="The disk of 31 May failed.",
            )
        )
        self.leaves.append(leaf_hash(opening_commitment(self.opening)))
        self.leaves += [leaf_hash(bytes([number])) for number in range(leaves % 5)]
        self.head = self.checkpoint(self.leaves, key=2)

    def key(self) -> Ed25519PrivateKey:
        """Make a key."""
        return Ed25519PrivateKey.from_private_bytes(self.chance.randbytes(32))

    def uuid(self) -> UUID:
        """Make an id."""
        return UUID(bytes=self.chance.randbytes(16), version=4)

    def decision(self, number: int) -> Sealed:
        """Make a record: a yes, a renewal, a no, a soft opt-in, in turn."""
        basis = Basis.soft_opt_in if number % 6 == 3 else Basis.consent
        new = NewPurpose(
            slug="letter",
            name="The Corner Letter",
            basis=basis,
            recipients=(Party(name="Post Ltd", country="IE", role="sends our mail"),),
            storage=("DE", "IE"),
        )
        terms = written(new.terms("en"))
        words = None if number % 6 == 2 else self.words()
        states = (Status.given, Status.renewed, Status.withdrawn, Status.unobjected)
        event = NewEvent(
            customer_id=self.uuid(),
            status=states[number % 6 % 4],
            method=Method.double_opt_in if number % 6 == 0 else Method.portal,
            at=AT + timedelta(hours=number),
            purpose=CitedVersion(self.uuid(), 1 + number % 2, basis, sha256(terms)),
            notice=words.cited if words else None,
            form=Form("portal", "/me/consent") if number % 2 else None,
            opt_in=OptIn(self.uuid(), "confirm_link", AT, AT + timedelta(minutes=2))
            if number % 6 == 0
            else None,
            evidence={"where": "Zürich – 東京 💌", "count": number} if number % 6 == 4 else {},
        )
        place = Place(self.uuid(), self.uuid(), None)
        by = Actor.customer(event.customer_id)
        return Sealed(
            event_id=place.event_id,
            customer_id=event.customer_id,
            salt=self.chance.randbytes(32),
            canonical=canonical(self.uuid(), place, event, by, event.at),
            terms=terms,
            notice=words,
        )

    def words(self) -> Notice:
        """Make a notice."""
        more = self.chance.choice(["", "Corner Bakery Ltd, 4 Mill Lane, uses your address."])
        return Notice(
            id=self.uuid(),
            purpose_id=self.uuid(),
            purpose_version=1,
            version=1,
            locale="en",
            text=_TEXT,
            particulars=more,
            control_label=_LABEL,
            sha256=digest(_TEXT, more, _LABEL),
            accepts=frozenset(),
            published_at=AT,
        )

    def checkpoint(self, leaves: list[bytes], *, key: int) -> str:
        """Sign a head over these leaves with a key, under its own name."""
        text = Checkpoint(self.names[key], len(leaves), head(leaves)).text()
        return note.sign(text, self.names[key], self.checkpoint_keys[key])

    def seal(self, key: int = 1) -> Seal:
        """Take up a receipt key; receipts name the key that the ledger began with."""
        named = Verifier(self.names[0], public(self.checkpoint_keys[0]))
        return seal(self.receipt_keys[key], str(named))

    def receipt(self, number: int, key: int = 1) -> str:
        """Sign the receipt of one decision."""
        return signed(ISSUER, self.sealed[number], self.seal(key), AT)

    def said(self, number: int) -> dict[str, Any]:
        """Return what a receipt would say, to be changed and signed by `resigned`."""
        told = json.loads(payload(ISSUER, self.sealed[number], self.seal().ledger, AT))
        assert isinstance(told, dict)
        return told

    def resigned(self, said: Any, header: dict[str, Any] | None = None, key: int = 1) -> str:
        """Sign whatever is to be said, under whatever header."""
        kid = Jwk.of(public(self.receipt_keys[key])).kid
        head_ = {"alg": "Ed25519", "kid": kid, "typ": "consent-receipt+jwt"} | (header or {})
        text = said if isinstance(said, bytes) else json.dumps(said).encode()
        body = f"{encoded(json.dumps(head_).encode())}.{encoded(text)}"
        return f"{body}.{encoded(self.receipt_keys[key].sign(body.encode()))}"

    def proof(self, index: int) -> str:
        """Prove a leaf below the head."""
        path = inclusion(index, self.leaves)
        return Proof(index, tuple(path), self.head).text()

    def bundle(self, *numbers: int) -> dict[str, Any]:
        """Put it all together."""
        size = len(self.leaves)
        return {
            "format": FORMAT,
            "receipts": [
                {"receipt": self.receipt(each), "proof": self.proof(each)} for each in numbers
            ],
            "head": self.head,
            "jwks": {"keys": [jwk(each) for each in self.receipt_keys]},
            "receipt_keys": self.endorsed(self.receipt_keys, [self.host] * 3),
            "checkpoint_keys": self.endorsed(self.checkpoint_keys, self.names),
            "origins": self.told_origins(),
            "consistency": [
                {
                    "first": first,
                    "second": size,
                    "path": [b64encode(each).decode() for each in consistency(first, self.leaves)],
                }
                for first in range(1, size)
            ],
        }

    def told_origins(self) -> list[dict[str, Any]]:
        """Tell both origins."""
        first = {"origin": self.origins[0], "begins_at": 0}
        begins_at = len(self.sealed)
        return [
            {**first, "opening": "", "predecessor": "", "proof": ""},
            {
                "origin": self.origins[1],
                "begins_at": begins_at,
                "opening": encoded(self.opening),
                "predecessor": self.predecessor,
                "proof": self.proof(begins_at),
            },
        ]

    def endorsed(self, keys: list[Ed25519PrivateKey], names: list[str]) -> list[dict[str, str]]:
        """Write a chain of keys."""
        told: list[dict[str, str]] = []
        for number, (key, name) in enumerate(zip(keys, names, strict=True)):
            verifier = Verifier(name, public(key))
            said = endorsement_text(verifier, "2026-05-04T00:00:00Z")
            by = note.sign(said, names[number - 1], keys[number - 1]) if number else ""
            told.append({"vkey": str(verifier), "endorsement": by})
        return told


def public(key: Ed25519PrivateKey) -> bytes:
    """Return the public half."""
    return key.public_key().public_bytes_raw()


def jwk(key: Ed25519PrivateKey) -> dict[str, str]:
    """Write the public half as a JWK."""
    told = Jwk.of(public(key))
    return {"kty": told.kty, "crv": told.crv, "alg": told.alg, "use": told.use} | {
        "kid": told.kid,
        "x": told.x,
    }


def bytes_of(text: str) -> bytes:
    """Read base64url without padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
