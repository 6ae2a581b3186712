"""The ledger of a business: entries sealed into a Merkle tree whose heads are signed (promise 6).

Owns `signing_key` and the tables `ledger_*`. Domains above enter commitments by the SQL function
`crm.enter_ledger`; what they stand for stays with them. Leaves are hashed as in RFC 9162, tiles,
checkpoints and proofs are those of C2SP. No two signed heads ever contradict each other.
"""

from crm.ledger.actions import (
    Unsealed,
    alarms,
    consistency,
    head,
    holds,
    origins,
    positions,
    proof,
    proofs_at,
    reopen,
    report,
    settle,
    signed_head,
    signed_heads,
    tile_at,
    unsealed,
)
from crm.ledger.checkpoint import Checkpoint, Proof, checkpoint_of, read_proof
from crm.ledger.model import (
    Alarm,
    Finding,
    Halt,
    Head,
    KeyKind,
    NothingSealed,
    NotStopped,
    Origin,
    PublicKey,
    SignedHead,
    Stopped,
)
from crm.ledger.note import BadNote, Verifier, read_vkey
from crm.ledger.sealing import CHECKPOINT, seal
from crm.ledger.signing import Signer, encrypt_anew, ensure_key, keys, rotate, signer
from crm.ledger.tree import BadProof, check_consistency, check_inclusion, leaf_hash
from crm.ledger.watching import Round, begin_watch, compare, go_on, hold_watch, watch

__all__ = [
    "CHECKPOINT",
    "Alarm",
    "BadNote",
    "BadProof",
    "Checkpoint",
    "Finding",
    "Halt",
    "Head",
    "KeyKind",
    "NotStopped",
    "NothingSealed",
    "Origin",
    "Proof",
    "PublicKey",
    "Round",
    "SignedHead",
    "Signer",
    "Stopped",
    "Unsealed",
    "Verifier",
    "alarms",
    "begin_watch",
    "check_consistency",
    "check_inclusion",
    "checkpoint_of",
    "compare",
    "consistency",
    "encrypt_anew",
    "ensure_key",
    "go_on",
    "head",
    "hold_watch",
    "holds",
    "keys",
    "leaf_hash",
    "origins",
    "positions",
    "proof",
    "proofs_at",
    "read_proof",
    "read_vkey",
    "reopen",
    "report",
    "rotate",
    "seal",
    "settle",
    "signed_head",
    "signed_heads",
    "signer",
    "tile_at",
    "unsealed",
    "watch",
]
