"""SPF as receivers read it (RFC 7208): one record, ten lookups, at most two of them void."""

from __future__ import annotations

import re
from ipaddress import ip_network

from msgspec import Struct

from crm.mail.zone import Zone

MOST_LOOKUPS = 10
MOST_VOID = 2
MOST_HOSTS = 10
TERM = re.compile(
    r"(?P<how>[+?~-]?)(?P<what>all|include|a|mx|ptr|ip4|ip6|exists)"
    r"(?::(?P<where>[^/\s]+))?(?P<prefix>(?:/\d{1,3}){0,1}(?://\d{1,3})?)",
    re.IGNORECASE,
)
NETWORK = re.compile(r"[+?~-]?ip[46]:(?P<network>[0-9a-f:.]+(?:/\d{1,3})?)", re.IGNORECASE)
MODIFIER = re.compile(r"(?P<name>[a-z][a-z0-9._-]*)=(?P<value>\S*)", re.IGNORECASE)


class Spf(Struct):
    """What a domain's record comes to; `wrong` is a sentence, for what makes receivers give up."""

    records: tuple[str, ...] = ()
    failed: bool = False
    lookups: int = 0
    void: int = 0
    # How the rest is treated: `-` refuses it, `+` lets everybody in, nothing is said by "".
    rest: str = ""
    uses_ptr: bool = False
    wrong: str = ""


def spf(zone: Zone, domain: str) -> Spf:
    """Read the record of a domain, and all that it names, as one who finds no match before the end.

    Everything is counted that a receiver might have to look up.
    """
    found = Spf()
    answer = zone.ask(domain, "TXT")
    found.records = records_of(answer.records)
    found.failed = bool(answer.failed)
    if len(found.records) > 1:
        found.wrong = f"{domain} has {len(found.records)} SPF records, and receivers heed none"
    elif found.records:
        found.rest = _walk(zone, domain, found.records[0], found)
    return found


def records_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of a name's texts that are SPF."""
    return tuple(text for text in texts if re.match(r"v=spf1( |$)", text, re.IGNORECASE))


def _walk(zone: Zone, domain: str, record: str, found: Spf) -> str:
    """Follow a record; returns how it treats the rest."""
    rest, redirect = "", ""
    for term in record.split()[1:]:
        if found.wrong:
            return rest
        if modifier := MODIFIER.fullmatch(term):
            if modifier["name"].lower() == "redirect":
                redirect = modifier["value"]
        elif mechanism := TERM.fullmatch(term) if not NETWORK.match(term) else None:
            if mechanism["what"].lower() == "all":
                return mechanism["how"] or "+"
            _follow(zone, domain, mechanism, found)
        elif not _is_network(term):
            found.wrong = f"the SPF record of {domain} has `{term}`, which is no SPF"
    if redirect and not found.wrong:
        _count(found)
        return _other(zone, domain, redirect, found)
    return rest


def _follow(zone: Zone, domain: str, mechanism: re.Match[str], found: Spf) -> None:
    what, where = mechanism["what"].lower(), mechanism["where"] or domain
    if what in {"ip4", "ip6"} or (what in {"include", "exists"} and not mechanism["where"]):
        found.wrong = f"the SPF record of {domain} has `{mechanism[0]}`, which is no SPF"
        return
    _count(found)
    found.uses_ptr |= what == "ptr"
    # What is filled in for each mail cannot be looked up beforehand.
    if "%" in where or found.wrong or what == "ptr":
        return
    if what == "include":
        _other(zone, domain, where, found)
    elif what == "mx":
        hosts = zone.ask(where, "MX").records
        if len(hosts) > MOST_HOSTS:
            found.wrong = f"the SPF record of {domain} has `mx`, and {where} has over ten of them"
        _count_void(zone, found, empty=not hosts)
    else:
        _count_void(zone, found, empty=not zone.addresses(where))


def _other(zone: Zone, domain: str, where: str, found: Spf) -> str:
    if "%" in where:
        return ""
    answer = zone.ask(where, "TXT")
    records = records_of(answer.records)
    if len(records) == 1:
        return _walk(zone, where, records[0], found)
    if not answer.failed and not zone.wanted and not found.wrong:
        many = "no SPF record" if not records else "several SPF records"
        found.wrong = f"the SPF record of {domain} names {where}, which has {many}"
    return ""


def _count(found: Spf) -> None:
    found.lookups += 1
    if found.lookups > MOST_LOOKUPS:
        found.wrong = "its SPF record asks for more than ten lookups, and receivers give up"


def _count_void(zone: Zone, found: Spf, *, empty: bool) -> None:
    # While something is still wanted, or has failed, nobody knows that nothing is there.
    if not empty or zone.wanted or zone.failed:
        return
    found.void += 1
    if found.void > MOST_VOID:
        found.wrong = "its SPF record names more than two hosts that have no address"


def _is_network(term: str) -> bool:
    found = NETWORK.fullmatch(term)
    try:
        network = ip_network(found["network"], strict=False) if found else None
    except ValueError:
        return False
    return network is not None and f"ip{network.version}:" in term.lower()
