"""What a domain's DMARC record should say, and the record that says it."""

from __future__ import annotations

from collections.abc import Iterator

from crm.mail.dmarc import KNOWN_POLICIES, Policy, Walk, asked_for, records_at
from crm.mail.facts import Facts
from crm.mail.sending_domain import About, Finding, Record, Severity
from crm.mail.zone import Zone

_BLOCKS, _ADVICE = Severity.blocks, Severity.advice
# What a domain goes on to that has only asked for reports.
_NEXT = "quarantine"


def dmarc_findings(facts: Facts, zone: Zone, found: Walk) -> Iterator[Finding]:
    """Judge what was found on the way up from a domain."""
    for name in found.several:
        text = f"_dmarc.{name} has several DMARC records, and receivers heed none. Leave one."
        first = Policy(name, records_at(zone, name)[0])
        yield Finding(_BLOCKS, About.dmarc, text, _mended(facts, found, first))
    policy = found.policy
    if policy is None:
        if not found.several and not found.failed:
            text = f"{facts.domain} has no DMARC record. Begin with one that only asks for reports."
            value = f"v=DMARC1; p=none; rua={_report(found)}"
            record = Record(f"_dmarc.{facts.domain}", "TXT", value)
            yield Finding(_BLOCKS, About.dmarc, text, record)
        return
    asked = asked_for(policy, facts.domain)
    where = f"The DMARC record at _dmarc.{policy.domain}"
    if not asked:
        text = f"{where} has no policy that is known: none, quarantine or reject. Write one."
        yield Finding(_BLOCKS, About.dmarc, text, _mended(facts, found, policy))
    elif asked == "none":
        text = (
            f"{where} asks for nothing to be done (p=none). After a month of good reports, "
            "go on to quarantine with this record, and as long after that to reject."
        )
        yield Finding(_ADVICE, About.dmarc, text, _mended(facts, found, policy, _NEXT))
    for text in _wrongs(where, policy.tags, _report(found)):
        yield Finding(_ADVICE, About.dmarc, text, _mended(facts, found, policy))


def _wrongs(where: str, said: dict[str, str], report: str) -> Iterator[str]:
    if said.get("t", "n").lower() == "y":
        yield f"{where} says `t=y`, testing: receivers apply less than its policy. Take it out."
    if "pct" in said:
        yield f"{where} has `pct`, which no longer exists (RFC 9989); `t=y` took its place."
    if not said.get("rua"):
        yield f"{where} asks for no reports, so nobody tells you what fails. Add `rua={report}`."
    if said.get("ruf"):
        yield (
            f"{where} asks for failure reports (ruf), which can carry what your customers wrote "
            "and got. Take that out."
        )


def _report(found: Walk) -> str:
    return f"mailto:postmaster@{found.organisation}"


def _mended(facts: Facts, found: Walk, policy: Policy, asks: str = "") -> Record:
    """Write the record with all put right that is advised; with another policy where one is given.

    The policy for subdomains is the one that changes where it is the one that holds (§4.7).
    """
    said = {"v": "DMARC1", "p": "none"} | policy.tags
    for gone in ("t", "pct", "ruf"):
        said.pop(gone, None)
    said["rua"] = said.get("rua") or _report(found)
    said["p"] = said["p"].lower() if said["p"].lower() in KNOWN_POLICIES else "none"
    if said.get("sp", "none").lower() not in KNOWN_POLICIES:
        said.pop("sp")
    if asks:
        said["sp" if policy.domain != facts.domain and "sp" in said else "p"] = asks
    value = "; ".join(f"{name}={what}" for name, what in said.items())
    return Record(f"_dmarc.{policy.domain}", "TXT", value)
