"""What has to be in DNS before a domain sends: judged from what DNS has said, without asking it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address

from msgspec import Struct

from crm.mail.dmarc import Walk, aligned, asked_for, walk
from crm.mail.sending_domain import OVERLAP, About, DkimKey, Finding, KeyState, Record, Severity
from crm.mail.spf import Spf, spf
from crm.mail.zone import Question, Zone, tags

_BLOCKS, _ADVICE = Severity.blocks, Severity.advice
_IN_USE = {KeyState.waiting, KeyState.signing}
# More addresses of a relay than these are not looked at.
_FEW = 4
_NULL = ""
_LOCAL = {"localhost", ""}


class Facts(Struct, frozen=True):
    """What we know of a domain ourselves."""

    domain: str
    keys: tuple[DkimKey, ...]
    # Where mail comes back: the domain of the envelope's sender, whose SPF counts.
    return_domain: str
    # The hosts that take our mail, and what we call ourselves there; empty where not said.
    relays: tuple[str, ...]
    hello: str
    now: datetime


class Judgement(Struct, frozen=True):
    """What is wrong, and which selectors DNS shows as they have to be."""

    findings: tuple[Finding, ...]
    shown: frozenset[str]


def judge(facts: Facts, zone: Zone) -> Judgement:
    """Judge all there is; it counts only where the zone wants nothing more."""
    shown = frozenset(key.selector for key in facts.keys if _shows(zone, key))
    author = walk(zone, facts.domain)
    findings = [
        *_dkim(facts, zone, shown),
        *_spf(facts, spf(zone, facts.return_domain)),
        *_dmarc(facts, author),
        *_returning(facts, zone, author),
        *_mail(zone, facts.domain, About.mail),
    ]
    needed = dict(zone.failed)
    findings += _relays(facts, zone)
    findings += [_silent(question, why, _BLOCKS) for question, why in needed.items()]
    findings += [
        _silent(question, why, _ADVICE)
        for question, why in zone.failed.items()
        if question not in needed
    ]
    return Judgement(tuple(sorted(findings, key=lambda each: each.severity is _ADVICE)), shown)


def _silent(question: Question, why: str, severity: Severity) -> Finding:
    text = (
        f"DNS did not say what {question.type} records {question.name} has ({why}). "
        "Look whether its name servers answer, then check again."
    )
    return Finding(severity, About.dns, text)


# DKIM -------------------------------------------------------------------------------------------


def _same(record: str, ours: str) -> bool:
    said, due = tags(record), tags(ours)
    return (
        said.get("v", "DKIM1") == "DKIM1"
        and said.get("k", "rsa") == due.get("k")
        and "".join(said.get("p", "").split()) == due.get("p")
    )


def _shows(zone: Zone, key: DkimKey) -> bool:
    records = zone.ask(key.record.name, "TXT").records
    return len(records) == 1 and _same(records[0], key.published)


def _dkim(facts: Facts, zone: Zone, shown: frozenset[str]) -> Iterator[Finding]:
    if not any(key.state in _IN_USE for key in facts.keys):
        text = f"There are no DKIM keys for {facts.domain} yet. Make them here, then publish them."
        yield Finding(_BLOCKS, About.dkim, text)
    signs = any(key.state is KeyState.signing for key in facts.keys)
    for key in facts.keys:
        if key.state in _IN_USE:
            needed = key.state is KeyState.signing or not signs
            yield from _key_in_use(zone, key, _BLOCKS if needed else _ADVICE)
        else:
            yield from _key_before(facts, zone, key, shows=key.selector in shown)


def _key_in_use(zone: Zone, key: DkimKey, severity: Severity) -> Iterator[Finding]:
    name = key.record.name
    answer = zone.ask(name, "TXT")
    records = answer.records
    if answer.failed:
        return
    if not records:
        text = f"The {_named(key)} is not in DNS yet. Publish its record."
        yield Finding(severity, About.dkim, text, key.record)
    elif len(records) > 1:
        text = f"{name} has {len(records)} TXT records, and receivers take any. Leave this one."
        yield Finding(severity, About.dkim, text, key.record)
    elif not _same(records[0], key.published):
        text = f"DNS shows another key than ours at {name}. Put this in its place."
        yield Finding(severity, About.dkim, text, key.record)
    elif "y" in tags(records[0]).get("t", "").split(":"):
        text = f"The record of {name} says `t=y`, as if we were only trying. Take that out."
        yield Finding(_ADVICE, About.dkim, text, key.record)


def _key_before(facts: Facts, zone: Zone, key: DkimKey, *, shows: bool) -> Iterator[Finding]:
    on_its_way = key.retiring_at is not None and facts.now - key.retiring_at < OVERLAP
    if key.state is KeyState.retiring and on_its_way:
        if not shows and not zone.ask(key.record.name, "TXT").failed:
            text = f"The {_named(key)} is gone from DNS, but mail it signed is still on its way."
            yield Finding(_ADVICE, About.dkim, text, key.record)
    elif key.state is KeyState.retiring:
        text = f"The {_named(key)} signs no more and is out of use by now. Retire it."
        yield Finding(_ADVICE, About.dkim, text)
    elif shows:
        text = f"The {_named(key)} is retired. Say so in DNS."
        yield Finding(_ADVICE, About.dkim, text, key.record)


def _named(key: DkimKey) -> str:
    return f"{'RSA' if key.algorithm == 'rsa' else 'Ed25519'} key {key.selector}"


# SPF and the return path ------------------------------------------------------------------------


def _spf(facts: Facts, found: Spf) -> Iterator[Finding]:
    domain = facts.return_domain
    if found.failed:
        return
    if not found.records:
        text = f"{domain} has no SPF record. Publish one that names what hands your mail out."
        yield Finding(_BLOCKS, About.spf, text, _spf_record(facts))
    elif found.wrong:
        text = f"SPF: {found.wrong}. Publish one record with ten lookups or fewer."
        yield Finding(_BLOCKS, About.spf, text)
    elif found.rest == "+":
        text = f"The SPF record of {domain} lets everybody send. End it with `-all`."
        yield Finding(_BLOCKS, About.spf, text)
    elif found.rest in {"", "?"}:
        text = f"The SPF record of {domain} refuses nobody. End it with `-all`."
        yield Finding(_ADVICE, About.spf, text)
    if found.uses_ptr:
        text = "Its SPF record has `ptr`, which many receivers pass over (RFC 7208 §5.5)."
        yield Finding(_ADVICE, About.spf, text)


def _spf_record(facts: Facts) -> Record | None:
    hosts = [host for host in (*facts.relays, facts.hello) if _is_name(host)]
    listed = " ".join(f"a:{host}" for host in dict.fromkeys(hosts))
    return Record(facts.return_domain, "TXT", f"v=spf1 {listed} -all") if listed else None


def _returning(facts: Facts, zone: Zone, author: Walk) -> Iterator[Finding]:
    if facts.return_domain == facts.domain:
        return
    yield from _mail(zone, facts.return_domain, About.returning)
    policy = author.policy
    other = walk(zone, facts.return_domain)
    strict = policy is not None and policy.tags.get("aspf", "r").lower() == "s"
    if policy is not None and not aligned(author, other, strict=strict):
        text = (
            f"Mail comes back to {facts.return_domain}, which does not count as {facts.domain} "
            f"under its DMARC record, so SPF alone proves nothing. Use a name below "
            f"{author.organisation}{', and relaxed alignment' if strict else ''}."
        )
        yield Finding(_ADVICE, About.returning, text)


def _mail(zone: Zone, domain: str, about: About) -> Iterator[Finding]:
    answer = zone.ask(domain, "MX")
    hosts = [record.partition(" ")[2] for record in answer.records]
    if answer.failed:
        return
    if _NULL in hosts:
        text = (
            f"{domain} says that it takes no mail (a null MX, RFC 7505), and receivers refuse mail "
            "from such a domain. Publish an MX record that names your mail server."
        )
        yield Finding(_BLOCKS, about, text)
    elif not hosts and not zone.addresses(domain):
        text = f"{domain} takes no mail: it has neither MX record nor address. Publish an MX."
        yield Finding(_BLOCKS, about, text)


# DMARC ------------------------------------------------------------------------------------------


def _dmarc(facts: Facts, found: Walk) -> Iterator[Finding]:
    for name in found.several:
        text = f"_dmarc.{name} has several DMARC records, and receivers heed none. Leave one."
        yield Finding(_BLOCKS, About.dmarc, text)
    policy = found.policy
    report = f"mailto:postmaster@{found.organisation}"
    if policy is None:
        if not found.several and not found.failed:
            text = f"{facts.domain} has no DMARC record. Begin with one that only asks for reports."
            record = Record(f"_dmarc.{facts.domain}", "TXT", f"v=DMARC1; p=none; rua={report}")
            yield Finding(_BLOCKS, About.dmarc, text, record)
        return
    asked = asked_for(policy, facts.domain)
    where = f"The DMARC record at _dmarc.{policy.domain}"
    if not asked:
        text = f"{where} has no policy that is known: none, quarantine or reject. Write one."
        yield Finding(_BLOCKS, About.dmarc, text)
    elif asked == "none":
        text = (
            f"{where} asks for nothing to be done (p=none). After a month of good reports, "
            "go on to quarantine, and as long after that to reject."
        )
        yield Finding(_ADVICE, About.dmarc, text)
    yield from _dmarc_tags(where, policy.tags, report)


def _dmarc_tags(where: str, said: dict[str, str], report: str) -> Iterator[Finding]:
    if said.get("t", "n").lower() == "y":
        text = f"{where} says `t=y`, testing: receivers apply less than its policy. Take it out."
        yield Finding(_ADVICE, About.dmarc, text)
    if "pct" in said:
        text = f"{where} has `pct`, which no longer exists (RFC 9989); `t=y` took its place."
        yield Finding(_ADVICE, About.dmarc, text)
    if not said.get("rua"):
        text = f"{where} asks for no reports, so nobody tells you what fails. Add `rua={report}`."
        yield Finding(_ADVICE, About.dmarc, text)
    if said.get("ruf"):
        text = (
            f"{where} asks for failure reports (ruf), which can carry what your customers wrote "
            "and got. Take that out."
        )
        yield Finding(_ADVICE, About.dmarc, text)


# Relays -----------------------------------------------------------------------------------------


def _is_name(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host not in _LOCAL and "." in host
    return False


def _relays(facts: Facts, zone: Zone) -> Iterator[Finding]:
    if facts.hello and not _is_name(facts.hello):
        text = f"We call ourselves {facts.hello} to the relay, which is no full host name."
        yield Finding(_ADVICE, About.relay, text)
    for host in dict.fromkeys(facts.relays):
        if _is_name(host):
            yield from _relay(zone, host, zone.addresses(host))
        elif _is_public(host):
            yield from _relay(zone, host, (host,))


def _is_public(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        return False


def _relay(zone: Zone, host: str, addresses: tuple[str, ...]) -> Iterator[Finding]:
    if not addresses and not any(question.name == host for question in zone.failed):
        yield Finding(_ADVICE, About.relay, f"The relay {host} has no address in DNS.")
    for address in addresses[:_FEW]:
        answer = zone.ask(ip_address(address).reverse_pointer, "PTR")
        back = [name for name in answer.records[:_FEW] if address in zone.addresses(name)]
        if answer.failed or back:
            continue
        text = (
            f"The address {address} of the relay {host} has no name that leads back to it. If "
            "mail goes out from there, receivers refuse it: set its PTR record, and the name's A."
        )
        yield Finding(_ADVICE, About.relay, text)
