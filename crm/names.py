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
from ipaddress import ip_address
from threading import Lock, Thread
from typing import Any

# Nobody asks for longer than this, even where a session may take a minute to open.
SECONDS = 10.0
# So many names may be silent at once; more are not asked for.
_MOST = 256

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
    try:
        async with asyncio.timeout(min(seconds, SECONDS)):
            return await asyncio.wrap_future(_asked(host, port))
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
    found = await places(host, port, seconds)
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
    """Say whether all of these are public; IPv4 written as IPv6 is what it stands for."""
    # A zone behind an address says that it is of this link alone.
    addresses = [ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
    mapped = (getattr(each, "ipv4_mapped", None) or each for each in addresses)
    return all(each.is_global for each in mapped)


def _asked(host: str, port: int) -> Future[list[Place]]:
    with _lock:
        future = _asking.get((host, port))
        if future is None:
            if len(_asking) >= _MOST:
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
