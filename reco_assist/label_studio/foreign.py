"""Images that tasks name on other web servers: fetched without the token, and only from public addresses.

Anybody who may write a task chooses such an address. It must not make this machine ask others that only this
machine reaches, such as a router or a cloud's metadata service. The address is looked up once, judged, and
connected to as it was judged; so is each redirect's.
"""

import socket
from ipaddress import IPv6Address, ip_address
from urllib.parse import urljoin

import httpx

from reco_assist.label_studio.exchange import ExchangeError, Line

_HOPS = 3
_SECONDS = 30


def fetch(url: str, *, most: int, friend: str) -> bytes | None:
    """A file from another web server; None where it is not to be had.

    Args:
        url: Its address, http(s).
        most: Bytes that it may have.
        friend: A host that the user named, which need not be public.
    """
    line = Line(seconds=_SECONDS)
    try:
        for _ in range(_HOPS + 1):
            place = httpx.URL(url)
            if place.scheme not in ("http", "https") or (address := _address(place, friend)) is None:
                return None
            reply = line.ask(
                "GET",
                str(place.copy_with(host=address, username=None, password=None)),
                most=most,
                headers={"Host": place.netloc.decode("ascii")},
                extensions={"sni_hostname": place.host},
            )
            if not reply.location or not 300 <= reply.status < 400:
                return reply.body if reply.status == 200 else None
            url = urljoin(url, reply.location)
    except (ExchangeError, httpx.InvalidURL, ValueError):
        pass
    finally:
        line.close()
    return None


def _address(place: httpx.URL, friend: str) -> str | None:
    """The address of a host; None where it has none, or one that is not public."""
    try:
        port = place.port or (443 if place.scheme == "https" else 80)
        found = [str(one[4][0]) for one in socket.getaddrinfo(place.host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return None
    public = place.host == friend or all(map(_is_public, found))
    return found[0] if found and public else None


def _is_public(address: str) -> bool:
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        ip = ip.ipv4_mapped or ip
    return ip.is_global and not ip.is_multicast
