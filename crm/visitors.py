"""Reads where on the network somebody is, however a program writes it down."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address


def located(host: str) -> IPv4Address | IPv6Address:
    """Read an address; raises ValueError where it is none.

    A program that listens for IPv6 and IPv4 at once writes 203.0.113.9 as ::ffff:203.0.113.9. It is
    the former: all IPv4 would be one network, of no place.
    """
    found = ip_address(host)
    return (found.ipv4_mapped if isinstance(found, IPv6Address) else None) or found
