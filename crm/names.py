"""Finds where the name of a relay or an endpoint leads, whatever a name server does not say.

The system's own look-up knows `/etc/hosts` and whatever else a machine is told, but cannot be
called off, and asyncio makes it in the threads that are there for everything else: a few silent
names would stop all other look-ups, files and, at the end, the process. So each name has a thread
of its own here, one at most however many ask, and nobody waits for it longer than is good.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from threading import Lock, Thread
from typing import Any

# Nobody asks for longer than this, even where a session may take a minute to open.
SECONDS = 10.0
# So many names may be silent at once; more are not asked for. Of those that may lead to public
# places only, which any business enters as it likes, half as many: relays are found all the same.
_MOST = 256
# What a gateway or an old kernel takes for the IPv4 address in the last 32 bits (RFC 6052, 4291).
_WRAPPINGS = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))
# Where inside such an address IPv4 lies is a matter of that network alone (RFC 8215).
_OF_ONE_NETWORK = IPv6Network("64:ff9b:1::/48")

Place = tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]


class NameSilent(OSError):
    """No name server answers, or none says yes or no, in time."""


class NameUnknown(OSError):
    """There is no such name."""


class NamePrivate(OSError):
    """The name leads to this machine or into a private network, where it may not lead."""


_asking: dict[tuple[str, int], Future[list[Place]]] = {}
_lock = Lock()


async def places(host: str, port: int, seconds: float) -> list[Place]:
    """Return where to connect to, in the order of preference; raises NameSilent, NameUnknown."""
    return await _places(host, port, seconds, _MOST)


async def _places(host: str, port: int, seconds: float, most: int) -> list[Place]:
    try:
        async with asyncio.timeout(min(seconds, SECONDS)):
            return await asyncio.wrap_future(_asked(host, port, most))
    except TimeoutError:
        raise NameSilent from None
    except socket.gaierror as no:
        known_not = no.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5))
        raise (NameUnknown if known_not else NameSilent) from None
    except UnicodeError:
        raise NameUnknown from None


async def allowed(host: str, port: int, seconds: float, *, local: bool) -> list[Place]:
    """Return the same, and where it is not to be `local` only if all are public: NamePrivate.

    Whoever connects does so to what is returned, and asks nobody again: a name server that answers
    otherwise the next time leads nowhere else.
    """
    found = await _places(host, port, seconds, _MOST if local else _MOST // 2)
    if not local and not public(found):
        raise NamePrivate
    return found


async def connected(host: str, port: int, seconds: float, *, local: bool = True) -> socket.socket:
    """Connect to the first place that answers and is `allowed`, each with its share of the time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    found = await allowed(host, port, seconds, local=local)
    trouble: OSError = NameUnknown()
    for number, (family, kind, protocol, address) in enumerate(found):
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)  # noqa: FBT003  (its only argument)
        try:
            async with asyncio.timeout((until - loop.time()) / (len(found) - number)):
                await loop.sock_connect(sock, address)
        except OSError as no:
            sock.close()
            trouble = no
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise trouble


def public(found: Sequence[Place]) -> bool:
    """Say whether all of these are public."""
    # A zone behind an address says that it is of this link alone.
    return all(is_public(str(address[0]).partition("%")[0]) for *_, address in found)


def is_public(address: str) -> bool:
    """Say whether one machine anywhere has this address; raises ValueError where it is none.

    IPv4 written inside IPv6 is what it stands for: there a gateway or a tunnel leads.
    """
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        if found.is_site_local or found in _OF_ONE_NETWORK:
            return False
        found = _inside(found) or found
    return found.is_global and not found.is_multicast


def _inside(address: IPv6Address) -> IPv4Address | None:
    if any(address in each for each in _WRAPPINGS):
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def _asked(host: str, port: int, most: int) -> Future[list[Place]]:
    with _lock:
        future = _asking.get((host, port))
        if future is None:
            if len(_asking) >= most:
                raise NameSilent
            future = _asking[host, port] = Future()
            # Whoever stops waiting for it must not call it off for the others.
            future.set_running_or_notify_cancel()
            # A daemon: the process does not wait for it to end.
            thread = Thread(target=_ask, args=(host, port, future), daemon=True, name="host name")
            try:
                thread.start()
            except RuntimeError:
                # The system has no more threads.
                del _asking[host, port]
                raise NameSilent from None
    return future


def _ask(host: str, port: int, future: Future[list[Place]]) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except Exception as no:  # noqa: BLE001  (told to whoever asked)
        _forget(host, port)
        future.set_exception(no)
    else:
        _forget(host, port)
        future.set_result([(each[0], each[1], each[2], each[4]) for each in found])


def _forget(host: str, port: int) -> None:
    with _lock:
        del _asking[host, port]
