"""Whatever the bytes: one answer, in little time; and the whole corpus as its sources judge it."""

from collections import Counter
from collections.abc import Callable
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.inbound import parts
from crm.inbound.heard import (
    AutoReply,
    Bounce,
    Complaint,
    Failure,
    Heard,
    Reply,
    Unreadable,
    Unsubscribe,
    Verdict,
)
from crm.inbound.reading import read
from tests.inbound.corpus import BOUNCES, FIXTURES, SHARED, Expected, expected, with_shared

KINDS = (Bounce, Complaint, AutoReply, Unsubscribe, Reply, Unreadable)
SAMPLES = sorted(FIXTURES.glob("*.eml"))
SHARE_RIGHT = 0.97


@given(raw=st.binary(max_size=2_000))
def test_any_bytes_are_answered(raw: bytes) -> None:
    assert isinstance(read(raw), KINDS)


@given(data=st.data(), sample=st.sampled_from(SAMPLES), to_leave=st.booleans())
def test_a_damaged_mail_is_answered(data: st.DataObject, sample: object, *, to_leave: bool) -> None:
    raw = bytearray((FIXTURES / str(sample)).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.sampled_from([0, 1, 7, 300]))
        raw[start : start + length] = data.draw(st.binary(max_size=9))
    assert isinstance(read(bytes(raw), to_leave=to_leave), KINDS)


def _nested(depth: int) -> bytes:
    head = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n"
    return b"".join(head % (at, at) for at in range(depth))


_DAEMON = b"From: MAILER-DAEMON\nSubject: failure notice\n\n"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n \n",
        _nested(3_000) + b"x\n" * 200_000,
        _nested(11) + b"x\n" * 500_000,
        b"Content-Type: message/rfc822\n\n" * 50_000,
        b"A: b\n" * 500_000,
        b"Content-Type: multipart/mixed; " + b';"' * 500_000 + b"\n\nx",
        b"Content-Type: text/html\n\n" + b"<!" * 1_000_000,
        b"Content-Type: text/html\n\n" + b"<div>" * 1_000_000,
        b"From: " + b"((" * 90_000 + b"\n\nx",
        b"Subject: " + b"=?utf-8?q?a?= " * 15_000 + b"\n\nx",
        _DAEMON + b"a@" * 1_000_000,
        _DAEMON + b"-" * 1_000_000,
        _DAEMON + b"\n \n" * 500_000,
        _DAEMON + b"".join(b"a%d@b.example\n" % at for at in range(50_000)),
    ],
)
def test_a_hostile_mail_is_looked_at_in_part(raw: bytes) -> None:
    assert isinstance(read(raw), KINDS)


