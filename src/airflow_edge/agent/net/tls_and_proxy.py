"""The way to the centre, the same for the link and for HTTPS: whom to trust, and through which proxy to go."""

from __future__ import annotations

import functools
import re
import ssl
from pathlib import Path

from websockets.exceptions import InvalidProxy
from websockets.proxy import get_proxy, parse_proxy
from websockets.uri import parse_uri

from airflow_edge.agent.errors import ConfigError
from airflow_edge.protocol.urls import link_url

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""A certificate's file as `openssl rehash` names it."""


# The link and HTTPS share one: the system's authorities take up about a megabyte.
@functools.cache
def ssl_context(gateway: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """Trust the system's authorities (or those of SSL_CERT_FILE and SSL_CERT_DIR) and those in `ca_file`.

    :return: None for plain HTTP

    :raises ConfigError: `ca_file` cannot be used.
    """
    if not gateway.startswith("https:"):
        return None
    context = ssl.create_default_context(capath=_system_folder())
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise ConfigError(
                f"ca_file {ca_file} cannot be used ({error.strerror or error}); it has to be a readable file of PEM "
                "certificates (--ca-file, AIRFLOW__EDGE__CA_FILE or [edge] ca_file)"
            ) from error
    return context


def _system_folder() -> str | None:
    """Give the folder where each of the system's authorities has a file, of which OpenSSL reads those that it needs.

    None where that is not so: then it reads all of them, which takes up 1.3 MB.
    """
    paths = ssl.get_default_verify_paths()
    if paths.cafile != paths.openssl_cafile or paths.capath != paths.openssl_capath:
        return None
    try:
        bundled = Path(paths.cafile).read_bytes().count(b"-----BEGIN CERTIFICATE-----")
        hashed = sum(bool(_HASHED.fullmatch(file.name)) for file in Path(paths.capath).iterdir())
    except OSError:
        return None
    # Somebody may have added one to the bundle alone.
    return paths.capath if bundled == hashed else None


def proxy_url(gateway: str) -> str | None:
    """Give the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY (or the system) name for the gateway, or None.

    :raises ConfigError: it is not the URL of an HTTP proxy.
    """
    url = get_proxy(parse_uri(link_url(gateway)))
    if url is None:
        return None
    try:
        proxy = parse_proxy(url)
    except (InvalidProxy, ValueError) as error:
        # What the library says names the whole URL, and that may hold a password.
        reason = error.msg if isinstance(error, InvalidProxy) else "it is not a URL"
        raise ConfigError(
            f"the proxy for {gateway} cannot be used: {reason}; HTTPS_PROXY or HTTP_PROXY has to look like "
            "http://user:password@proxy.example.org:3128"
        ) from None
    if proxy.scheme not in {"http", "https"}:
        raise ConfigError(
            f"the proxy for {gateway} is a {proxy.scheme} proxy, and only HTTP proxies are supported; set HTTPS_PROXY "
            "to one, or add the centre to NO_PROXY"
        )
    return url
