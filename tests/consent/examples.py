"""The examples of docs/verify.md: what a made-up bakery signs, from fixed keys and salts.

`python -m tests.consent.examples` writes them into the page, where a format has changed.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from pathlib import Path

from crm.consent.bundle import thumbprint
from crm.consent.receipt import encoded
from crm.consent.record import commitment
from crm.ledger import leaf_hash
from crm.ledger.model import opening_commitment
from tests.consent.forge import Forge, bytes_of, public
from tests.ledger.test_tree import head, inclusion

_LONG = 60
_END = "\n```"


def forge() -> Forge:
    """The bakery: three decisions, a restore, three entries after it."""
    return Forge(2, leaves=3)


def bundle() -> str:
    """Write the bundle of its first decision: docs/example-receipt.json."""
    return json.dumps(forge().bundle(0), indent=2, ensure_ascii=False) + "\n"


def kept() -> str:
    """Write a checkpoint that somebody kept earlier: docs/example-checkpoint."""
    made = forge()
    return made.checkpoint(made.leaves[:2], key=0)


def examples() -> dict[str, str]:
    """Name each block of the page that holds values, and write what it has to hold."""
    made = forge()
    first = made.sealed[0]
    assert first.notice is not None
    key = public(made.receipt_keys[1])
    committed = commitment(first.salt, first.canonical)
    header = made.receipt(0).split(".")[0]
    chain = made.bundle(0)
    words = f"{first.notice.text}\n\n{first.notice.particulars}\n{first.notice.control_label}"
    if not first.notice.particulars:
        words = f"{first.notice.text}\n{first.notice.control_label}"
    return {
        "record": first.canonical.decode(),
        "commitment": _rows(
            salt=first.salt.hex(),
            commitment=committed.hex(),
            leaf_hash=leaf_hash(committed).hex(),
        ),
        "words": words,
        "words-digest": hashlib.sha256(words.encode()).hexdigest(),
        "terms": first.terms.decode(),
        "terms-digest": hashlib.sha256(first.terms).hexdigest(),
        "header": bytes_of(header).decode(),
        "header-encoded": header,
        "thumbprint": _rows(
            public_key=key.hex(),
            hashed=f'{{"crv":"Ed25519","kty":"OKP","x":"{encoded(key)}"}}',
            kid=thumbprint(key),
        ),
        "payload": _shortened(made.said(0)),
        "vkey": chain["checkpoint_keys"][1]["vkey"],
        "endorsement": chain["checkpoint_keys"][1]["endorsement"].rstrip("\n"),
        "checkpoint": made.head.rstrip("\n"),
        "proof": made.proof(0).rstrip("\n"),
        "path": _path(made),
        "opening": made.opening.decode(),
        "opening-commitment": opening_commitment(made.opening).hex(),
    }


def write(docs: Path) -> None:
    """Write every example where it belongs."""
    page = (docs / "verify.md").read_text()
    for name, value in examples().items():
        before, mark, rest = page.partition(f"<!-- example: {name} -->\n")
        fence, _, after = rest.partition("\n")
        page = f"{before}{mark}{fence}\n{value}\n```{after.partition(_END)[2]}"
    (docs / "verify.md").write_text(page)
    (docs / "example-receipt.json").write_text(bundle())
    (docs / "example-checkpoint").write_text(kept())


def _rows(**values: str) -> str:
    return "\n".join(f"{name.replace('_', ' '):<12}{value}" for name, value in values.items())


def _path(made: Forge) -> str:
    """Show how the path of leaf 0 leads to the root."""
    at = made.leaves[0]
    rows = [f"leaf 0      {at.hex()}"]
    for each in inclusion(0, made.leaves):
        at = hashlib.sha256(b"\x01" + at + each).digest()
        rows += [f"right of it {each.hex()}", f"above both  {at.hex()}"]
    assert at == head(made.leaves)
    return "\n".join([*rows, f"the root    {b64encode(at).decode()}"])


def _shortened(said: object) -> str:
    """Write JSON for people; long values of `sealed` are cut."""
    assert isinstance(said, dict)
    sealed = {
        name: value if len(value) <= _LONG else f"{value[:24]}…"
        for name, value in said["sealed"].items()
    }
    return json.dumps({**said, "sealed": sealed}, indent=2, ensure_ascii=False)


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[2] / "docs")
