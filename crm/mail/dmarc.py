"""DMARC as receivers read it (RFC 9989): the walk up the tree, the policy, and what is aligned."""

from __future__ import annotations

import re

from msgspec import Struct

from crm.mail.zone import Zone, tags

# A name with more labels is not walked one by one: the walk goes on at seven (§4.10).
_MANY = 8
KNOWN_POLICIES = {"none", "quarantine", "reject"}
_VERSION = re.compile(r"v\s*=\s*DMARC1\s*(;|$)")


class Policy(Struct, frozen=True):
    """A record, and where it was found."""

    domain: str
    record: str

    @property
    def tags(self) -> dict[str, str]:
        """What the record says, by tag."""
        return tags(self.record)


class Walk(Struct, frozen=True):
    """Every record on the way up from a domain, and the domain whose owner is the same."""

    domain: str
    found: tuple[Policy, ...]
    # Where a name has several records; receivers heed none of them (§4.10).
    several: tuple[str, ...]
    organisation: str
    # Whether DNS would not say what is somewhere on the way.
    failed: bool

    @property
    def policy(self) -> Policy | None:
        """The record that holds for mail of the domain (§4.10.1)."""
        by_domain = {each.domain: each for each in self.found}
        above = next((each for each in self.found if each.tags.get("psd") == "y"), None)
        return by_domain.get(self.domain) or by_domain.get(self.organisation) or above


def walk(zone: Zone, domain: str) -> Walk:
    """Walk up the tree from a domain (§4.10): at most eight names are asked."""
    found: list[Policy] = []
    several: list[str] = []
    failed = False
    for name in _names(domain):
        answer = zone.ask(f"_dmarc.{name}", "TXT")
        failed |= bool(answer.failed)
        records = records_at(zone, name)
        if len(records) > 1:
            several.append(name)
        elif records:
            found.append(Policy(name, records[0]))
            if found[-1].tags.get("psd") in {"y", "n"}:
                break
    return Walk(domain, tuple(found), tuple(several), _organisation(domain, found), failed)


def records_at(zone: Zone, name: str) -> list[str]:
    """Return the DMARC records of one name."""
    answer = zone.ask(f"_dmarc.{name}", "TXT")
    return [text for text in answer.records if _VERSION.match(text)]


def aligned(one: Walk, other: Walk, *, strict: bool) -> bool:
    """Say whether two domains count as one: the same name, or the same organisation (§4.4)."""
    return one.domain == other.domain or (not strict and one.organisation == other.organisation)


def asked_for(policy: Policy, domain: str) -> str:
    """Say what the record asks of receivers for mail of a domain; empty where it is no policy.

    A record that names no policy asks for `none`, one with a policy that nobody knows only where
    it says where to report (§4.7).
    """
    said = policy.tags
    name = said.get("p", "none")
    if policy.domain != domain:
        name = said.get("sp", name)
    if name.lower() in KNOWN_POLICIES:
        return name.lower()
    return "none" if said.get("rua") else ""


def _names(domain: str) -> list[str]:
    labels = domain.split(".")
    above = labels[1:] if len(labels) < _MANY else labels[1 - _MANY :]
    return [domain, *(".".join(above[at:]) for at in range(len(above)))]


def _organisation(domain: str, found: list[Policy]) -> str:
    """Name the organisational domain (§4.10.2)."""
    for policy in found:
        if policy.tags.get("psd") == "n":
            return policy.domain
        if policy.tags.get("psd") == "y" and policy.domain != domain:
            depth = len(policy.domain.split(".")) + 1
            return ".".join(domain.split(".")[-depth:])
    return found[-1].domain if found else domain
