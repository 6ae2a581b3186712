"""The checks of `crm verify`: what some papers prove, and the first thing that is wrong with them.

Nothing is fetched and no clock is asked. docs/verify.md tells the checks and their order;
deploy/verify.py makes the same ones by other code, and tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from msgspec import Struct, field

from crm import ledger
from crm.consent.bundle import Jwk
from crm.consent.claims import check_claims, sealed_record
from crm.consent.papers import Fault, Given, GivenOrigin, Papers, fits, read, strict_json, unpadded
from crm.consent.receipt import ALGORITHM, REGISTRY, TYPE
from crm.ledger import BadNote, BadProof, Checkpoint, Verifier
from crm.ledger.model import opening_commitment
from crm.ledger.note import decoded
from crm.ledger.note import read as read_note

_SEALED = {"salt": str, "canonical": str, "commitment": str, "terms": str, "ledger": str}


class Verdict(Struct):
    """What was shown, what was not, and the check that failed, if one did."""

    failed: str = ""
    why: str = ""
    # Names of what was shown, in order, each with a sentence for people.
    shown: list[tuple[str, str]] = field(default_factory=list)
    # What the papers leave open.
    open: list[tuple[str, str]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether something was shown and nothing is wrong."""
        return not self.failed and bool(self.shown)

    def show(self, name: str, sentence: str) -> None:
        """Note what was shown."""
        self.shown.append((name, sentence))

    def leave(self, name: str, sentence: str) -> None:
        """Note what was not shown."""
        self.open.append((name, sentence))


def verify(
    files: Sequence[bytes], *, checkpoints: Sequence[bytes] = (), trusted: Sequence[bytes] = ()
) -> Verdict:
    """Check files, if need be against checkpoints kept earlier and keys known from elsewhere."""
    verdict = Verdict()
    try:
        papers, known = read(files), read(trusted) if trusted else None
        for each in papers.receipts:
            _check_receipt(verdict, papers, each, known)
        for chain in papers.origins:
            _check_origins(verdict, papers, chain)
        for text in papers.proofs:
            _signed_by(verdict, papers, _proof(text).note, known)
            verdict.leave("proof.inclusion", "A proof shows nothing without its receipt.")
        for text in papers.checkpoints:
            _signed_by(verdict, papers, text, known)
        for raw in checkpoints:
            _check_consistent(verdict, papers, raw)
    except Fault as fault:
        verdict.failed, verdict.why = fault.check, fault.why
    return verdict


def proven(bundle: bytes) -> list[dict[str, Any]]:
    """Return the records that the receipts of a bundle show; Fault where one check of it fails.

    That shows that they are as they were signed, and by one key: whose key it is nobody has said.
    """
    verdict = verify([bundle])
    if verdict.failed:
        raise Fault(verdict.failed, verdict.why)
    papers = read([bundle])
    return [sealed_record(_opened(papers, each.receipt)) for each in papers.receipts]


def _check_receipt(verdict: Verdict, papers: Papers, given: Given, known: Papers | None) -> None:
    said = _opened(papers, given.receipt)
    public = papers.kids[_header(given.receipt)["kid"]]
    _check_trusted(papers.receipt_keys, public, known)
    record = sealed_record(said)
    check_claims(said, record)
    number = said["jti"]
    verdict.show("receipt", f"Receipt {number} was signed by {said['iss']} and is as it was.")
    verdict.show("record", f"It says {record['status']} at {record['at']}, as was sealed.")
    if record["version"] == 1:
        verdict.leave("record.text", "Records of version 1 do not fix the text that was shown.")
    if not given.proof:
        verdict.leave("proof", "It is pending, or its proof was not given: fetch it again.")
        return
    _check_proof(verdict, papers, given, said["sealed"], known)


