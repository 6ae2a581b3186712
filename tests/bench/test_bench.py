"""The benchmark measures: every figure is there, beside a ceiling of the same run, and not zero."""

from __future__ import annotations

import json
import os
from tempfile import TemporaryDirectory
from typing import Any

import aiosmtplib
import pytest

from crm.bench import relay, run
from crm.bench.figure import Beside, Figure, Goal, Series, interleaved
from crm.bench.stage import peak_rss_mb
from tests import places

_PARTS = (
    "send", "fast", "tls", "dkim", "whole", "import", "export", "consent", "check", "bulk", "seal",
    "prove", "receipt", "audience", "copy", "erasure", "retention", "portal", "service",
    "segment", "upsert", "read",
)  # fmt: skip
_BESIDE = {
    "send": {"smtp-source", "naive Python sender"},
    "send, fast sink": {"smtp-source"},
    "send, TLS": {"crm worker, in clear"},
    "DKIM, RSA": {"openssl speed rsa2048"},
    "DKIM, RSA and Ed25519": {"openssl speed rsa2048"},
    "DKIM, two workers": {"crm worker, RSA"},
    "its memory": {"a tenth of the way"},
    "letters beside a campaign": {"the goal"},
    "audience, count": {"PostgreSQL counting the rows", "the goal"},
    "audience, page": {"the goal"},
    "audience, figures": {"the goal"},
    "portal, the slowest page": {"GET /health", "the goal"},
    "retention": {"one DELETE by PostgreSQL alone"},
    "retention, longest lock": {"one DELETE by PostgreSQL alone", "the goal"},
    "import": {"PostgreSQL alone"},
    "export": {"COPY TO, as JSON"},
    "consent event": {"pgbench"},
    "customer upsert": {"pgbench"},
    "customer upsert, p99": {"the median"},
    "customer read": {"empty handler"},
    "customer read, p99": {"the median"},
    "customer list": {"the goal"},
    "consent check": {"empty handler"},
    "check of 1,000": {"asyncpg alone", "the limit"},
    "copy": {"COPY and zlib alone", "the goal"},
    "copy, memory": {"with next to nothing, and the goal"},
    "seal": {"the first 700", "PostgreSQL alone", "the goal"},
    "receipt": {"Ed25519 alone", "the goal"},
    "erasure": {"PostgreSQL deleting the same", "the goal"},
    "segment, count": {"PostgreSQL alone", "the goal"},
    "inclusion proof": {"one indexed query", "among 1,400", "the goal"},
    "consistency proof": {"one indexed query", "among 1,400", "the goal"},
}
_SIGNED = {name for name in _BESIDE if name.startswith("DKIM")}
# What cannot be measured where a program is missing, and the word that says so.
_NEEDS = {
    "cc": ("compiler", {"send, fast sink", "its memory", "letters beside a campaign"} | _SIGNED),
    "openssl": ("openssl", _SIGNED),
    "smtp-source": ("postfix", set[str]()),
}


@pytest.mark.timeout(300)
async def test_every_figure_stands_beside_its_ceiling() -> None:
    """All is measured once, with next to nothing: in as many runs, and the ratio is theirs."""
    few = run.Wishes(
        _PARTS, messages=40, crowd=40, rows=60, requests=32, leaves=700, letters=20, rounds=1
    )
    # Short, for the sockets' sake.
    with TemporaryDirectory(prefix="fh-", dir=places.quick()) as directory:
        os.chmod(directory, 0o711)  # noqa: PTH101, S103  (the servers have a user of their own)
        found = await run.measured({"CRM_DATA": directory}, few, print)
    told: dict[str, Any] = json.loads(json.dumps(run.told(found)))
    figures = {each["name"]: each for each in told["figures"]}
    expected = dict(_BESIDE)
    for program, (word, names) in _NEEDS.items():
        if relay.program(program) is None:
            assert any(word in each["reason"] for each in told["not_measured"])
            expected = {n: c - {program} for n, c in expected.items() if n not in names}

    for name, ceilings in expected.items():
        figure = figures[name]
        assert {each["what"] for each in figure["beside"]} == ceilings, name
        for series in (figure, *figure["beside"]):
            assert len(series["runs"]) == 1, name
            assert series["median"] > 0, name
        for each in figure["beside"]:
            assert each["ratio"] == pytest.approx(figure["median"] / each["median"]), name


async def test_without_postfix_our_own_sink_takes_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers as an SMTP server does, also to a content that comes in pieces or is empty."""
    monkeypatch.setattr(relay, "_FOLDERS", "")

    async with relay.sink() as sink:
        assert sink.what == "our own sink, in Python"
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=sink.port, start_tls=False) as smtp:
            for content in (b"", b"Subject: Rye\r\n\r\n" + b"It is here.\r\n" * 20_000):
                errors, answer = await smtp.sendmail("a@example.com", ["b@example.com"], content)
                assert (errors, answer) == ({}, "2.0.0 Ok")


def test_the_peak_of_a_process_is_read_from_the_kernel() -> None:
    """It is that of this process, which is larger than a bare interpreter."""
    assert peak_rss_mb(os.getpid()) > 5


async def test_rounds_are_interleaved_and_the_middle_run_counts() -> None:
    """A slow minute of the machine meets all contenders, and one odd run decides nothing."""
    order: list[str] = []
    speeds = {"ours": [10.0, 90.0, 20.0], "ceiling": [40.0, 50.0, 400.0]}

    def contender(what: str) -> tuple[str, Any]:
        async def once(number: int) -> float:
            order.append(what)
            return speeds[what][number]

        return ("1/s", once)

    runs = await interleaved(3, {what: contender(what) for what in speeds}, lambda _: None)

    assert order == ["ours", "ceiling"] * 3
    figure = Figure("it", runs["ours"], [Beside(runs["ceiling"], Goal(0.5))], {})
    assert (figure.ours.median, figure.ours.spread) == (20.0, 4.0)
    assert figure.told()["beside"][0]["ratio"] == 0.4
    assert figure.told()["beside"][0]["reached"] is False


def test_a_goal_may_be_an_upper_bound() -> None:
    """Memory is not to grow with the number of customers."""
    goal = Goal(1.15, at_most=True)

    assert goal.reached(1.1)
    assert not goal.reached(1.2)
    assert Series("none", "MB", [0.0]).spread == 0.0
