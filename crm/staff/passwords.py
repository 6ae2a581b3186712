"""Passwords: judged by length and by what others try first (NIST SP 800-63B-4), kept as Argon2id.

Argon2id is RFC 9106.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

from crm.businesses import Business
from crm.errors import Problem
from crm.staff.model import WeakPassword

T = TypeVar("T")

# NIST asks for 8 with a second factor and 15 without, and for no composition rules. 12 is the
# least that is taken here, 15 and more is what the pages recommend.
SHORTEST = 12
# Argon2 hashes any length; the bound keeps a form from being a way to make us work.
LONGEST = 256
# A letter is typed in at most so many characters: what is longer is too long, and stays as it is.
_SPELT = 4

# So many letters must be left of a password without words that everybody knows; a shorter word
# than this is found in honest sentences too.
_LEFT = 6
_WORD = 4
_OURS = ("firsthand", "password", "newsletter")
_KNOWN = Path(__file__).with_name("known_passwords.txt")
_KNOWN_DIGITS = 12

# A hash with this before it is of a password that somebody else has seen: it opens nothing, and
# only serves to choose another.
_ONCE = "once:"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


_line: set[asyncio.Future[Any]] = set()


class Cost(Struct, frozen=True):
    """How much work one hash is: memory in KiB, passes over it, and lanes."""

    memory: int
    passes: int
    lanes: int


# RFC 9106 §4, second recommended option: 64 MiB, three passes, four lanes.
STRONG = Cost(memory=65_536, passes=3, lanes=4)

# What is kept of whoever has no password yet: no password matches it, and the work is the same.
NOBODYS = ""

# Two at a time: 128 MiB at most, however many people sign in at once.
_workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")
# So many may wait for them: a second or two. Whoever comes then is asked to come again.
_ROOM = 16


def checked(password: str, address: str, business: Business) -> str:
    """Return the password as it is hashed, or refuse one that is short, long, known or obvious.

    Obvious is what the address, the names of the business and of its site leave little of (ASVS
    6.2.11).
    """
    prepared = _prepared(password)
    if len(prepared) < SHORTEST:
        raise weak(f"Take at least {SHORTEST} characters; 15 or more are better.")
    if len(prepared) > LONGEST:
        raise weak(f"This has {len(prepared)} characters; there is room for {LONGEST}.")
    small = prepared.lower()
    if len(set(small)) == 1:
        raise weak("One character repeated is what others try first.")
    if hashlib.sha256(small.encode()).hexdigest()[:_KNOWN_DIGITS] in _known():
        raise weak("Many people have this password, so it is what others try first.")
    if _obvious(small, [address, business.name, business.legal_name, business.origin]):
        raise weak("This is little more than a name or an address that others try first.")
    return prepared


def weak(sentence: str) -> WeakPassword:
    """Refuse a password with the sentence that stands beside its field."""
    return WeakPassword(sentence, [Problem("password", sentence)])


def one_time() -> str:
    """Make a password to be handed over and replaced: 20 letters in fives, 99 bits."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(20))
    return "-".join(letters[start : start + 5] for start in range(0, 20, 5))


async def hashed(password: str, *, cost: Cost = STRONG, once: bool = False) -> str:
    """Hash a password in a thread; `once` marks one that must be replaced before it opens."""
    text = await _in_thread(_hash, _prepared(password), cost)
    return _ONCE + text if once else text


async def matches(password: str, kept: str | None, *, cost: Cost = STRONG) -> bool:
    """Check a password in a thread; without a hash the same work is done and the answer is no."""
    return await _in_thread(_matches, _prepared(password), kept, cost)


def for_one_use(kept: str) -> bool:
    """Say whether this hash is of a password that somebody else has seen."""
    return kept.startswith(_ONCE)


def needs_rehash(kept: str, *, cost: Cost = STRONG) -> bool:
    """Say whether this hash was made with other work than today's."""
    return _hasher(cost).check_needs_rehash(kept.removeprefix(_ONCE))


def room() -> bool:
    """Say whether the line before the threads is short enough for one more."""
    return len(_line) < _ROOM


async def _in_thread(work: Callable[..., T], *given: Any) -> T:
    running = asyncio.get_running_loop().run_in_executor(_workers, work, *given)
    # Whoever asked may be gone before it ends: it takes its place in the line all the same.
    _line.add(running)
    running.add_done_callback(_line.discard)
    return await running


def _hash(password: str, cost: Cost) -> str:
    return _hasher(cost).hash(password)


def _matches(password: str, kept: str | None, cost: Cost) -> bool:
    against = kept.removeprefix(_ONCE) if kept else _nobodys(cost)
    fits = len(password) <= LONGEST
    try:
        return _hasher(cost).verify(against, password[:LONGEST]) and fits and bool(kept)
    except (VerificationError, InvalidHashError):
        return False


@lru_cache(maxsize=8)
def _hasher(cost: Cost) -> PasswordHasher:
    return PasswordHasher(time_cost=cost.passes, memory_cost=cost.memory, parallelism=cost.lanes)


@lru_cache(maxsize=8)
def _nobodys(cost: Cost) -> str:
    """A hash of a password that nobody knows, for addresses that nobody has."""
    return _hash(secrets.token_urlsafe(32), cost)


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    lines = _KNOWN.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))


def _obvious(small: str, names: Iterable[str]) -> bool:
    """Say whether words that everybody knows here leave next to nothing of a password."""
    words = {word for name in names for word in re.split(r"[\W_]+", _prepared(name).lower())}
    rest = small
    for word in sorted({*words, *_OURS}, key=len, reverse=True):
        if len(word) >= _WORD:
            rest = rest.replace(word, "")
    return rest != small and sum(letter.isalpha() for letter in rest) < _LEFT


def _prepared(password: str) -> str:
    # NIST SP 800-63B-4 §3.1.1.2: the same password typed on another keyboard is the same. Half
    # a pair of UTF-16 cannot be hashed, and no keyboard makes one.
    if len(password) <= _SPELT * LONGEST:
        password = unicodedata.normalize("NFKC", password)
    return password.encode(errors="replace").decode()
