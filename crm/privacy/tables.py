"""The lists of a copy, one by one: as lines of JSON for programs, and as tables for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from crm.privacy.model import Copy

# What a spreadsheet would take for a formula (CWE-1236); an apostrophe in front makes it text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
# The whole text of a mail belongs into no cell; it stands in the lines.
_LONG = {"newsletters": frozenset({"source"}), "letters": frozenset({"kept"})}
_NONE = frozenset[str]()
# What the page says in words, above; all else it shows as a table.
_IN_WORDS = frozenset(
    {"profile", "attributes", "interactions", "decisions", "newsletters", "letters", "looks"}
)


class Table(Struct, frozen=True):
    """A list of what is held: a name for its files, what it is, and its rows."""

    name: str
    what: str
    rows: list[dict[str, Any]]

    def lines(self) -> bytes:
        """Write one JSON object a line, in UTF-8 (NDJSON)."""
        return b"".join(msgspec.json.encode(row) + b"\n" for row in self.rows)

    @property
    def in_words(self) -> bool:
        """Whether the page of the copy says it in words."""
        return self.name in _IN_WORDS

    @property
    def flat(self) -> list[dict[str, Any]]:
        """Each row with one name for each value."""
        return [dict(_flat(row, _LONG.get(self.name, _NONE))) for row in self.rows]

    def csv(self) -> bytes:
        """Write a table with a header, in UTF-8 with a mark that spreadsheets look for."""
        flat = self.flat
        columns = list(dict.fromkeys(name for row in flat for name in row))
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in flat)
        return out.getvalue().encode("utf-8-sig")


def tables(copy: Copy) -> list[Table]:
    """Cut a copy into its lists; each is there, also when it is empty."""
    her = copy.customer
    parts: list[tuple[str, str, Sequence[Struct]]] = [
        ("profile", "who you are to us", [her.customer]),
        ("attributes", "what else we know of you, for what, and until when", her.attributes),
        ("interactions", "what happened between us", her.interactions),
        ("consents", "what you allow now", copy.consent.states),
        (
            "decisions",
            "each decision of yours, with the words it was about",
            copy.consent.decisions,
        ),
        ("purposes", "what we ask to use your address for", copy.consent.purposes),
        ("newsletters", "newsletters that went to you, or left you out", copy.campaigns),
        ("rhythm", "how much mail you want", _one(copy.rhythm)),
        ("letters", "mails that answered something you did", copy.service_messages),
        ("looks", "who opened or copied your record, and why", copy.looks),
        ("events", "everything that was done with your record", copy.events),
        ("networks", "from where you decided, as far as it is kept", copy.consent.networks),
        ("proofs", "when your mailbox spoke for you", copy.consent.mailbox_proofs),
        ("files", "files that show a decision", [each.file for each in copy.consent.files]),
        ("sign_ups", "sign-ups that you have not confirmed", copy.access.signups),
        ("sign_up_networks", "from where these came", copy.access.networks),
        ("ways_in", "a way in that was mailed and not used", copy.access.links),
        ("deletions", "a deletion that you can call off", _one(copy.deletion)),
        ("sessions", "where you are signed in", copy.access.sessions),
        ("new_addresses", "a change of address not confirmed", copy.access.new_addresses),
        ("former_addresses", "addresses that were yours", copy.access.former_addresses),
        ("suppressions", "why mails are kept from you", _one(copy.suppression)),
        ("soft_bounces", "mails that could not be delivered for a while", copy.soft_bounces),
        ("open_reasons", "reasons that staff gave for looking, just now", copy.open_reasons),
        ("requests", "what you asked of us, and each step of it", copy.requests),
    ]
    return [
        Table(name, what, [msgspec.to_builtins(row) for row in rows]) for name, what, rows in parts
    ]


def _one(thing: Struct | None) -> list[Struct]:
    return [] if thing is None else [thing]


def _flat(
    row: Mapping[str, Any], without: frozenset[str], before: str = ""
) -> list[tuple[str, Any]]:
    """Name what is inside another thing by both names, with a dot between."""
    pairs: list[tuple[str, Any]] = []
    for name, value in row.items():
        if name in without:
            continue
        if isinstance(value, Mapping):
            pairs += _flat(value, without, f"{before}{name}.")
        elif isinstance(value, list):
            pairs.append((f"{before}{name}", msgspec.json.encode(value).decode()))
        else:
            pairs.append((f"{before}{name}", value))
    return pairs


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = ("no", "yes")[value] if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
