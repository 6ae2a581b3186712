"""Who may hand mail on, as DNS says: SPF of the return path, and the names of addresses."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from crm.mail.facts import Facts
from crm.mail.sending_domain import About, Finding, Record, Severity
from crm.mail.spf import MODIFIER, NETWORK, TERM, Spf, spf
from crm.mail.spf_check import PASSES, UNKNOWN, spf_of
from crm.mail.zone import Zone
from crm.names import is_public

_BLOCKS, _ADVICE = Severity.blocks, Severity.advice
# More addresses of a relay than these are not looked at.
_FEW = 4
_LOCAL = {"localhost", ""}


def spf_findings(facts: Facts, zone: Zone) -> Iterator[Finding]:
    """Judge the record by itself."""
    domain = facts.return_domain
    found = spf(zone, domain)
    if found.failed:
        return
    if not found.records:
        text = f"{domain} has no SPF record. Publish one that names what hands your mail out."
        yield Finding(_BLOCKS, About.spf, text, _fresh(facts))
    elif found.wrong:
        text = f"SPF: {found.wrong}. {_instead(facts)}"
        yield Finding(_BLOCKS, About.spf, text, _fresh(facts))
    elif found.rest == "+":
        text = f"The SPF record of {domain} lets everybody send. End it with `-all`."
        yield Finding(_BLOCKS, About.spf, text, _mended(facts, found))
    elif found.rest in {"", "?"}:
        text = f"The SPF record of {domain} refuses nobody. End it with `-all`."
        yield Finding(_ADVICE, About.spf, text, _mended(facts, found))
    if found.uses_ptr and not found.wrong:
        text = "Its SPF record has `ptr`, which many receivers pass over (RFC 7208 §5.5)."
        yield Finding(_ADVICE, About.spf, text, _mended(facts, found))


def _instead(facts: Facts) -> str:
    if _fresh(facts) is None:
        return "Publish one record with ten lookups or fewer."
    return "Put this in its place, with whoever else sends as this domain."


def addresses(facts: Facts, zone: Zone) -> Iterator[Finding]:
    """Compare with the addresses from which mail goes out, where staff have said them."""
    found = spf(zone, facts.return_domain)
    if found.records and not found.wrong and not found.failed:
        yield from _let_in(facts, zone, found)
    for address in facts.sends_from:
        if not _leads_back(zone, address):
            text = (
                f"The address {address}, from which your mail goes out, has no name that leads "
                "back to it, and receivers refuse such mail. Whoever gave you the address sets "
                "this record; the name needs an A or AAAA record with the address."
            )
            yield Finding(_ADVICE, About.relay, text, _named(facts, address))


def _let_in(facts: Facts, zone: Zone, found: Spf) -> Iterator[Finding]:
    said = {
        address: spf_of(zone, facts.return_domain, address, facts.hello)
        for address in facts.sends_from
    }
    outside = [address for address, result in said.items() if result not in {PASSES, UNKNOWN}]
    if outside:
        refused = any(said[address] == "fail" for address in outside)
        results = ", ".join(f"{address} ({said[address]})" for address in outside)
        text = (
            f"Your relay sends from addresses that the SPF record of {facts.return_domain} does "
            f"not let in: {results}. Put them in."
        )
        severity = _BLOCKS if refused else _ADVICE
        yield Finding(severity, About.spf, text, _mended(facts, found, *outside))
    if unknown := [address for address, result in said.items() if result == UNKNOWN]:
        text = (
            f"Whether the SPF record of {facts.return_domain} lets in {', '.join(unknown)} cannot "
            "be told: DNS did not say all of it, or the record asks for what differs by mail."
        )
        yield Finding(_ADVICE, About.spf, text)


def relays(facts: Facts, zone: Zone) -> Iterator[Finding]:
    """Judge relays of which nobody said from where they hand mail on, and what we are called."""
    if facts.hello and not _is_name(facts.hello):
        text = f"We call ourselves {facts.hello} to the relay, which is no full host name."
        yield Finding(_ADVICE, About.relay, text)
    for host in dict.fromkeys(facts.relays):
        if _is_name(host):
            yield from _relay(facts, zone, host, zone.addresses(host))
        elif _is_public(host):
            yield from _relay(facts, zone, host, (host,))
        else:
            text = (
                f"The relay at {host} is on this machine or network. From which addresses it hands "
                "mail on to receivers is not known here, so that neither SPF nor PTR records could "
                "be compared with them. Enter them at the relay."
            )
            yield Finding(_ADVICE, About.relay, text)


def _relay(facts: Facts, zone: Zone, host: str, found: tuple[str, ...]) -> Iterator[Finding]:
    if not found and not any(question.name == host for question in zone.failed):
        yield Finding(_ADVICE, About.relay, f"The relay {host} has no address in DNS.")
    for address in found[:_FEW]:
        if not _leads_back(zone, address):
            text = (
                f"The address {address} of the relay {host} has no name that leads back to it. "
                "Whether mail goes out from there is not known here; if so, receivers refuse it: "
                "set its PTR record, and the name's A. If not, enter at the relay from where."
            )
            yield Finding(_ADVICE, About.relay, text, _named(facts, address))


def _leads_back(zone: Zone, address: str) -> bool:
    """Say whether a name of the address has it; also where DNS does not say."""
    answer = zone.ask(ip_address(address).reverse_pointer, "PTR")
    back = [name for name in answer.records[:_FEW] if address in zone.addresses(name)]
    return bool(answer.failed or back)


def _named(facts: Facts, address: str) -> Record | None:
    if not _is_name(facts.hello):
        return None
    return Record(ip_address(address).reverse_pointer, "PTR", f"{facts.hello}.")


def _fresh(facts: Facts) -> Record | None:
    """Write a record for what we know to hand out our mail."""
    hosts = [host for host in (*facts.relays, facts.hello) if _is_name(host)]
    terms = [*map(_network, facts.sends_from), *(f"a:{host}" for host in dict.fromkeys(hosts))]
    if not terms:
        return None
    return Record(facts.return_domain, "TXT", f"v=spf1 {' '.join(terms)} -all")


def _mended(facts: Facts, found: Spf, *let_in: str) -> Record:
    """Write the record there is without `ptr`, with more addresses, and refusing the rest."""
    version, *terms = found.records[0].split()
    modifiers = [term for term in terms if MODIFIER.fullmatch(term)]
    lenient = found.rest in {"+", "?", ""}
    mechanisms = [
        term
        for term in terms
        if term not in modifiers and not _is(term, "ptr") and not (lenient and _is(term, "all"))
    ]
    if lenient:
        # What follows `all` is never read, and neither is a redirect beside it.
        modifiers = [term for term in modifiers if not term.lower().startswith("redirect=")]
        mechanisms.append("-all")
    value = " ".join([version, *map(_network, let_in), *mechanisms, *modifiers])
    return Record(facts.return_domain, "TXT", value)


def _is(term: str, what: str) -> bool:
    mechanism = None if NETWORK.fullmatch(term) else TERM.fullmatch(term)
    return mechanism is not None and mechanism["what"].lower() == what


def _network(address: str) -> str:
    return f"ip{ip_address(address).version}:{address}"


def _is_name(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host not in _LOCAL and "." in host
    return False


def _is_public(host: str) -> bool:
    try:
        return is_public(host)
    except ValueError:
        return False
