"""`NO_PROXY` as curl and Go read it, so that a site's one setting means the same to all its programs."""

from __future__ import annotations

import ipaddress
import re

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_exempt(host: str, port: int, exceptions: str) -> bool:
    """Say whether a host is reached without the proxy.

    The exceptions are separated by commas or blanks. Each is

    - `*`: all hosts;
    - a host's name: it and all below it; `.example.org` and `*.example.org` are the same;
    - an address, or a network as `10.0.0.0/8` or `fd00::/8`, for a host that is given as an address;
    - any of these but a network with a port (`example.org:8443`, `[::1]:8443`): only there.

    A dot at the end of a name is of no account, nor are upper and lower case, nor a scheme before it.

    :param host: a name, or an address without brackets
    """
    host = host.lower().rstrip(".")
    address = _address(host)
    return any(_matches(exception.lower(), host, address, port) for exception in re.split(r"[,\s]+", exceptions))


def _matches(exception: str, host: str, address: _Address | None, port: int) -> bool:
    if exception == "*":
        return True
    _, scheme, place = exception.partition("://")
    exception = place.partition("/")[0] if scheme else exception
    if "/" in exception:
        return address is not None and _in_network(address, exception)
    name, wanted_port = _split(exception)
    if wanted_port not in {"", str(port)}:
        return False
    if address is not None:
        return _address(name) == address
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _split(exception: str) -> tuple[str, str]:
    """Give host and port; an address of IPv6 may stand without brackets if it has no port."""
    if exception.startswith("["):
        name, _, port = exception[1:].partition("]")
        return name, port.removeprefix(":")
    if exception.count(":") > 1:
        return exception, ""
    name, _, port = exception.partition(":")
    return name, port


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _in_network(address: _Address, text: str) -> bool:
    try:
        return address in ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