@pytest.mark.parametrize(
    ("head", "again", "end"),
    [
        (b"Subject: Rye\n\n", b"\r", b"x"),
        (b"\n", b"on Monday Nora wrote\n", b"> Rye\n"),
    ],
    ids=["returns", "attributions"],
)
def test_what_comes_again_and_again_takes_linear_time(
    head: bytes, again: bytes, end: bytes
) -> None:
    def took(size: int) -> float:
        raw = b"From: nora@rye.example\n" + head + again * (size // len(again)) + end
        began = process_time()
        read(raw)
        return process_time() - began

    assert took(100_000) < 40 * max(took(10_000), 0.005)


def _report(size: int) -> bytes:
    """Failures that name no recipient and give no reason, beside words that are asked for one."""
    groups = b"\n".join([b"Action: failed\nStatus: 5.0.0\n"] * (size // 128))
    return (
        b"From: a@b.example\nContent-Type: multipart/report; boundary=b\n\n--b\n\n"
        + b"-" * size
        + b"\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\n"
        + groups
        + b"\n--b--\n"
    )


def _formats(size: int) -> bytes:
    """Letters that are never closed, in paragraphs: HTML has each of them go on in all others."""
    again = b"".join(b"<p><b a=%d></i>" % at for at in range(size // 17))
    return b"From: a@b.example\nContent-Type: text/html\n\n" + again


def _page(again: str) -> Callable[[int], bytes]:
    def of(size: int) -> bytes:
        page = again * (size // len(again))
        return b"From: a@b.example\nContent-Type: text/html\n\n" + page.encode()

    return of


@pytest.mark.parametrize(
    "mail",
    [
        _report,
        _formats,
        # Ends that HTML takes for none, so that all of it nests.
        _page("<span><div></span>"),
        _page("<div><textarea></div></textarea>"),
        _page("<div><object></div>"),
        _page("<b></p>"),
    ],
    ids=["report", "formats", "no end of a span", "an end in a field", "in an object", "letters"],
)
def test_twice_as_much_of_two_things_is_not_four_times_the_work(
    mail: Callable[[int], bytes],
) -> None:
    def took(size: int) -> float:
        raw = mail(size)
        began = process_time()
        read(raw)
        return process_time() - began

    assert took(120_000) < 40 * max(took(12_000), 0.005)


def _pages(many: int) -> bytes:
    page = b"--b\nContent-Type: text/html\n\n" + b"<p>x" * 30_000 + b"\n"
    head = b"From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n"
    return head + page * many + b"--b--\n"


def test_many_pages_take_the_time_of_a_few() -> None:
    """What is read of all the parts of a mail is no more than would be of one."""

    def took(many: int) -> float:
        raw = _pages(many)
        began = process_time()
        read(raw)
        return process_time() - began

    assert len(parts.written(parts.parse(_pages(40)))) <= 2 * parts.LONGEST_TEXT
    assert took(40) < 10 * max(took(1), 0.05)


def test_what_html_formats_or_leaves_open_is_read_to_its_end() -> None:
    """Tags that go into no text, and such as nobody closes."""
    html = "<p>Dear <b>Nora</b>,<br><a href=x>yes</a><p>" + "<input><p>" * 600 + "<x-y>end</x-y>"
    assert parts.plain_of(html).split() == ["Dear", "Nora,", "yes", "end"]


@pytest.mark.parametrize(
    "again",
    [
        "<p><b><i>x</b></i></p>",
        "<p><b>x</p>",
        "<div><span>x</div>",
        "<div><h1><span>x</div></h1>",
        "<li><span><x-y>x</span></x-y></li>",
        "<table><tr><td><a>x</table>",
    ],
)
def test_what_is_nested_wrongly_and_not_deeply_is_read_to_its_end(again: str) -> None:
    """An end tag closes what was left open in its element, as HTML does."""
    html = again * 1_000 + "<p>end</p>"
    assert parts.plain_of(html).split() == ["x"] * 1_000 + ["end"]


def test_only_so_much_of_a_mail_is_parsed() -> None:
    """A bounce of many megabytes costs what its report costs, and says the same."""
    small = (FIXTURES / "lhost-postfix-02.eml").read_bytes()
    large = small + (b"x" * 75 + b"\n") * 140_000
    assert read(large) == read(small)
    assert len(parts.parse(_nested(40) + b"x\n" * 1_000_000).as_bytes()) < 2 * parts.LONGEST_OF_MANY


@with_shared
def test_every_shared_file_is_answered() -> None:
    files = [path for path in SHARED.rglob("*") if path.is_file()]
    assert len(files) > 400
    for path in files:
        assert isinstance(read(path.read_bytes()), KINDS), path


def _recipients(heard: Heard, lines: list[Expected]) -> list[tuple[Expected, Failure | None]]:
    """Each expected line with what was found for it: by the address, or else by the order."""
    found = heard.failures if isinstance(heard, Bounce) else ()
    named = {failure.recipient.casefold(): failure for failure in found}
    ordered = [*found, *[None] * len(lines)]
    return [
        (line, named.get(line.recipient.casefold(), by_order))
        for line, by_order in zip(lines, ordered, strict=False)
    ]


def _is_right(wanted: str, heard: Heard, failure: Failure | None) -> bool:
    kinds = {"complaint": Complaint, "auto-reply": AutoReply}
    if wanted in kinds:
        return isinstance(heard, kinds[wanted])
    if wanted in ("not-a-bounce", "no address must be extracted"):  # nobody may lose by it
        return failure is None or (not failure.recipient and failure.verdict is not Verdict.hard)
    if failure is None:
        return False
    if wanted.startswith("permanent"):
        return failure.failed
    if wanted.startswith("soft"):
        return failure.verdict not in (Verdict.hard, Verdict.delivered)
    return failure.verdict == wanted


@with_shared
def test_the_corpus_is_judged_as_its_sources_judge_it() -> None:
    """At least 97 in 100 lines; and not one address is taken for gone that its source keeps."""
    table: Counter[tuple[str, str]] = Counter()
    wrong, suppressed = [], []
    for name, lines in expected().items():
        heard = read((BOUNCES / name).read_bytes())
        for line, failure in _recipients(heard, lines):
            got = str(failure.verdict) if failure else type(heard).__name__
            table[line.means, got] += 1
            if not _is_right(line.means, heard, failure):
                wrong.append((name, line.means, got))
            if got == "hard" and line.means != "hard" and not line.means.startswith("permanent"):
                suppressed.append(name)
    said = "\n".join(
        f"{means:45} {got:12} {count}" for (means, got), count in sorted(table.items())
    )
    assert suppressed == [], said
    assert 1 - len(wrong) / table.total() >= SHARE_RIGHT, f"{said}\n{wrong}"
