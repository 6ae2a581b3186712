"""The demo's people: the same each time, and counted as the importer counts them."""

import io
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from crm.consent import EvidenceKind
from crm.customers.address import NotAnAddress, parse
from crm.demo.people import Expected, write_export
from crm.imports.decision import KnownCustomer, Outcome, decide
from crm.imports.model import Bad, Row, Tool, evidence_kind, merge
from crm.imports.seen import Seen
from crm.imports.table import read

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DOUBLE = frozenset({EvidenceKind.former_double_opt_in})


def imported(data: bytes) -> Expected:
    """Count what an import makes of a file."""
    table = read(data, now=NOW)
    assert table.tool is Tool.mailchimp
    assert table.mixed
    by_address: dict[str, list[Row]] = {}
    seen, rejected, repeats, rows = Seen(), 0, 0, 0
    for row in table.rows():
        rows += 1
        try:
            folded = parse(row.address).folded if isinstance(row, Row) else ""
        except NotAnAddress:
            folded = ""
        if isinstance(row, Bad) or not folded:
            rejected += 1
            continue
        repeats += seen.earlier(folded, row.line) is not None
        by_address.setdefault(folded, []).append(row)
    final = [merge(group) for group in by_address.values()]
    outcomes = Counter(decide(row, None, DOUBLE).outcome for row in final)
    half = sum(
        evidence_kind(row) is EvidenceKind.former_single_opt_in
        and decide(row, None, DOUBLE).outcome is Outcome.unproven
        for row in final
    )
    return Expected(
        mailable=outcomes[Outcome.mailable],
        left=outcomes[Outcome.left],
        bounced=outcomes[Outcome.bounced],
        unproven=outcomes[Outcome.unproven] - half,
        single_opt_in=half,
        rejected=rejected,
        repeated=repeats,
        customers=len(final),
        rows=rows,
    )


@pytest.mark.parametrize(("customers", "seed"), [(2000, 1), (300, 7), (10, 2), (3, 3), (1, 4)])
def test_the_importer_comes_to_what_was_written(tmp_path: Path, customers: int, seed: int) -> None:
    path = tmp_path / "export.csv"
    expected = write_export(path, customers=customers, seed=seed)
    assert imported(path.read_bytes()) == expected
    assert expected.customers == customers


def test_the_mixture_of_two_thousand(tmp_path: Path) -> None:
    expected = write_export(tmp_path / "export.csv", customers=2000, seed=1)
    assert expected == Expected(
        mailable=1740,
        left=100,
        bounced=60,
        unproven=80,
        single_opt_in=20,
        rejected=20,
        repeated=40,
        customers=2000,
        rows=2060,
    )


def test_the_same_seed_writes_the_same_bytes() -> None:
    def written(seed: int) -> str:
        file = io.StringIO(newline="")
        write_export(file, customers=50, seed=seed)
        return file.getvalue()

    assert written(1) == written(1)
    assert written(1) != written(2)


def test_addresses_are_nobodys_and_need_no_smtputf8(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    write_export(path, customers=500, seed=1)
    domains, names = set(), ""
    for row in read(path.read_bytes(), now=NOW).rows():
        if isinstance(row, Row):
            names += row.name
            try:
                found = parse(row.address)
            except NotAnAddress:
                continue
            assert not found.needs_smtputf8
            domains.add(found.domain)
    assert all(domain.endswith(("example.com", "example.net", "example.org")) for domain in domains)
    assert any("xn--" in domain for domain in domains)
    for letter in "ŁİЩΑ小김ศנ":
        assert letter in names, letter


def test_a_second_import_changes_nothing() -> None:
    file = io.StringIO(newline="")
    write_export(file, customers=100, seed=5)
    books: dict[str, KnownCustomer] = {}
    for again in (False, True):
        for row in read(file.getvalue().encode(), now=NOW).rows():
            if isinstance(row, Bad):
                continue
            try:
                folded = parse(row.address).folded
            except NotAnAddress:
                continue
            known = books.get(folded)
            decision = decide(row, known, DOUBLE)
            assert not (again and decision.changes)
            before = known or KnownCustomer()
            books[folded] = KnownCustomer(
                standing=decision.event or before.standing,
                suppressed=before.suppressed or decision.suppress is not None,
                filled=before.filled | decision.fill.keys(),
            )
    assert len(books) == 100
