"""Whether a domain takes the mail that comes back, and whether anybody could listen on the way."""

from __future__ import annotations

from collections.abc import Iterator

from crm.mail.dmarc import Walk, aligned, walk
from crm.mail.facts import Facts
from crm.mail.sending_domain import About, Finding, Record, Severity
from crm.mail.zone import Zone, tags

_BLOCKS, _ADVICE = Severity.blocks, Severity.advice
_NULL = ""


def taking(facts: Facts, zone: Zone, author: Walk) -> Iterator[Finding]:
    """Judge where answers go, and where bounces do."""
    yield from _returning(facts, zone, author)
    yield from _mail(facts, zone, facts.domain, About.mail)


def guarded(facts: Facts, zone: Zone, author: Walk) -> Iterator[Finding]:
    """Advise TLS on the way back: MTA-STS (RFC 8461), and reports on it (RFC 8460)."""
    for domain in dict.fromkeys((facts.return_domain, facts.domain)):
        hosts = _hosts(zone, domain)
        if not hosts or _NULL in hosts:
            continue
        yield from _strict(facts, zone, domain, hosts)
        yield from _reported(zone, domain, author)


def _returning(facts: Facts, zone: Zone, author: Walk) -> Iterator[Finding]:
    if facts.return_domain == facts.domain:
        return
    yield from _mail(facts, zone, facts.return_domain, About.returning)
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


def _hosts(zone: Zone, domain: str) -> list[str]:
    return [record.partition(" ")[2] for record in zone.ask(domain, "MX").records]


def _mail(facts: Facts, zone: Zone, domain: str, about: About) -> Iterator[Finding]:
    hosts = _hosts(zone, domain)
    if zone.ask(domain, "MX").failed:
        return
    if _NULL in hosts:
        text = (
            f"{domain} says that it takes no mail (a null MX, RFC 7505), and receivers refuse mail "
            "from such a domain. Publish an MX record that names your mail server."
        )
        yield Finding(_BLOCKS, about, text, _server(facts, domain, about))
    elif not hosts and not zone.addresses(domain):
        text = f"{domain} takes no mail: it has neither MX record nor address. Publish an MX."
        yield Finding(_BLOCKS, about, text, _server(facts, domain, about))


def _server(facts: Facts, domain: str, about: About) -> Record | None:
    """What comes back comes to us; who keeps the mailboxes of the sender, we do not know."""
    if about is not About.returning or "." not in facts.hello:
        return None
    return Record(domain, "MX", f"10 {facts.hello}.")


def _strict(facts: Facts, zone: Zone, domain: str, hosts: list[str]) -> Iterator[Finding]:
    name = f"_mta-sts.{domain}"
    answer = zone.ask(name, "TXT")
    said = [text for text in answer.records if tags(text).get("v") == "STSv1"]
    if answer.failed or (len(said) == 1 and tags(said[0]).get("id")):
        return
    record = Record(name, "TXT", f"v=STSv1; id={facts.now:%Y%m%dT%H%M%SZ}")
    if len(said) > 1:
        text = f"{name} has several MTA-STS records, and senders heed none. Leave one."
    elif said:
        text = f"The MTA-STS record {name} has no `id`, and senders pass it over. Put this there."
    else:
        listed = " ".join(f"`mx: {host}`" for host in dict.fromkeys(hosts))
        text = (
            f"Whoever sits between could read mail to {domain}, because nothing tells senders that "
            "TLS is a must (MTA-STS, RFC 8461). Serve a file at "
            f"https://mta-sts.{domain}/.well-known/mta-sts.txt with the lines `version: STSv1`, "
            f"`mode: testing`, {listed}, `max_age: 604800`, then publish this; after a month of "
            "good reports, `mode: enforce` and a new `id`."
        )
    yield Finding(_ADVICE, About.strict_transport, text, record)


def _reported(zone: Zone, domain: str, author: Walk) -> Iterator[Finding]:
    name = f"_smtp._tls.{domain}"
    answer = zone.ask(name, "TXT")
    said = [text for text in answer.records if tags(text).get("v") == "TLSRPTv1"]
    if answer.failed or (len(said) == 1 and tags(said[0]).get("rua")):
        return
    if len(said) > 1:
        text = f"{name} has several TLS-RPT records, and senders heed none. Leave one."
    elif said:
        text = f"The TLS-RPT record {name} names nobody to report to (`rua`). Put this there."
    else:
        text = (
            f"Nobody reports when TLS to {domain} fails (TLS-RPT, RFC 8460), so you would not know "
            "that mail does not come back."
        )
    value = f"v=TLSRPTv1; rua=mailto:postmaster@{author.organisation}"
    yield Finding(_ADVICE, About.tls_reports, text, Record(name, "TXT", value))
