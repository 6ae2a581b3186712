"""Files to be checked, read: receipts, proofs, checkpoints, keys, bundles, a customer's copy.

What is not written as it must be is refused with Fault, which names the check. The checks and
their order are those of docs/verify.md; deploy/verify.py makes the same ones by other code.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct, field

from crm.consent.bundle import FORMAT, thumbprint
from crm.consent.receipt import encoded
from crm.ledger import BadNote, Verifier, read_vkey
from crm.ledger.note import Known, keyed
from crm.ledger.note import read as read_note

LARGEST_FILE = 16 * 1024 * 1024
_PUBLIC = 32
_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\n?", re.ASCII)
# Once a line has an id in it, no other place is tried: else the time is the square of the length.
_VKEYS = re.compile(r"(?:(?>\S+?\+[0-9a-f]{8}\+)\S++\n)+", re.ASCII)
_ENDORSED = {"vkey": str, "endorsement": str}
_SHAPE: dict[str, Any] = {
    "format": str,
    "receipts": [{"receipt": str, "proof": str}],
    "head": str,
    "jwks": {"keys": [dict]},
    "receipt_keys": [_ENDORSED],
    "checkpoint_keys": [_ENDORSED],
    "origins": [
        {"origin": str, "begins_at": int, "opening": str, "predecessor": str, "proof": str}
    ],
    "consistency": [{"first": int, "second": int, "path": [str]}],
}


class Fault(Exception):
    """A check failed: which one, and how."""

    def __init__(self, check: str, why: str) -> None:
        """Name the check, and say what is wrong."""
        super().__init__(f"{check}: {why}")
        self.check = check
        self.why = why


class Given(Struct, frozen=True):
    """A receipt with its proof, and the head the proof must be of; both empty where not given."""

    receipt: str
    proof: str = ""
    head: str = ""


class GivenOrigin(Struct, frozen=True):
    """A name of the ledger as a bundle tells it."""

    origin: str
    begins_at: int
    opening: bytes
    predecessor: str
    proof: str


class Papers(Struct, dict=True):
    """All that the files hold; what follows from it is worked out once, when they are read."""

    receipts: list[Given] = field(default_factory=list)
    proofs: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    # Each list is a chain: every key but the first was named by the one before it.
    receipt_keys: list[list[Verifier]] = field(default_factory=list)
    checkpoint_keys: list[list[Verifier]] = field(default_factory=list)
    # Keys that came alone, on the word of whoever hands them in.
    vkeys: list[Verifier] = field(default_factory=list)
    # The same, by thumbprint.
    jwks: dict[str, bytes] = field(default_factory=dict)
    origins: list[list[GivenOrigin]] = field(default_factory=list)
    paths: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    @cached_property
    def kids(self) -> dict[str, bytes]:
        """Every key that can have signed a receipt, by its thumbprint."""
        known = [*self.vkeys, *(each for chain in self.receipt_keys for each in chain)]
        return self.jwks | {thumbprint(each.public): each.public for each in known}

    @cached_property
    def signers(self) -> Known:
        """Every key that can have signed a head."""
        return keyed([*self.vkeys, *(each for chain in self.checkpoint_keys for each in chain)])

    @cached_property
    def alone(self) -> frozenset[Verifier]:
        """The keys that came alone."""
        return frozenset(self.vkeys)

    @cached_property
    def ledgers(self) -> dict[Verifier, set[str]]:
        """The keys that each key for heads follows from the beginning, or is, as vkeys."""
        begun: dict[Verifier, set[str]] = {}
        for chain in self.checkpoint_keys:
            first = str(chain[0]) if chain else ""
            for each in chain:
                begun.setdefault(each, set()).add(first)
        return begun


def read(files: Sequence[bytes]) -> Papers:
    """Read files of whatever kind; one receipt and one proof that come alone belong together."""
    papers = Papers()
    for each in files:
        _read_one(papers, each)
    alone = [each for each in papers.receipts if not each.proof]
    if len(papers.receipts) == len(alone) == len(papers.proofs) == 1:
        papers.receipts = [Given(alone[0].receipt, papers.proofs[0])]
        papers.proofs = []
    return papers


def strict_json(check: str, text: str, *, floats: bool = False) -> Any:
    """Read JSON in which no name comes twice, and without `floats` no fraction, or refuse."""

    def refused(token: str) -> float:
        raise Fault(check, f"{token} has no place in it")

    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: _unique(check, pairs),
            parse_float=float if floats else refused,
            # NaN and Infinity, which are no JSON and which Python would read.
            parse_constant=refused,
        )
        # Half a surrogate pair is no text.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Fault(check, "it is not JSON") from None
    return value


def fits(value: Any, shape: Any) -> bool:
    """Say whether a value has these members and types, and no others."""
    if isinstance(shape, dict):
        return (
            type(value) is dict
            and value.keys() == shape.keys()
            and all(fits(value[name], part) for name, part in shape.items())
        )
    if isinstance(shape, list):
        return type(value) is list and all(fits(each, shape[0]) for each in value)
    return type(value) is shape


def unpadded(check: str, text: str) -> bytes:
    """Read base64url without padding in its one spelling, or refuse."""
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        data = b""
    if encoded(data) != text:
        raise Fault(check, "it holds something that is no base64url")
    return data


def _read_one(papers: Papers, raw: bytes) -> None:
    if len(raw) > LARGEST_FILE:
        raise Fault("file.size", f"it has more than {LARGEST_FILE} bytes")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Fault("file.text", "it is no UTF-8") from None
    if text.startswith("c2sp.org/tlog-proof@"):
        papers.proofs.append(text)
    elif text.lstrip().startswith("{"):
        _read_json(papers, strict_json("json", text, floats=True))
    elif _JWS.fullmatch(text):
        papers.receipts.append(Given(text.removesuffix("\n")))
    elif "\n\n\N{EM DASH} " in text:
        papers.checkpoints.append(text)
    elif _VKEYS.fullmatch(text):
        papers.vkeys += [_vkey(line) for line in text.split("\n") if line]
    else:
        raise Fault("file.kind", "it is no receipt, proof, checkpoint, bundle, copy or key")


def _read_json(papers: Papers, said: dict[str, Any]) -> None:
    if said.get("format") == "firsthand/copy":
        held = said.get("consent")
        inner = held.get("receipts") if isinstance(held, dict) else None
        said = inner if isinstance(inner, dict) else {}
    if "format" not in said and "keys" in said:
        if not fits(said["keys"], [dict]):
            raise Fault("keys.jwks", "its keys are no list of objects")
        papers.jwks |= _jwks(said["keys"])
        return
    if said.get("format") != FORMAT:
        raise Fault("bundle.format", f"it does not say that it is a {FORMAT}")
    for name, shape in _SHAPE.items():
        if name not in said or not fits(said[name], shape):
            raise Fault("bundle.member", f"{name} is not there, or not as it must be")
    if extra := said.keys() - _SHAPE.keys():
        raise Fault("bundle.member", f"{min(extra)} is unknown")
    _read_bundle(papers, said)


def _read_bundle(papers: Papers, said: dict[str, Any]) -> None:
    known = _jwks(said["jwks"]["keys"])
    chain = _chain(said["receipt_keys"])
    if list(known) != [thumbprint(each.public) for each in chain]:
        raise Fault("keys.jwks", "jwks and receipt_keys are not the same keys in the same order")
    papers.receipt_keys.append(chain)
    papers.checkpoint_keys.append(_chain(said["checkpoint_keys"]))
    papers.heads.append(said["head"])
    papers.receipts += [
        Given(each["receipt"], each["proof"], said["head"]) for each in said["receipts"]
    ]
    papers.origins.append(
        [
            GivenOrigin(
                each["origin"],
                each["begins_at"],
                unpadded("origins.opening", each["opening"]),
                each["predecessor"],
                each["proof"],
            )
            for each in said["origins"]
        ]
    )
    papers.paths |= {(each["first"], each["second"]): each["path"] for each in said["consistency"]}


def _jwks(keys: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """Read the Ed25519 keys of a set by their thumbprints; others are passed over."""
    known = {}
    for each in keys:
        if (each.get("kty"), each.get("crv")) != ("OKP", "Ed25519"):
            continue
        x = each.get("x")
        public = unpadded("keys.jwks", x) if isinstance(x, str) else b""
        if len(public) != _PUBLIC:
            raise Fault("keys.jwks", f"a key has {_PUBLIC} bytes, not {len(public)}")
        kid = thumbprint(public)
        if each.get("kid", kid) != kid:
            raise Fault("keys.jwks", f"a key is called {each['kid']}, and its thumbprint is {kid}")
        known[kid] = public
    return known


def _chain(keys: Sequence[dict[str, str]]) -> list[Verifier]:
    """Read keys each of which was named by the one before it, or refuse."""
    chain: list[Verifier] = []
    for each in keys:
        verifier = _vkey(each["vkey"])
        _check_endorsed(chain, verifier, each["endorsement"])
        chain.append(verifier)
    return chain


def _check_endorsed(before: Sequence[Verifier], verifier: Verifier, endorsement: str) -> None:
    if not before:
        if endorsement:
            raise Fault("keys.endorsement", "the first key is named by another")
        return
    try:
        said = read_note(endorsement)
        said.check(before[-1:])
    except BadNote as wrong:
        raise Fault("keys.endorsement", f"{verifier.name}: {wrong}") from None
    lines = said.text.split("\n")
    if lines[:2] != ["firsthand/next-key/v1", str(verifier)] or len(lines) != 4:  # noqa: PLR2004
        raise Fault("keys.endorsement", f"{verifier.name}: the key before it names another")


def _vkey(line: str) -> Verifier:
    try:
        return read_vkey(line)
    except BadNote as wrong:
        raise Fault("keys.vkey", str(wrong)) from None


def _unique(check: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Fault(check, "a name comes twice in one object")
    return found
