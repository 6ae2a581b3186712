"""What DNS says of a domain is judged as receivers judge it, and nobody waits for ever for DNS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from msgspec import structs

from crm.mail.dmarc import walk
from crm.mail.dns import Resolver, look
from crm.mail.facts import Facts
from crm.mail.judging import Judgement
from crm.mail.sending_domain import DkimKey, KeyState, Record, Severity, strings_of
from crm.mail.spf import spf
from crm.mail.spf_check import spf_of
from crm.mail.zone import NOTHING, Answer, Question, Zone

_Q = "quarantine"
NOW = datetime(2026, 11, 23, tzinfo=UTC)
HOME = "bakery.example"


def key(algorithm: str, state: KeyState = KeyState.signing, *, selector: str = "") -> DkimKey:
    back = NOW - timedelta(days=1) if state in {KeyState.retiring, KeyState.retired} else None
    return DkimKey(
        domain=HOME,
        selector=selector or f"fh1-{algorithm}",
        algorithm=algorithm,
        published=f"v=DKIM1; k={algorithm}; p={'A' * 390 if algorithm == 'rsa' else 'B' * 44}",
        state=state,
        made_at=NOW,
        signing_at=None if state is KeyState.waiting else NOW,
        retiring_at=back,
        retired_at=NOW if state is KeyState.retired else None,
    )


PAIR = (key("rsa"), key("ed25519"))
FACTS = Facts(
    domain=HOME,
    keys=PAIR,
    return_domain="bounce.bakery.example",
    relays=("smtp.relay.example",),
    hello="crm.bakery.example",
    now=NOW,
)
DMARC = "v=DMARC1; p=reject; rua=mailto:reports@bakery.example"
GOOD: dict[tuple[str, str], tuple[str, ...]] = {
    ("fh1-rsa._domainkey.bakery.example", "TXT"): (PAIR[0].published,),
    ("fh1-ed25519._domainkey.bakery.example", "TXT"): (PAIR[1].published,),
    ("bounce.bakery.example", "TXT"): ("v=spf1 include:spf.relay.example -all",),
    ("spf.relay.example", "TXT"): ("v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 ~all", "other text"),
    ("_dmarc.bakery.example", "TXT"): (DMARC,),
    ("bounce.bakery.example", "MX"): ("10 crm.bakery.example",),
    ("bakery.example", "MX"): ("10 mx.bakery.example", "20 mx2.bakery.example"),
    ("smtp.relay.example", "A"): ("192.0.2.7",),
    ("7.2.0.192.in-addr.arpa.", "PTR"): ("out.relay.example",),
    ("out.relay.example", "A"): ("192.0.2.7",),
    ("_mta-sts.bakery.example", "TXT"): ("v=STSv1; id=20261101",),
    ("_mta-sts.bounce.bakery.example", "TXT"): ("v=STSv1; id=20261101;",),
    ("_smtp._tls.bakery.example", "TXT"): ("v=TLSRPTv1; rua=mailto:tls@bakery.example",),
    ("_smtp._tls.bounce.bakery.example", "TXT"): ("v=TLSRPTv1;rua=mailto:tls@bakery.example",),
}


class Script:
    """DNS as it is written here; what is not there does not exist."""

    def __init__(self, says: dict[tuple[str, str], tuple[str, ...] | None]) -> None:
        self.says = {
            Question(name.rstrip("."), kind): value for (name, kind), value in says.items()
        }

    async def ask(self, question: Question) -> Answer:
        found = self.says.get(question, ())
        return Answer(failed="SERVFAIL") if found is None else Answer(found)


async def judged(says: dict[Any, Any] | None = None, **facts: Any) -> Judgement:
    return await look(structs.replace(FACTS, **facts), Script({**GOOD, **(says or {})}))


async def test_all_is_well() -> None:
    found = await judged()
    assert found.findings == ()
    assert found.shown == {"fh1-rsa", "fh1-ed25519"}


RSA = ("fh1-rsa._domainkey.bakery.example", "TXT")
SPF = ("bounce.bakery.example", "TXT")
POLICY = ("_dmarc.bakery.example", "TXT")
STS = ("_mta-sts.bakery.example", "TXT")
TLS = ("_smtp._tls.bounce.bakery.example", "TXT")
MANY = {(f"h{n}.example", "TXT"): (f"v=spf1 include:h{n + 1}.example -all",) for n in range(12)}


@pytest.mark.parametrize(
    ("says", "severity", "said"),
    [
        ({RSA: ()}, "blocks", "RSA key fh1-rsa is not in DNS yet"),
        ({RSA: ("v=DKIM1; k=rsa; p=CCCC",)}, "blocks", "another key than ours"),
        ({RSA: ("v=DKIM1; k=rsa; p=",)}, "blocks", "another key than ours"),
        ({RSA: (PAIR[0].published, "v=DKIM1; p=X")}, "blocks", "has 2 TXT records"),
        ({RSA: (PAIR[0].published + "; t=y:s",)}, "advice", "says `t=y`"),
        ({RSA: None}, "blocks", "DNS did not say what TXT records fh1-rsa._domainkey"),
        ({SPF: ()}, "blocks", "has no SPF record"),
        ({SPF: ("v=spf1 -all", "v=spf1 mx -all")}, "blocks", "2 SPF records"),
        ({SPF: ("v=spf1 +all",)}, "blocks", "lets everybody send"),
        ({SPF: ("v=spf1 all",)}, "blocks", "lets everybody send"),
        ({SPF: ("v=spf1 ip4:192.0.2.1",)}, "advice", "refuses nobody"),
        ({SPF: ("v=spf1 ip4:192.0.2.1 ?all",)}, "advice", "refuses nobody"),
        ({SPF: ("v=spf1 ip4:192.0.2.900 -all",)}, "blocks", "which is no SPF"),
        ({SPF: ("v=spf1 ip4:2001:db8::1 -all",)}, "blocks", "which is no SPF"),
        ({SPF: ("v=spf1 inclde:a.example -all",)}, "blocks", "`inclde:a.example`"),
        ({SPF: ("v=spf1 include:none.example -all",)}, "blocks", "which has no SPF record"),
        ({SPF: ("v=spf1 redirect=none.example",)}, "blocks", "which has no SPF record"),
        ({SPF: ("v=spf1 include:h0.example -all",), **MANY}, "blocks", "more than ten lookups"),
        ({SPF: ("v=spf1 a:a.example a:b.example mx:c.example -all",)}, "blocks", "more than two"),
        ({SPF: ("v=spf1 mx ptr -all",)}, "advice", "has `ptr`"),
        ({("spf.relay.example", "TXT"): None}, "blocks", "did not say what TXT records spf.relay"),
        ({POLICY: ()}, "blocks", "bakery.example has no DMARC record"),
        ({POLICY: ("v=spf1 -all",)}, "blocks", "has no DMARC record"),
        ({POLICY: (DMARC, DMARC)}, "blocks", "several DMARC records"),
        ({POLICY: None}, "blocks", "did not say what TXT records _dmarc"),
        ({POLICY: ("v=DMARC1; p=everything",)}, "blocks", "no policy that is known"),
        ({POLICY: ("v=DMARC1; rua=mailto:a@b.example",)}, "advice", "(p=none)"),
        ({POLICY: (DMARC + "; t=y",)}, "advice", "says `t=y`, testing"),
        ({POLICY: (DMARC + "; pct=50",)}, "advice", "has `pct`"),
        ({POLICY: ("v=DMARC1; p=reject",)}, "advice", "asks for no reports"),
        ({POLICY: (DMARC + "; ruf=mailto:a@b.example",)}, "advice", "failure reports (ruf)"),
        ({POLICY: (DMARC + "; aspf=s",)}, "advice", "and relaxed alignment"),
        ({("bakery.example", "MX"): ("0 ",)}, "blocks", "a null MX"),
        ({("bakery.example", "MX"): ()}, "blocks", "neither MX record nor address"),
        ({("bounce.bakery.example", "MX"): ("0 ",)}, "blocks", "a null MX"),
        ({("bounce.bakery.example", "MX"): ()}, "blocks", "bounce.bakery.example takes no mail"),
        ({("smtp.relay.example", "A"): ()}, "advice", "has no address in DNS"),
        ({("smtp.relay.example", "A"): None}, "advice", "did not say what A records smtp.relay"),
        ({("7.2.0.192.in-addr.arpa", "PTR"): ()}, "advice", "no name that leads back"),
        ({("out.relay.example", "A"): ("192.0.2.8",)}, "advice", "no name that leads back"),
        ({STS: ()}, "advice", "read mail to bakery.example"),
        ({STS: ("v=STSv1",)}, "advice", "has no `id`"),
        ({STS: ("v=STSv1; id=1", "v=STSv1; id=2")}, "advice", "several MTA-STS records"),
        ({STS: None}, "advice", "did not say what TXT records _mta-sts"),
        ({TLS: ("v=spf1 -all",)}, "advice", "TLS to bounce.bakery.example fails"),
        ({TLS: ("v=TLSRPTv1",)}, "advice", "names nobody to report to"),
        ({TLS: ("v=TLSRPTv1; rua=mailto:a@b.example",) * 2}, "advice", "several TLS-RPT records"),
    ],
)
async def test_what_is_wrong_is_said(says: dict[Any, Any], severity: str, said: str) -> None:
    found = (await judged(says)).findings
    (named,) = [each for each in found if said in each.text]
    assert named.severity == severity
    # Nothing else is blamed for it.
    assert [each.text for each in found if each.severity is Severity.blocks and each != named] == []


@pytest.mark.parametrize(
    ("states", "says", "expected"),
    [
        ((), {}, [("blocks", "no DKIM keys")]),
        ([KeyState.waiting], {RSA: ()}, [("blocks", "not in DNS yet")]),
        ([KeyState.retired, KeyState.signing], {}, [("advice", "retired. Say so in DNS")]),
        ([KeyState.retiring, KeyState.signing], {}, []),
        ([KeyState.retiring, KeyState.signing], {RSA: ()}, [("advice", "still on its way")]),
        ([KeyState.waiting, KeyState.signing], {RSA: ()}, [("advice", "not in DNS yet")]),
    ],
)
async def test_keys_are_judged_by_their_state(
    states: list[KeyState], says: dict[Any, Any], expected: list[tuple[str, str]]
) -> None:
    keys = [key("rsa", state, selector=f"fh{n}-rsa") for n, state in enumerate(states, 1)]
    if len(keys) > 1:
        says = {("fh2-rsa._domainkey.bakery.example", "TXT"): (keys[1].published,), **says}
    found = (await judged(says, keys=tuple(keys))).findings
    assert [each.severity for each in found] == [severity for severity, _ in expected]
    for finding, (_, said) in zip(found, expected, strict=True):
        assert said in finding.text


async def test_a_finding_brings_the_record_to_publish() -> None:
    found = await judged({RSA: (), SPF: (), POLICY: ()})
    records = [each.record for each in found.findings if each.record]
    assert records == [
        Record("fh1-rsa._domainkey.bakery.example", "TXT", PAIR[0].published),
        Record(
            "bounce.bakery.example",
            "TXT",
            "v=spf1 a:smtp.relay.example a:crm.bakery.example -all",
        ),
        Record(
            "_dmarc.bakery.example",
            "TXT",
            "v=DMARC1; p=none; rua=mailto:postmaster@bakery.example",
        ),
    ]
    assert [len(each) for each in records[0].strings] == [255, len(PAIR[0].published) - 255]
    assert records[0].shown.count('"') == 4
    assert "".join(records[0].strings) == PAIR[0].published
    assert strings_of("") == ("",)


@pytest.mark.parametrize(
    ("says", "said", "value"),
    [
        # What there is, with what is wrong put right.
        ({POLICY: (DMARC, DMARC)}, "several DMARC", DMARC),
        (
            {POLICY: ("v=DMARC1; p=everything; adkim=s",)},
            "no policy that is known",
            "v=DMARC1; p=none; adkim=s; rua=mailto:postmaster@bakery.example",
        ),
        ({POLICY: (f"{DMARC}; t=y; pct=5; ruf=mailto:a@b.example",)}, "says `t=y`", DMARC),
        ({POLICY: (DMARC.replace("reject", "none"),)}, "p=none", DMARC.replace("reject", _Q)),
        ({SPF: ("v=spf1 a:x.example ptr -all",)}, "has `ptr`", "v=spf1 a:x.example -all"),
        ({SPF: ("v=spf1 a mx +all",)}, "everybody", "v=spf1 a mx -all"),
        ({SPF: ("v=spf1 ip4:192.0.2.1 ?all x=y",)}, "nobody", "v=spf1 ip4:192.0.2.1 -all x=y"),
        ({SPF: ("v=spf1 oops -all",)}, "`oops`", "v=spf1 a:smtp.relay.example a:{} -all"),
        ({TLS: ()}, "TLS-RPT", "v=TLSRPTv1; rua=mailto:postmaster@bakery.example"),
        ({STS: ()}, "MTA-STS", "v=STSv1; id=20261123T000000Z"),
        ({("bounce.bakery.example", "MX"): ()}, "neither MX", "10 {}."),
        ({("7.2.0.192.in-addr.arpa", "PTR"): ()}, "leads back", "{}."),
    ],
)
async def test_what_is_to_be_published_is_there_to_copy(
    says: dict[Any, Any], said: str, value: str
) -> None:
    """Name, type and value; and published, it is found no more."""
    quiet = {("a.bakery.example", "A"): ("192.0.2.9",), ("x.example", "A"): ("192.0.2.9",)}
    quiet |= {(FACTS.hello, "A"): ("192.0.2.7",)}
    before = (await judged({**quiet, **says})).findings
    (named,) = [each for each in before if said in each.text]
    assert named.record is not None
    assert named.record.value == value.format(FACTS.hello)
    published = {(named.record.name, named.record.type): (named.record.value.rstrip("."),)}
    after = (await judged({**quiet, **says, **published})).findings
    assert [each.text for each in after if each.text == named.text] == []
    assert len(after) <= len(before)


OUT = "192.0.2.7"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", "pass"),
        ("v=spf1 ip4:198.51.100.0/24 -all", "fail"),
        ("v=spf1 ip6:2001:db8::/32 ~all", "softfail"),
        ("v=spf1 ?ip4:192.0.2.7 -all", "neutral"),
        ("v=spf1", "neutral"),
        ("v=spf1 a:out.example -all", "pass"),
        ("v=spf1 a:near.example/24 -all", "pass"),
        ("v=spf1 a:near.example -all", "fail"),
        ("v=spf1 mx:mail.example -all", "pass"),
        ("v=spf1 -mx:mail.example +all", "fail"),
        ("v=spf1 include:other.example -all", "pass"),
        ("v=spf1 include:strict.example ~all", "softfail"),
        ("v=spf1 redirect=other.example", "pass"),
        ("v=spf1 redirect=strict.example", "fail"),
        ("v=spf1 redirect=none.example", "permerror"),
        ("v=spf1 include:none.example -all", "permerror"),
        ("v=spf1 exists:%{i}.allowed.example -all", "pass"),
        ("v=spf1 exists:%{ir}.%{v}.%{d2}.allowed.example -all", "pass"),
        ("v=spf1 exists:%{l}.allowed.example -all", "unknown"),
        ("v=spf1 ptr:example -all", "pass"),
        ("v=spf1 ptr:other -all", "fail"),
        ("v=spf1 include:loop.example -all", "permerror"),
        ("v=spf1 a:v1.example a:v2.example a:v3.example -all", "permerror"),
        ("v=spf1 include:dark.example -all", "unknown"),
        ("v=spf1 all include:dark.example", "pass"),
    ],
)
async def test_an_address_is_let_in_as_rfc_7208_says(record: str, expected: str) -> None:
    says: dict[tuple[str, str], tuple[str, ...] | None] = {
        ("b.example", "TXT"): (record,),
        ("out.example", "A"): (OUT,),
        ("near.example", "A"): ("192.0.2.200",),
        ("mail.example", "MX"): ("10 out.example",),
        ("other.example", "TXT"): ("v=spf1 ip4:192.0.2.7 -all",),
        ("strict.example", "TXT"): ("v=spf1 -all",),
        ("192.0.2.7.allowed.example", "A"): ("127.0.0.2",),
        ("7.2.0.192.in-addr.b.example.allowed.example", "A"): ("127.0.0.2",),
        ("7.2.0.192.in-addr.arpa", "PTR"): ("out.example",),
        ("loop.example", "TXT"): ("v=spf1 include:loop.example -all",),
        ("dark.example", "TXT"): None,
    }
    answers: dict[Question, Answer] = {}
    script = Script(says)
    asked = Zone(answers)
    while (result := spf_of(asked, "b.example", OUT, "crm.example")) and asked.wanted:
        answers |= {each: await script.ask(each) for each in asked.wanted}
        asked = Zone(answers)
    assert result == expected


async def test_the_addresses_of_the_relay_are_compared() -> None:
    """Where staff have said them: SPF has to let them in, and their names have to lead back."""
    good = await judged(relays=(), sends_from=("192.0.2.7",))
    out = ("198.51.100.9", "2001:db8:1::9")
    (spf_said, *ptr) = (await judged(relays=(), sends_from=out)).findings
    soft = {SPF: ("v=spf1 include:spf.relay.example ~all",)}
    lenient = (await judged(soft, relays=(), sends_from=out[:1])).findings[0]

    assert good.findings == ()
    assert spf_said.severity is Severity.blocks
    assert "198.51.100.9 (fail)" in spf_said.text
    # The other one is in the network that the included record names.
    assert "2001:db8:1::9" not in spf_said.text
    assert spf_said.record == Record(
        "bounce.bakery.example", "TXT", "v=spf1 ip4:198.51.100.9 include:spf.relay.example -all"
    )
    assert [each.record and each.record.value for each in ptr] == ["crm.bakery.example."] * 2
    assert lenient.severity is Severity.advice


async def test_what_is_not_known_of_a_relay_here_is_said() -> None:
    """One on this machine: what it hands on from nobody knows, unless staff say it."""
    (found,) = (await judged(relays=("127.0.0.1",))).findings
    assert found.severity is Severity.advice
    assert "is not known here" in found.text


async def test_a_return_domain_of_somebody_else_is_not_aligned() -> None:
    says = {
        ("bounce.other.example", "TXT"): ("v=spf1 ip4:192.0.2.1 -all",),
        ("bounce.other.example", "MX"): ("10 a.example",),
        ("_dmarc.other.example", "TXT"): (DMARC,),
        ("_mta-sts.bounce.other.example", "TXT"): ("v=STSv1; id=1",),
        ("_smtp._tls.bounce.other.example", "TXT"): ("v=TLSRPTv1; rua=mailto:tls@other.example",),
    }
    (found,) = (await judged(says, return_domain="bounce.other.example")).findings
    assert "does not count as bakery.example" in found.text
    assert found.severity is Severity.advice


def zone(says: dict[str, str]) -> Zone:
    class All(dict[Question, Answer]):
        def get(self, question: Question, _default: Any = None) -> Answer:
            text = says.get(question.name)
            return Answer((text,)) if text and question.type == "TXT" else NOTHING

    return Zone(All())


@pytest.mark.parametrize(
    ("domain", "says", "organisation", "policy"),
    [
        # RFC 9989 §4.10: the walk, and which of what it finds is whose.
        ("a.b.example.com", {"example.com": ""}, "example.com", "example.com"),
        ("a.b.example.com", {"b.example.com": "", "example.com": ""}, "example.com", "example.com"),
        (
            "a.b.example.com",
            {"b.example.com": "; psd=n", "example.com": ""},
            *["b.example.com"] * 2,
        ),
        ("example.com", {"example.com": "", "com": "; psd=y"}, "example.com", "example.com"),
        ("a.example.com", {"com": "; psd=y"}, "example.com", "com"),
        ("a.b.c.d.e.f.g.h.i.example", {"d.e.f.g.h.i.example": ""}, *["d.e.f.g.h.i.example"] * 2),
        (
            "a.b.c.d.e.f.g.h.i.example",
            {"c.d.e.f.g.h.i.example": ""},
            "a.b.c.d.e.f.g.h.i.example",
            "",
        ),
        ("nowhere.example", {}, "nowhere.example", ""),
    ],
)
def test_the_tree_is_walked_as_rfc_9989_says(
    domain: str, says: dict[str, str], organisation: str, policy: str
) -> None:
    asked = zone({f"_dmarc.{name}": f"v=DMARC1; p=none{more}" for name, more in says.items()})
    found = walk(asked, domain)
    assert found.organisation == organisation
    assert (found.policy.domain if found.policy else "") == policy


def test_lookups_are_counted_as_rfc_7208_says() -> None:
    found = spf(
        zone(
            {
                "a.example": "v=spf1 a mx:b.example exists:%{i}.b.example include:b.example"
                " redirect=c.example",
                "b.example": "v=spf1 ip4:192.0.2.1 -all",
                "c.example": "V=SPF1 ip4:192.0.2.9 ~all",
            }
        ),
        "a.example",
    )
    assert (found.lookups, found.void, found.rest) == (5, 2, "~")


# The resolver, at a server of DNS on this machine ------------------------------------------------


class Server(asyncio.DatagramProtocol):
    """Answers by a table; `None` is never answered."""

    def __init__(self, says: dict[tuple[str, str], list[str] | int | None]) -> None:
        self.says = says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        asked = dns.message.from_wire(data)
        (question,) = asked.question
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        found = self.says.get((name, kind), 3)
        if found is None:
            return
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        if isinstance(found, int):
            answer.set_rcode(dns.rcode.Rcode(found))
        elif found:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def served(says: dict[tuple[str, str], Any]) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Server(says), local_addr=("127.0.0.1", 0)
    )
    try:
        yield f"127.0.0.1#{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def test_records_come_as_they_are() -> None:
    long = PAIR[0].published
    quoted = " ".join(f'"{each}"' for each in strings_of(long))
    says: dict[tuple[str, str], Any] = {
        ("key.example", "TXT"): [quoted],
        ("a.example", "MX"): ["10 Mx.a.example.", "20 b.example."],
        ("null.example", "MX"): ["0 ."],
        ("a.example", "A"): ["192.0.2.1"],
        ("empty.example", "TXT"): [],
        ("broken.example", "TXT"): 2,
        ("silent.example", "TXT"): None,
    }
    async with served(says) as server:
        resolver = Resolver(server, lifetime=0.3)
        asked = [Question(*each) for each in (*says, ("none.example", "TXT"))]
        asked.append(Question(f"{'x' * 64}.example", "TXT"))
        found = await asyncio.gather(*(resolver.ask(each) for each in asked))
    assert [each.records for each in found] == [
        (long,),
        ("10 Mx.a.example", "20 b.example"),
        ("0 ",),
        ("192.0.2.1",),
        *[()] * 5,
    ]
    assert [bool(each.failed) for each in found] == [*[False] * 5, True, True, False, True]


async def test_a_silent_dns_ends_in_findings() -> None:
    class Silent:
        async def ask(self, question: Question) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError(question)

    found = await look(FACTS, Silent(), whole=0.05)
    assert {each.about for each in found.findings} == {"DNS"}
    assert any(each.severity is Severity.blocks for each in found.findings)
    assert found.shown == frozenset()


async def test_a_zone_that_never_ends_is_left() -> None:
    class Endless:
        async def ask(self, question: Question) -> Answer:
            if question.type != "TXT" or not question.name.startswith("n"):
                return NOTHING
            number = int(question.name.partition(".")[0].removeprefix("n"))
            return Answer((f"v=spf1 include:n{number + 1}.x.example -all",))

    facts = structs.replace(FACTS, domain="n1.x.example", return_domain="n1.x.example", keys=())
    found = await look(facts, Endless())
    assert found.findings
