"""The next rows of a list, gathered by their address."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from crm import customers
from crm.customers import Address, NotAnAddress
from crm.imports.model import Bad, Row, merge


class Group(Struct, frozen=True):
    """All rows of a batch that name one address, and what they come to together."""

    address: Address
    row: Row
    rows: list[Row]


class Batch(Struct, frozen=True):
    """Rows as gathered: `read` of the file, good ones by folded address, bad ones with reasons."""

    read: int
    groups: dict[str, Group]
    bad: list[Bad]


def gather(rows: Iterator[Row | Bad], size: int) -> Batch:
    """Take the next rows, at most `size`; none read means the end of the file."""
    good: dict[str, list[Row]] = {}
    addresses: dict[str, Address] = {}
    bad: list[Bad] = []
    read = 0
    for row in islice(rows, size):
        read += 1
        if isinstance(row, Bad):
            bad.append(row)
            continue
        try:
            address = customers.parse(row.address)
        except NotAnAddress as wrong:
            bad.append(Bad(row.line, wrong.message, row.part))
            continue
        good.setdefault(address.folded, []).append(row)
        addresses.setdefault(address.folded, address)
    groups = {
        folded: Group(addresses[folded], merge(same) if len(same) > 1 else same[0], same)
        for folded, same in good.items()
    }
    return Batch(read, groups, bad)