def _opened(papers: Papers, receipt: str) -> dict[str, Any]:
    """Return the payload of a receipt whose signature holds."""
    header = _header(receipt)
    public = papers.kids.get(header["kid"])
    if public is None:
        raise Fault("receipt.kid", f"no key is known that is called {header['kid']}")
    key = OKPKey.import_key({"kty": "OKP", "crv": ALGORITHM, "x": Jwk.of(public).x})
    try:
        opened = jws.deserialize_compact(receipt, key, registry=REGISTRY)
    except (JoseError, ValueError):
        raise Fault("receipt.signature", "the signature does not belong to it") from None
    try:
        text = opened.payload.decode()
    except UnicodeDecodeError:
        raise Fault("receipt.payload", "it is no UTF-8") from None
    said = strict_json("receipt.payload", text)
    if not isinstance(said, dict):
        raise Fault("receipt.payload", "it is no object")
    for name, shape in (("iss", str), ("jti", str), ("iat", int), ("sealed", _SEALED)):
        if not fits(said.get(name), shape):
            raise Fault("receipt.payload", f"{name} is not there, or not as it must be")
    return said


def _header(receipt: str) -> dict[str, str]:
    parts = receipt.split(".")
    if len(parts) != 3:  # noqa: PLR2004  (RFC 7515 §7.1)
        raise Fault("receipt.form", "a receipt has three parts")
    raw, _, _ = [unpadded("receipt.form", each) for each in parts]
    try:
        header = strict_json("receipt.header", raw.decode())
    except UnicodeDecodeError:
        raise Fault("receipt.header", "it is no UTF-8") from None
    if not fits(header, {"alg": str, "kid": str, "typ": str}):
        raise Fault("receipt.header", "it says something else than alg, kid and typ")
    if header["alg"] != ALGORITHM:
        raise Fault("receipt.alg", f"it says {header['alg']}, not {ALGORITHM}")
    if header["typ"] != TYPE:
        raise Fault("receipt.typ", f"it says {header['typ']}, not {TYPE}")
    return dict(header)


def _check_trusted(
    chains: Sequence[Sequence[Verifier]], public: bytes, known: Papers | None
) -> None:
    """Refuse a key that is neither known from elsewhere nor follows one that is."""
    if known is None:
        return
    good = {*known.kids.values(), *(each.public for each in known.signers.values())}
    for chain in chains:
        keys = [each.public for each in chain]
        if public in keys and not good.isdisjoint(keys[: keys.index(public) + 1]):
            return
    if public not in good:
        raise Fault("keys.trusted", "the key that signed it is not among the trusted ones")


def _check_proof(
    verdict: Verdict, papers: Papers, given: Given, sealed: dict[str, str], known: Papers | None
) -> None:
    proof = _proof(given.proof)
    if given.head and given.head != proof.note:
        raise Fault("proof.head", "the proof is of another head than the bundle")
    head = _signed_by(verdict, papers, proof.note, known if sealed["ledger"] == "" else None)
    _check_named(verdict, papers, sealed["ledger"], proof.note)
    leaf = ledger.leaf_hash(unpadded("receipt.commitment", sealed["commitment"]))
    _check_inclusion("proof.inclusion", proof, leaf, head)
    verdict.show(
        "proof", f"It is leaf {proof.index} of {head.size} in the ledger {head.origin}, for ever."
    )


def _check_named(verdict: Verdict, papers: Papers, vkey: str, note: str) -> None:
    """Refuse another ledger than the one the receipt names by the key it began with.

    Only what follows that key may have signed the head, or a key that was handed in by itself.
    """
    if not vkey:
        verdict.leave("keys.ledger", "The receipt is older than the ledger, so it names none.")
        return
    signer = _signer(papers, note)
    if signer in papers.alone or vkey in papers.ledgers.get(signer, ()):
        return
    raise Fault("keys.ledger", f"the receipt names a ledger that began with the key {vkey}")


def _proof(text: str) -> ledger.Proof:
    try:
        return ledger.read_proof(text)
    except BadNote as wrong:
        raise Fault("proof.form", str(wrong)) from None


def _checkpoint(note: str) -> Checkpoint:
    try:
        return ledger.checkpoint_of(note)
    except BadNote as wrong:
        raise Fault("checkpoint.form", str(wrong)) from None


def _signed_by(verdict: Verdict, papers: Papers, note: str, known: Papers | None) -> Checkpoint:
    """Return the checkpoint in a note that a known key signed under the checkpoint's own name."""
    head = _checkpoint(note)
    signer = _signer(papers, note)
    if signer.name != head.origin:
        raise Fault("checkpoint.origin", f"{signer.name} signed for {head.origin}")
    _check_trusted(papers.checkpoint_keys, signer.public, known)
    verdict.show("checkpoint", f"The head of {head.origin} at size {head.size} is signed.")
    return head


