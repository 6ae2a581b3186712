"""What a call takes: shared. Written by `make calls`."""

from __future__ import annotations

from typing import Literal

LawfulBasis = Literal[
    "consent",
    "contract",
    "legal_obligation",
    "vital_interests",
    "public_task",
    "legitimate_interests",
]
