"""Check consent receipts of Firsthand with the network off; see docs/verify.md.

    python3 verify.py [--checkpoint FILE]... [--trust FILE]... FILE...

Needs Python 3.9 or newer and the package `cryptography`, and nothing else; it shares no code with
the service whose receipts it checks. Exit status: 0 all holds, 1 something is wrong or nothing was
shown, 2 it was called wrongly.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LIMIT = 16 * 1024 * 1024
STATES = {
    "unknown": "ConsentUnknown",
    "requested": "ConsentRequested",
    "deferred": "ConsentRequestDeferred",
    "given": "ConsentGiven",
    "renewed": "RenewedConsentGiven",
    "refused": "ConsentRefused",
    "withdrawn": "ConsentWithdrawn",
    "revoked": "ConsentRevoked",
    "expired": "ConsentExpired",
    "invalidated": "ConsentInvalidated",
    "unobjected": "LegitimateInterestNotObjected",
}
OBJECTIONS = {
    "unobjected": "LegitimateInterestNotObjected",
    "withdrawn": "LegitimateInterestObjected",
    "refused": "LegitimateInterestObjected",
}
BUNDLE = {
    "format": str,
    "receipts": [{"receipt": str, "proof": str}],
    "head": str,
    "jwks": {"keys": [dict]},
    "receipt_keys": [{"vkey": str, "endorsement": str}],
    "checkpoint_keys": [{"vkey": str, "endorsement": str}],
    "origins": [
        {"origin": str, "begins_at": int, "opening": str, "predecessor": str, "proof": str}
    ],
    "consistency": [{"first": int, "second": int, "path": [str]}],
}
SEALED = {"salt": str, "canonical": str, "commitment": str, "terms": str, "ledger": str}


class Wrong(Exception):
    """A check failed."""

    def __init__(self, check, why=""):
        super().__init__(check, why)
        self.check, self.why = check, why


# Bytes and JSON


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def from_b64url(check, text):
    try:
        data = base64.urlsafe_b64decode(text + "===="[: -len(text) % 4])
    except ValueError:
        raise Wrong(check, "not base64url") from None
    if b64url(data) != text:
        raise Wrong(check, "not base64url in its one spelling")
    return data


def from_b64(check, text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Wrong(check, "not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Wrong(check, "not base64 in its one spelling")
    return data


def utf8(check, data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Wrong(check, "not UTF-8") from None


def parse(check, text, floats=False):
    """Read JSON strictly: no name twice in an object, no NaN, no half surrogate pairs."""

    def no(token):
        raise Wrong(check, f"{token} is not allowed")

    def once(pairs):
        if len({name for name, _ in pairs}) < len(pairs):
            raise Wrong(check, "a name comes twice in one object")
        return dict(pairs)

    try:
        value = json.loads(
            text,
            object_pairs_hook=once,
            parse_constant=no,
            parse_float=float if floats else no,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise Wrong(check, "not JSON") from None
    return value


def canonical(value):
    """RFC 8785 for what records hold: no fractions, and integers below 2^53."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(n) + ":" + canonical(value[n]) for n in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if type(value) is int and abs(value) >= 2**53:
        raise Wrong("receipt.canonical", "a number is beyond 2^53")
    return json.dumps(value, ensure_ascii=False)


def shaped(value, shape):
    """Exactly these members, of exactly these types."""
    if isinstance(shape, list):
        return type(value) is list and all(shaped(each, shape[0]) for each in value)
    if isinstance(shape, dict):
        if type(value) is not dict or set(value) != set(shape):
            return False
        return all(shaped(value[name], shape[name]) for name in shape)
    return type(value) is shape


# Keys, signed notes, checkpoints, proofs (C2SP)


class Key:
    """A key under a name: `name+id+base64(0x01 || 32 bytes)`."""

    def __init__(self, line):
        parts = line.split("+", 2)
        if len(parts) != 3 or not good_name(parts[0]):
            raise Wrong("keys.vkey", "not name+id+key")
        self.line, self.name = line, parts[0]
        data = from_b64("keys.vkey", parts[2])
        if len(data) != 33 or data[0] != 1:
            raise Wrong("keys.vkey", "not a key of Ed25519")
        self.public = data[1:]
        self.id = sha256(self.name.encode("utf-8"), b"\n", data)[:4]
        if self.id.hex() != parts[1]:
            raise Wrong("keys.vkey", "name and key have the id " + self.id.hex())


