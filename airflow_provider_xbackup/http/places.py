"""Where on the network an address lies: no server elsewhere may send us to this machine or into its networks."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from enum import Enum

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_EMBEDDED = ipaddress.ip_network("::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Place(Enum):
    """A part of the network, in the words of an error."""

    INTERNET = "the internet"
    THIS_MACHINE = "this machine itself"
    LINK_LOCAL = "a link-local address, where clouds hand out credentials"
    PRIVATE_NETWORK = "an address of a private network"


def place_of(address: str) -> Place:
    """Tell where an address lies.

    :param address: an IP address in its usual notation, brackets and zone allowed
    :raises ValueError: when it is no address
    """
    ip = _innermost(ipaddress.ip_address(address.strip("[]").partition("%")[0]))
    if ip.is_loopback or ip.is_unspecified:
        # 0.0.0.0 is nobody's address, and a connection to it arrives here.
        return Place.THIS_MACHINE
    if ip.is_link_local:
        return Place.LINK_LOCAL
    return Place.INTERNET if ip.is_global and not ip.is_multicast else Place.PRIVATE_NETWORK


def places_of(hostname: str) -> frozenset[Place]:
    """Tell where a host lies: in all the places its name resolves to, in none if it does not resolve.

    :param hostname: a name or an address
    """
    if is_loopback(hostname):
        return frozenset({Place.THIS_MACHINE})
    with contextlib.suppress(ValueError):
        return frozenset({place_of(hostname)})
    try:
        found = socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(place_of(str(address[0])) for *_, address in found)


def is_loopback(hostname: str) -> bool:
    """Tell whether a host name or address can only mean this machine; no name is looked up."""
    if hostname.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname.strip("[]")).is_loopback
    except ValueError:
        return False


def _innermost(ip: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip in _NAT64 or (ip in _EMBEDDED and int(ip) > 1):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)
