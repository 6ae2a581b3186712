"""What has to be in DNS before a domain sends: judged from what DNS has said, without asking it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from crm.mail.dmarc import walk
from crm.mail.facts import Facts
from crm.mail.handing_on import addresses, relays, spf_findings
from crm.mail.policy import dmarc_findings
from crm.mail.sending_domain import OVERLAP, About, DkimKey, Finding, KeyState, Severity
from crm.mail.taking import guarded, taking
from crm.mail.zone import Question, Zone, tags

_BLOCKS, _ADVICE = Severity.blocks, Severity.advice
_IN_USE = {KeyState.waiting, KeyState.signing}


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
        *spf_findings(facts, zone),
        *dmarc_findings(facts, zone, author),
        *taking(facts, zone, author),
    ]
    needed = dict(zone.failed)
    findings += addresses(facts, zone)
    findings += relays(facts, zone)
    findings += guarded(facts, zone, author)
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
