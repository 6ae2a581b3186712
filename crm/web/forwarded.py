"""Which proxies are believed, and a word to the operator of one that speaks and is not."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from crm.visitors import located

_log = structlog.get_logger(__name__)


def believed(proxies: str) -> list[str]:
    """List what CRM_WEB__TRUSTED_PROXIES names, for the server that compares it with a peer.

    A socket that listens for both kinds of addresses has `::ffff:127.0.0.1` ask, not 127.0.0.1.
    """
    named = [each for each in map(str.strip, proxies.split(",")) if each]
    return named + [mapped for each in named if (mapped := _mapped(each))]


def _mapped(proxy: str) -> str:
    network = None if proxy == "*" else ip_network(proxy)
    if not isinstance(network, IPv4Network):
        return ""
    return f"::ffff:{network.network_address}/{96 + network.prefixlen}"


def tells_untrusted(app: ASGIApp) -> ASGIApp:
    """Wrap the whole application: warn, once, of a proxy that CRM_WEB__TRUSTED_PROXIES lacks.

    The server has put in place what a trusted one said, so the address is one of those in the
    header. One that is not, and is ours, is that of the proxy: all visitors share its limits.
    """
    told = False

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal told
        if not told and (proxy := _untrusted(scope)):
            told = True
            _log.warning("proxy_not_trusted", peer=proxy, setting="CRM_WEB__TRUSTED_PROXIES")
        await app(scope, receive, send)

    return answer


def _untrusted(scope: Scope) -> str:
    if scope["type"] != ScopeType.HTTP:
        return ""
    peer = scope.get("client")
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for" and value]
    if not peer or not forwarded or peer[0].encode() in b",".join(forwarded):
        return ""
    return peer[0] if _ours(peer[0]) else ""


def _ours(host: str) -> bool:
    """Say whether an address is of this machine or a private network: no stranger's."""
    try:
        address = located(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private