def like_key(line):
    """Whether a line is like a key; looked at in steps, which take no longer than the line is."""
    inside = re.search(r"(?<=.)\+[0-9a-f]{8}\+(?=.)", line, re.DOTALL)
    return inside is not None and not re.search(r"\s", line, re.ASCII)


def good_name(name):
    return bool(name) and not any(c == "+" or c.isspace() or c < " " for c in name)


def ed25519(public, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def note(check, text):
    """Cut a signed note into its text and its signatures."""
    if any(c < " " and c != "\n" for c in text):
        raise Wrong(check, "a control character")
    at = text.rfind("\n\n")
    if at < 0 or not text.endswith("\n") or at + 2 >= len(text):
        raise Wrong(check, "not a signed note")
    signatures = []
    lines = text[at + 2 : -1].split("\n")
    if len(lines) > 64:
        raise Wrong(check, "too many signatures")
    for line in lines:
        words = line.split(" ")
        if len(words) != 3 or words[0] != "\u2014" or not good_name(words[1]):
            raise Wrong(check, "not a signature line")
        data = from_b64(check, words[2])
        if len(data) < 5:
            raise Wrong(check, "a signature is too short")
        signatures.append((words[1], data[:4], data[4:]))
    return text[: at + 1], signatures


def signer(check, text, keys):
    """Return the first known key that signed; a known key's bad signature spoils all."""
    body, signatures = note(check, text)
    found = None
    for name, key_id, signature in signatures:
        for key in keys:
            if (key.name, key.id) == (name, key_id):
                # Of two keys with one id the last counts; ids of honest keys differ.
                match = [k for k in keys if (k.name, k.id) == (name, key_id)][-1]
                if not ed25519(match.public, signature, body.encode("utf-8")):
                    raise Wrong(check, f"the signature of {name} is not good")
                found = found or match
                break
    if found is None:
        raise Wrong(check, "no known key signed it")
    return found


def number(check, text):
    if not re.fullmatch("0|[1-9][0-9]{0,18}", text):
        raise Wrong(check, "not a number in its one spelling")
    return int(text)


def hash_of(check, text):
    data = from_b64(check, text)
    if len(data) != 32:
        raise Wrong(check, "not a hash of 32 bytes")
    return data


def checkpoint(text):
    """Return origin, size and root of a checkpoint."""
    body, _ = note("checkpoint.form", text)
    lines = body.split("\n")
    if len(lines) < 4 or not lines[0]:
        raise Wrong("checkpoint.form", "not origin, size and root")
    return lines[0], number("checkpoint.form", lines[1]), hash_of("checkpoint.form", lines[2])


def tlog_proof(text):
    """Return index, path and checkpoint of a file .tlog-proof."""
    head, blank, rest = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise Wrong("proof.form", "not a tlog-proof")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    if not lines or not lines[0].startswith("index "):
        raise Wrong("proof.form", "no index")
    index = number("proof.form", lines[0][6:])
    path = [hash_of("proof.form", line) for line in lines[1:]]
    if len(path) > 64:
        raise Wrong("proof.form", "a path is too long")
    return index, path, rest


# Merkle trees (RFC 9162)


def leaf(data):
    return sha256(b"\x00", data)


def node(left, right):
    return sha256(b"\x01", left, right)


def included(check, index, size, hashed, path, root):
    """RFC 9162, 2.1.3.2."""
    if index >= size:
        raise Wrong(check, "no such leaf")
    fn, sn, r = index, size - 1, hashed
    for p in path:
        if sn == 0:
            raise Wrong(check, "the path is too long")
        if fn % 2 == 1 or fn == sn:
            r = node(p, r)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn // 2, sn // 2
        else:
            r = node(r, p)
        fn, sn = fn // 2, sn // 2
    if sn != 0 or r != root:
        raise Wrong(check, "the path does not lead to the root")


def consistent(check, first, second, path, old_root, new_root):
    """RFC 9162, 2.1.4.2, for first < second."""
    if first == 0 or not path:
        raise Wrong(check, "nothing can be shown")
    if first & (first - 1) == 0:
        path = [old_root] + path
    fn, sn = first - 1, second - 1
    while fn % 2 == 1:
        fn, sn = fn // 2, sn // 2
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise Wrong(check, "the path is too long")
        if fn % 2 == 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while fn % 2 == 0 and fn != 0:
                fn, sn = fn // 2, sn // 2
        else:
            sr = node(sr, c)
        fn, sn = fn // 2, sn // 2
    if sn != 0 or fr != old_root or sr != new_root:
        raise Wrong(check, "the path does not lead from one root to the other")


# Reading files


def thumbprint(public):
    """RFC 7638."""
    return b64url(sha256(b'{"crv":"Ed25519","kty":"OKP","x":"%s"}' % b64url(public).encode()))


def jwk_set(keys):
    known = {}
    for jwk in keys:
        if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
            continue
        if not isinstance(jwk.get("x"), str):
            raise Wrong("keys.jwks", "a key has no x")
        public = from_b64url("keys.jwks", jwk["x"])
        if len(public) != 32:
            raise Wrong("keys.jwks", "a key is not of 32 bytes")
        if "kid" in jwk and jwk["kid"] != thumbprint(public):
            raise Wrong("keys.jwks", "a kid is not the thumbprint of its key")
        known[thumbprint(public)] = public
    return known


def key_chain(entries):
    """Each key but the first was named, in a signed note, by the one before it."""
    keys = []
    for entry in entries:
        key = Key(entry["vkey"])
        if keys:
            signer("keys.endorsement", entry["endorsement"], keys[-1:])
            lines = note("keys.endorsement", entry["endorsement"])[0].split("\n")
            if len(lines) != 4 or lines[:2] != ["firsthand/next-key/v1", key.line]:
                raise Wrong("keys.endorsement", "the key before it names another")
        elif entry["endorsement"]:
            raise Wrong("keys.endorsement", "nothing comes before the first key")
        keys.append(key)
    return keys


class Papers:
    """All that the files hold."""

    def __init__(self, files):
        self.receipts = []  # receipt, proof, head it must be of
        self.proofs, self.checkpoints, self.heads = [], [], []
        self.receipt_chains, self.checkpoint_chains, self.origins = [], [], []
        self.loose, self.vkeys, self.paths = {}, [], {}
        for data in files:
            self.take(data)
        if len(self.receipts) == 1 and not self.receipts[0][1] and len(self.proofs) == 1:
            self.receipts = [(self.receipts[0][0], self.proofs.pop(), "")]

    def take(self, data):
        if len(data) > LIMIT:
            raise Wrong("file.size", f"more than {LIMIT} bytes")
        text = utf8("file.text", data)
        if text.startswith("c2sp.org/tlog-proof@"):
            self.proofs.append(text)
        elif text.lstrip().startswith("{"):
            self.take_json(parse("json", text, floats=True))
        elif re.fullmatch(r"([A-Za-z0-9_-]+\.){2}[A-Za-z0-9_-]+\n?", text):
            self.receipts.append((text.rstrip("\n"), "", ""))
        elif "\n\n\u2014 " in text:
            self.checkpoints.append(text)
        elif text.endswith("\n") and all(map(like_key, text.split("\n")[:-1])):
            self.vkeys += [Key(line) for line in text.split("\n")[:-1]]
        else:
            raise Wrong("file.kind", "nothing that is known")

    def take_json(self, said):
        if said.get("format") == "firsthand/copy":
            said = said["consent"].get("receipts") if isinstance(said.get("consent"), dict) else 0
            said = said if isinstance(said, dict) else {}
        if "keys" in said and "format" not in said:
            if not shaped(said["keys"], [dict]):
                raise Wrong("keys.jwks", "not a list of keys")
            self.loose.update(jwk_set(said["keys"]))
            return
        if said.get("format") != "firsthand/bundle/v1":
            raise Wrong("bundle.format", "not a bundle")
        if not shaped(said, BUNDLE):
            raise Wrong("bundle.member", "a member is missing, unknown or not as it must be")
        known, chain = jwk_set(said["jwks"]["keys"]), key_chain(said["receipt_keys"])
        if list(known) != [thumbprint(key.public) for key in chain]:
            raise Wrong("keys.jwks", "not the keys of receipt_keys")
        self.receipt_chains.append(chain)
        self.checkpoint_chains.append(key_chain(said["checkpoint_keys"]))
        self.heads.append(said["head"])
        for one in said["receipts"]:
            self.receipts.append((one["receipt"], one["proof"], said["head"]))
        for origin in said["origins"]:
            origin["opening"] = from_b64url("origins.opening", origin["opening"])
        self.origins.append(said["origins"])
        for path in said["consistency"]:
            self.paths[path["first"], path["second"]] = path["path"]

    def receipt_key(self, kid):
        """Return the key of this thumbprint, or None."""
        keys = {
            thumbprint(key.public): key.public for key in self.vkeys + sum(self.receipt_chains, [])
        }
        return keys.get(kid, self.loose.get(kid))

    def signers(self):
        """Return every key that can have signed a head."""
        return self.vkeys + sum(self.checkpoint_chains, [])

    def all_publics(self):
        """Return the bytes of every key."""
        keys = self.signers() + sum(self.receipt_chains, [])
        return set(self.loose.values()) | {key.public for key in keys}


# The checks


class Check:
    """One run: what was shown, and what was left open."""

    def __init__(self, papers, trusted):
        self.papers, self.trusted = papers, trusted
        self.shown, self.open = [], []

    def trust(self, chains, public, trusted):
        """The key, or one that comes before it in its chain, is known from elsewhere."""
        if trusted is None or public in trusted:
            return
        for chain in chains:
            publics = [key.public for key in chain]
            if public in publics and trusted & set(publics[: publics.index(public)]):
                return
        raise Wrong("keys.trusted", "the key is not among the trusted ones")

    def head(self, text, trusted=None):
        """A checkpoint, signed under its own name by a known key."""
        origin, size, root = checkpoint(text)
        key = signer("checkpoint.signature", text, self.papers.signers())
        if key.name != origin:
            raise Wrong("checkpoint.origin", f"{key.name} signed for {origin}")
        self.trust(self.papers.checkpoint_chains, key.public, trusted)
        self.shown.append(("checkpoint", f"{origin} at size {size} is signed"))
        return origin, size, root

    def receipt(self, jws, proof, head):
        said, public = self.opened(jws)
        self.trust(self.papers.receipt_chains, public, self.trusted)
        sealed = said["sealed"]
        record = record_of(sealed)
        compare(said, record)
        self.shown.append(("receipt", "{}, signed by {}".format(said["jti"], said["iss"])))
        self.shown.append(("record", "{} at {}".format(record["status"], record["at"])))
        if record["version"] == 1:
            self.open.append(("record.text", "version 1 does not fix the text shown"))
        if not proof:
            self.open.append(("proof", "pending, or not given"))
            return
        index, path, note_ = tlog_proof(proof)
        if head and head != note_:
            raise Wrong("proof.head", "of another head than the bundle")
        named = sealed["ledger"]
        origin, size, root = self.head(note_, None if named else self.trusted)
        self.ledger(named, note_)
        hashed = leaf(from_b64url("receipt.commitment", sealed["commitment"]))
        included("proof.inclusion", index, size, hashed, path, root)
        self.shown.append(("proof", f"leaf {index} of {size} in {origin}"))

    def ledger(self, named, text):
        """The signer was handed in by itself, or follows the key that the receipt names."""
        if not named:
            self.open.append(("keys.ledger", "the receipt names no ledger"))
            return
        key = signer("checkpoint.signature", text, self.papers.signers()).line
        if key in [each.line for each in self.papers.vkeys]:
            return
        for chain in self.papers.checkpoint_chains:
            lines = [each.line for each in chain]
            if key in lines and lines[0] == named:
                return
        raise Wrong("keys.ledger", "the receipt names the ledger that began with " + named)

    def opened(self, jws):
        """Header, key and signature of a receipt, then its payload."""
        parts = jws.split(".")
        if len(parts) != 3:
            raise Wrong("receipt.form", "not three parts")
        raw, payload, signature = [from_b64url("receipt.form", part) for part in parts]
        header = parse("receipt.header", utf8("receipt.header", raw))
        if not shaped(header, {"alg": str, "kid": str, "typ": str}):
            raise Wrong("receipt.header", "not alg, kid and typ alone")
        if header["alg"] != "Ed25519":
            raise Wrong("receipt.alg", header["alg"])
        if header["typ"] != "consent-receipt+jwt":
            raise Wrong("receipt.typ", header["typ"])
        public = self.papers.receipt_key(header["kid"])
        if public is None:
            raise Wrong("receipt.kid", "no key is known that is called " + header["kid"])
        if not ed25519(public, signature, jws.rpartition(".")[0].encode()):
            raise Wrong("receipt.signature", "not good")
        said = parse("receipt.payload", utf8("receipt.payload", payload))
        shapes = {"iss": str, "jti": str, "iat": int, "sealed": SEALED}
        if type(said) is not dict or not all(shaped(said.get(n), shapes[n]) for n in shapes):
            raise Wrong("receipt.payload", "not iss, jti, iat and sealed")
        return said, public

    def origin_chain(self, chain):
        """Each origin but the first cites a signed head of one before it."""
        names = []
        for origin in chain:
            if names:
                self.opening(origin, names)
            elif origin["opening"] or origin["predecessor"] or origin["begins_at"]:
                raise Wrong("origins.opening", "nothing comes before the first origin")
            names.append(origin["origin"])

    def opening(self, origin, names):
        said = parse("origins.opening", utf8("origins.opening", origin["opening"]))
        told = ("origin", "begins_at", "predecessor")
        if type(said) is not dict or [said.get(n) for n in told] != [origin[n] for n in told]:
            raise Wrong("origins.opening", "it says something else")
        if self.head(origin["predecessor"])[0] not in names:
            raise Wrong("origins.predecessor", "it follows an origin that is not known")
        if not origin["proof"]:
            self.open.append(("origins.inclusion", "{} is not sealed yet".format(origin["origin"])))
            return
        index, path, note_ = tlog_proof(origin["proof"])
        _, size, root = self.head(note_)
        if index != origin["begins_at"]:
            raise Wrong("origins.inclusion", "it does not begin where it says")
        hashed = leaf(sha256(b"firsthand/ledger-origin/v1", origin["opening"]))
        included("origins.inclusion", index, size, hashed, path, root)
        self.shown.append(("origins", "{} cites what it follows".format(origin["origin"])))

    def kept(self, data):
        """The ledger continues a checkpoint that was kept, or the other way round."""
        papers = self.papers
        found = Papers([data]).checkpoints
        if len(found) != 1:
            raise Wrong("checkpoint.form", "not a checkpoint")
        old = self.head(found[0])
        notes = [text for text in papers.heads if text]
        if not notes:
            notes = [tlog_proof(proof)[2] for _, proof, _ in papers.receipts if proof]
            notes += [tlog_proof(proof)[2] for proof in papers.proofs] + papers.checkpoints
        if not notes:
            raise Wrong("consistency.missing", "no head to compare it with")
        for text in notes:
            one, other = sorted((old, self.head(text)), key=lambda head: head[1])
            if one[1] == other[1]:
                if one[2] != other[2]:
                    raise Wrong("consistency.root", "two roots of one size")
            elif (one[1], other[1]) not in papers.paths:
                raise Wrong("consistency.missing", f"no path from {one[1]} to {other[1]}")
            else:
                path = papers.paths[one[1], other[1]]
                hashes = [hash_of("consistency.path", each) for each in path]
                consistent("consistency.path", one[1], other[1], hashes, one[2], other[2])
            self.shown.append(("consistency", f"sizes {one[1]} and {other[1]}"))


def record_of(sealed):
    """The record, if the commitment is over these very bytes."""
    salt = from_b64url("receipt.salt", sealed["salt"])
    if len(salt) != 32:
        raise Wrong("receipt.salt", "not 32 bytes")
    written = from_b64url("receipt.canonical", sealed["canonical"])
    record = parse("receipt.canonical", utf8("receipt.canonical", written))
    try:
        again = canonical(record).encode()
    except RecursionError:
        again = b""
    if type(record) is not dict or again != written:
        raise Wrong("receipt.canonical", "not canonical JSON")
    committed = from_b64url("receipt.commitment", sealed["commitment"])
    if committed != sha256(b"firsthand/consent/v1", salt, written):
        raise Wrong("receipt.commitment", "not over this salt and record")
    return completed(record)


def completed(record):
    """A record of version 2, or of version 1 with the members it lacks."""
    version = record.get("version")
    if version == 1 and isinstance(record.get("purpose"), str):
        record["basis"], record["control"] = "consent", None
        record["purpose"] = {"id": record["purpose"], "version": 1, "sha256": None}
        if record.get("notice"):
            record["notice"] = {"id": record["notice"], "sha256": None}
    elif version != 2:
        raise Wrong("record.version", "not known")
    for name in ("event", "status", "basis", "at", "method", "customer"):
        if type(record.get(name)) is not str:
            raise Wrong("record." + name, "not there")
    if type(record.get("purpose")) is not dict:
        raise Wrong("record.purpose", "not there")
    return record


def only(said, name):
    if not shaped(said.get(name), [dict]) or len(said[name]) != 1:
        raise Wrong("receipt.payload", name + " is not a list of one object")
    return said[name][0]


def same(name, claimed, sealed):
    if type(claimed) is not type(sealed) or claimed != sealed:
        raise Wrong("record." + name, f"the receipt says {claimed}, the record {sealed}")


def compare(said, record):
    """What the receipt says is what was sealed."""
    told = only(said, "dpv:hasRecordOfActivity")
    soft = "dpv:hasStatus" in told
    state = only(told, "dpv:hasStatus" if soft else "dpv:hasConsentStatus")
    purpose = only(told, "dpv:hasProcess").get("dpv:hasPurpose")
    purpose = purpose if type(purpose) is dict else {}
    types = state.get("@type")
    same("event", state.get("dct:identifier"), record["event"])
    same("status", types[0] if type(types) is list and types else None, state_of(record))
    same("at", state.get("dpv:isIndicatedAtTime"), record["at"])
    same("method", state.get("dpv:hasIndicationMethod"), record["method"])
    same("customer", told.get("dpv:hasDataSubject"), "urn:uuid:" + record["customer"])
    same("purpose", purpose.get("@id"), "urn:uuid:{}".format(record["purpose"].get("id")))
    same("version", purpose.get("our:version"), record["purpose"].get("version"))
    terms = sha256(from_b64url("record.terms", said["sealed"]["terms"])).hex()
    if record["purpose"].get("sha256") is not None:
        same("terms", terms, record["purpose"]["sha256"])
    notice = only(told, "dpv:hasNotice") if told.get("dpv:hasNotice") else {}
    sealed = record.get("notice")
    sealed = sealed if type(sealed) is dict else {}
    same("notice", notice.get("dct:identifier"), sealed.get("id"))
    if sealed.get("sha256") is None:
        return
    text, more, label = (
        notice.get(n) for n in ("dct:description", "our:particulars", "our:controlLabel")
    )
    whole = ""
    if shaped([text, more, label], [str]):
        whole = text + ("\n\n" + more if more else "") + "\n" + label
    same("text", sha256(whole.encode("utf-8")).hex(), sealed["sha256"])
    control = record.get("control")
    same("control", label, control.get("label") if type(control) is dict else None)


def state_of(record):
    """The name of a state in DPV 2.3."""
    status, basis = record["status"], record["basis"]
    if status not in STATES or basis not in ("consent", "explicit_consent", "soft_opt_in"):
        raise Wrong("record.status", "not known")
    if basis == "soft_opt_in":
        return "dpv:" + OBJECTIONS.get(status, "LegitimateInterestInformed")
    return "dpv:" + STATES[status]


def verify(files, checkpoints=(), trusted=()):
    """Return the failed check (empty if none), why, what was shown, and what was left open."""
    check = Check(None, None)
    try:
        check.papers = Papers(files)
        if trusted:
            check.trusted = Papers(trusted).all_publics()
        for jws, proof, head in check.papers.receipts:
            check.receipt(jws, proof, head)
        for chain in check.papers.origins:
            check.origin_chain(chain)
        for proof in check.papers.proofs:
            check.head(tlog_proof(proof)[2], check.trusted)
            check.open.append(("proof.inclusion", "a proof shows nothing without its receipt"))
        for text in check.papers.checkpoints:
            check.head(text, check.trusted)
        for data in checkpoints:
            check.kept(data)
    except Wrong as wrong:
        return wrong.check, wrong.why, check.shown, check.open
    return "", "", check.shown, check.open


def main(args):
    """Check the files that are named."""
    given = {"": [], "--checkpoint": [], "--trust": []}
    option = ""
    try:
        for arg in args:
            if option == "" and arg in given and arg:
                option = arg
                continue
            with open(arg, "rb") as file:
                given[option].append(file.read(LIMIT + 1))
            option = ""
    except OSError as error:
        sys.stderr.write(f"verify.py: {error}\n")
        return 2
    if option or not given[""]:
        sys.stderr.write(__doc__ or "")
        return 2
    failed, why, shown, open_ = verify(given[""], given["--checkpoint"], given["--trust"])
    for name, sentence in shown:
        sys.stdout.write(f"holds   {name:12} {sentence}\n")
    for name, sentence in open_:
        sys.stdout.write(f"open    {name:12} {sentence}\n")
    if failed:
        sys.stdout.write(f"WRONG   {failed:12} {why}\n")
    return 0 if shown and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
