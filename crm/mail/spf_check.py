"""Whether SPF lets one address send, as a receiver works it out (RFC 7208 §4 to §7)."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from msgspec import Struct

from crm.mail.spf import (
    MODIFIER,
    MOST_HOSTS,
    MOST_LOOKUPS,
    MOST_VOID,
    NETWORK,
    TERM,
    records_of,
)
from crm.mail.zone import Zone

PASSES = "pass"
# DNS has not said all of it, or it depends on the single mail.
UNKNOWN = "unknown"
_NONE, _NEUTRAL, _BROKEN = "none", "neutral", "permerror"
_RESULTS = {"": PASSES, "+": PASSES, "-": "fail", "~": "softfail", "?": _NEUTRAL}
_MACRO = re.compile(
    r"%\{(?P<what>[a-z])(?P<keep>\d*)(?P<turn>r?)(?P<cuts>[.+,/_=-]*)\}|%[%_-]", re.IGNORECASE
)
_PLAIN = {"%%": "%", "%_": " ", "%-": "%20"}


class _Broken(Exception):
    """Receivers give up on this record."""


class _Unknown(Exception):
    """It depends on what nobody knows beforehand."""


class _Asked(Struct):
    """One receiver's look at the record for one address."""

    zone: Zone
    address: IPv4Address | IPv6Address
    sender: str
    hello: str
    lookups: int = 0
    void: int = 0
    failed: bool = False

    def ask(self, name: str, kind: str) -> tuple[str, ...]:
        answer = self.zone.ask(name, kind)
        self.failed |= bool(answer.failed)
        return answer.records

    def looked_up(self) -> None:
        self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            raise _Broken

    def found(self, records: tuple[str, ...]) -> tuple[str, ...]:
        # While something is still wanted or has failed, nobody knows that nothing is there.
        if not records and not self.zone.wanted and not self.failed:
            self.void += 1
            if self.void > MOST_VOID:
                raise _Broken
        return records


def spf_of(zone: Zone, domain: str, address: str, hello: str) -> str:
    """Return what SPF comes to for mail from an address: `pass`, `fail`, `softfail`, and so on.

    UNKNOWN where DNS has not answered, or the record asks for what differs with each mail.
    """
    asked = _Asked(zone, ip_address(address), domain, hello)
    try:
        result = _check(asked, domain)
    except _Broken:
        result = _BROKEN
    except _Unknown:
        return UNKNOWN
    return UNKNOWN if zone.wanted or asked.failed else result


def _check(asked: _Asked, domain: str) -> str:
    """Work out `check_host` (§4)."""
    records = records_of(asked.ask(domain, "TXT"))
    if not records:
        return _NONE
    if len(records) > 1:
        raise _Broken
    redirect = ""
    for term in records[0].split()[1:]:
        if modifier := MODIFIER.fullmatch(term):
            if modifier["name"].lower() == "redirect":
                redirect = modifier["value"]
        elif _matches(asked, domain, term):
            return _RESULTS[term[0] if term[0] in _RESULTS else ""]
    if not redirect:
        return _NEUTRAL
    asked.looked_up()
    result = _check(asked, _filled(asked, domain, redirect))
    if result == _NONE and not asked.zone.wanted and not asked.failed:
        raise _Broken
    return result


def _matches(asked: _Asked, domain: str, term: str) -> bool:
    """Say whether a mechanism is about the address (§5)."""
    if network := NETWORK.fullmatch(term):
        try:
            return asked.address in ip_network(network["network"], strict=False)
        except ValueError:
            raise _Broken from None
    mechanism = TERM.fullmatch(term)
    if mechanism is None:
        raise _Broken
    what = mechanism["what"].lower()
    if what == "all":
        return True
    asked.looked_up()
    where = _filled(asked, domain, mechanism["where"] or domain)
    if what == "include":
        return _includes(asked, where)
    if what == "exists":
        return bool(asked.found(asked.ask(where, "A")))
    if what == "ptr":
        return _is_named(asked, where)
    hosts = _hosts(asked, where) if what == "mx" else (where,)
    prefix = _prefix(mechanism["prefix"], asked.address)
    return any(_near(asked, host, prefix, void=what == "a") for host in hosts)


def _includes(asked: _Asked, where: str) -> bool:
    result = _check(asked, where)
    if result == _NONE and not asked.zone.wanted and not asked.failed:
        raise _Broken
    return result == PASSES


def _hosts(asked: _Asked, where: str) -> tuple[str, ...]:
    records = asked.found(asked.ask(where, "MX"))
    if len(records) > MOST_HOSTS:
        raise _Broken
    return tuple(record.partition(" ")[2] for record in records)


def _near(asked: _Asked, host: str, prefix: int, *, void: bool) -> bool:
    records = asked.ask(host, _family(asked))
    if void:
        asked.found(records)
    return any(asked.address in ip_network(f"{each}/{prefix}", strict=False) for each in records)


def _prefix(text: str, address: IPv4Address | IPv6Address) -> int:
    """Read `/24//64`, the lengths for both families."""
    four, _, six = text.partition("//")
    given = four.removeprefix("/") if isinstance(address, IPv4Address) else six
    length = int(given) if given else address.max_prefixlen
    if length > address.max_prefixlen:
        raise _Broken
    return length


def _is_named(asked: _Asked, where: str) -> bool:
    """Say whether a name of the address is below a domain, and leads back to it (§5.5)."""
    names = asked.ask(asked.address.reverse_pointer, "PTR")[:MOST_HOSTS]
    below = [each for each in names if f".{each.lower()}".endswith(f".{where.lower()}")]
    kind = _family(asked)
    return any(str(asked.address) in asked.ask(each, kind) for each in below)


def _family(asked: _Asked) -> str:
    return "A" if isinstance(asked.address, IPv4Address) else "AAAA"


def _filled(asked: _Asked, domain: str, text: str) -> str:
    """Fill in macros (§7)."""
    return _MACRO.sub(lambda found: _value(asked, domain, found), text)


def _value(asked: _Asked, domain: str, found: re.Match[str]) -> str:
    if found["what"] is None:
        return _PLAIN[found[0]]
    values = {
        "d": domain,
        "o": asked.sender,
        "h": asked.hello,
        "v": "in-addr" if isinstance(asked.address, IPv4Address) else "ip6",
        "i": _dotted(asked.address),
    }
    value = values.get(found["what"].lower())
    if not value:
        # The sender's local part and the like differ with each mail.
        raise _Unknown
    parts = re.split(f"[{re.escape(found['cuts'] or '.')}]", value)
    if found["turn"]:
        parts.reverse()
    return ".".join(parts[-int(found["keep"]) :] if found["keep"] else parts)


def _dotted(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return ".".join(address.exploded.replace(":", ""))
