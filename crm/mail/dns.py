"""Asks DNS what the rules want to know; every question ends in an answer, whatever DNS does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

import dns.asyncresolver
import dns.exception
import dns.rdata
import dns.resolver
from dns.rdtypes.ANY.MX import MX
from dns.rdtypes.ANY.TXT import TXT

from crm.mail.facts import Facts
from crm.mail.judging import Judgement, judge
from crm.mail.zone import NOTHING, Answer, Question, Zone

# Seconds for one question with its repeats, for one packet of it, and for a whole look.
_LIFETIME = 4.0
_TIMEOUT = 1.5
_WHOLE = 20.0
_AT_ONCE = 16
# A look asks little; what asks more is a trap.
_MOST = 200


class Asks(Protocol):
    """Whatever answers questions of DNS."""

    async def ask(self, question: Question) -> Answer:
        """Answer; never with an exception."""
        ...


class Resolver:
    """DNS by the servers of this machine, or by others, which are IP addresses or `IP#PORT`."""

    def __init__(self, servers: str = "", *, lifetime: float = _LIFETIME) -> None:
        own = [each.strip() for each in servers.split(",") if each.strip()]
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not own)
        except dns.resolver.NoResolverConfiguration:
            # Then every question ends in that nobody is there to answer.
            self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [_server(each) for each in own] or self._resolver.nameservers
        self._resolver.timeout = min(_TIMEOUT, lifetime)
        self._resolver.lifetime = lifetime
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def ask(self, question: Question) -> Answer:
        """Ask once; an answer that it does not get says why."""
        async with self._room:
            try:
                found = await self._resolver.resolve(
                    question.name, question.type, search=False, raise_on_no_answer=False
                )
            except dns.resolver.NXDOMAIN:
                return NOTHING
            except dns.exception.Timeout:
                return Answer(failed="no answer in time")
            except (dns.exception.DNSException, OSError, ValueError) as wrong:
                return Answer(failed=type(wrong).__name__)
        return Answer(tuple(sorted(_text(each) for each in found.rrset or ())))


async def look(facts: Facts, resolver: Asks, *, whole: float = _WHOLE) -> Judgement:
    """Judge a domain, asking until the rules want nothing more; it ends within `whole` seconds.

    What was not answered by then counts as not answered.
    """
    answers: dict[Question, Answer] = {}
    until = asyncio.get_running_loop().time() + whole
    while True:
        zone = Zone(answers)
        judgement = judge(facts, zone)
        if not zone.wanted:
            return judgement
        answers |= await _asked(list(zone.wanted), resolver, until, room=_MOST - len(answers))


async def _asked(
    wanted: Iterable[Question], resolver: Asks, until: float, *, room: int
) -> dict[Question, Answer]:
    left = until - asyncio.get_running_loop().time()
    asking = {
        question: asyncio.ensure_future(resolver.ask(question))
        for question in list(wanted)[: max(room, 0)]
        if left > 0
    }
    if asking:
        _, late = await asyncio.wait(asking.values(), timeout=left)
        for each in late:
            each.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    return {
        question: asking[question].result()
        if question in asking and not asking[question].cancelled()
        else Answer(failed="no answer in time")
        for question in wanted
    }


def _server(text: str) -> dns.nameserver.Nameserver:
    address, _, port = text.partition("#")
    return dns.nameserver.Do53Nameserver(address, int(port or 53))


def _text(found: dns.rdata.Rdata) -> str:
    if isinstance(found, TXT):
        return b"".join(found.strings).decode("latin-1")
    if isinstance(found, MX):
        return f"{found.preference} {found.exchange.to_text(omit_final_dot=True).strip('.')}"
    return found.to_text().rstrip(".")