def _signer(papers: Papers, note: str) -> Verifier:
    try:
        return read_note(note).signer(papers.signers)
    except BadNote as wrong:
        raise Fault("checkpoint.signature", str(wrong)) from None


def _check_inclusion(check: str, proof: ledger.Proof, leaf: bytes, head: Checkpoint) -> None:
    try:
        ledger.check_inclusion(proof.index, head.size, leaf, proof.path, head.root)
    except BadProof as wrong:
        raise Fault(check, str(wrong)) from None


def _check_origins(verdict: Verdict, papers: Papers, chain: Sequence[GivenOrigin]) -> None:
    """Check that each origin after a restore cites the signed head of one before it."""
    names: set[str] = set()
    for number, each in enumerate(chain):
        if number:
            _check_opening(verdict, papers, each, names)
        elif each.opening or each.predecessor or each.begins_at:
            raise Fault("origins.opening", "the first origin follows nothing")
        names.add(each.origin)


def _check_opening(
    verdict: Verdict, papers: Papers, origin: GivenOrigin, names: Collection[str]
) -> None:
    try:
        said = strict_json("origins.opening", origin.opening.decode())
    except UnicodeDecodeError:
        raise Fault("origins.opening", "it is no UTF-8") from None
    told = {
        "origin": origin.origin,
        "begins_at": origin.begins_at,
        "predecessor": origin.predecessor,
    }
    if not isinstance(said, dict) or any(said.get(name) != value for name, value in told.items()):
        raise Fault("origins.opening", f"{origin.origin} is told otherwise than it was opened")
    cited = _signed_by(verdict, papers, origin.predecessor, None)
    if cited.origin not in names:
        raise Fault("origins.predecessor", f"{origin.origin} follows {cited.origin}, unknown here")
    if not origin.proof:
        verdict.leave("origins.inclusion", f"That {origin.origin} was opened is not sealed yet.")
        return
    proof = _proof(origin.proof)
    head = _signed_by(verdict, papers, proof.note, None)
    if proof.index != origin.begins_at:
        raise Fault("origins.inclusion", f"{origin.origin} does not begin where it says")
    leaf = ledger.leaf_hash(opening_commitment(origin.opening))
    _check_inclusion("origins.inclusion", proof, leaf, head)
    verdict.show(
        "origins", f"{origin.origin} says in its first leaf that it follows {cited.origin}."
    )


def _check_consistent(verdict: Verdict, papers: Papers, raw: bytes) -> None:
    """Check that the ledger of the papers continues a checkpoint that was kept."""
    kept = read([raw]).checkpoints
    if len(kept) != 1:
        raise Fault("checkpoint.form", "it is no checkpoint")
    old = _signed_by(verdict, papers, kept[0], None)
    notes = [each for each in papers.heads if each] or [
        *(_proof(each.proof).note for each in papers.receipts if each.proof),
        *(_proof(each).note for each in papers.proofs),
        *papers.checkpoints,
    ]
    if not notes:
        raise Fault("consistency.missing", "there is no head to compare it with")
    for each in notes:
        new = _signed_by(verdict, papers, each, None)
        _check_path(papers, *sorted((old, new), key=lambda head: head.size))
        verdict.show(
            "consistency", f"Size {old.size} and size {new.size} are of one history, not rewritten."
        )


def _check_path(papers: Papers, first: Checkpoint, second: Checkpoint) -> None:
    if first.size == second.size:
        if first.root != second.root:
            raise Fault("consistency.root", f"two heads of size {first.size} have different roots")
        return
    path = papers.paths.get((first.size, second.size))
    if path is None:
        raise Fault("consistency.missing", f"no path leads from {first.size} to {second.size}")
    try:
        hashes = [decoded(each) for each in path]
        ledger.check_consistency(first.size, second.size, hashes, first.root, second.root)
    except (BadNote, BadProof) as wrong:
        raise Fault("consistency.path", str(wrong)) from None
