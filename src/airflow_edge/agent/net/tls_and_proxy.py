"""The way to the centre, the same for the link and for HTTPS: TLS with its certificates, and through which proxy."""

from __future__ import annotations

import logging
import os
import re
import ssl
import urllib.request
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from websockets.exceptions import InvalidProxy
from websockets.proxy import parse_proxy

from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.net.no_proxy import is_exempt
from airflow_edge.agent.trust import Trust

log = logging.getLogger(__name__)

NEXT_ADDRESS_AFTER = 0.25
"""Seconds after which the next of a name's addresses is tried beside the last one (RFC 8305, 5); HTTPS does it too."""

_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""A certificate's file as `openssl rehash` names it."""


class _Kept(NamedTuple):
    stamp: object
    """What the files looked like."""
    context: ssl.SSLContext


# The link and HTTPS share one: the system's authorities take up about a megabyte.
_contexts: dict[Trust, _Kept] = {}


def ssl_context(url: str, trust: Trust) -> ssl.SSLContext | None:
    """Trust the system's authorities (or those of SSL_CERT_FILE and SSL_CERT_DIR) and those in `trust`.

    Files that are renewed count from the next call on; if they cannot be used any more, those that were there before.

    :return: None for plain HTTP; the same context as long as the files are the same

    :raises ConfigError: a file cannot be used.
    """
    if not url.startswith("https:"):
        return None
    stamp = _stamp(trust)
    kept = _contexts.get(trust)
    if kept is None or kept.stamp != stamp:
        try:
            context = _new_context(trust)
        except ConfigError as error:
            if kept is None:
                raise
            log.warning("%s; what was there before is used", error)
            context = kept.context
        kept = _contexts[trust] = _Kept(stamp, context)
    return kept.context


def _new_context(trust: Trust) -> ssl.SSLContext:
    context = ssl.create_default_context(capath=_system_folder())
    if trust.ca_file is not None:
        # From Python 3.13 on, an authority has to be made by the letter of RFC 5280. Those of proxies that open TLS
        # often are not; whoever names one means it.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        try:
            context.load_verify_locations(trust.ca_file)
        except OSError as error:
            raise ConfigError(
                f"ca_file {trust.ca_file} cannot be used ({error.strerror or error}); it has to be a readable file of "
                "PEM certificates (--ca-file, AIRFLOW__EDGE__CA_FILE or [edge] ca_file)"
            ) from error
    if trust.client_cert is not None:
        try:
            # Without a password it would ask for one at the terminal.
            context.load_cert_chain(trust.client_cert, trust.client_key, password="")
        except (OSError, ValueError) as error:
            files = " and ".join(str(file) for file in (trust.client_cert, trust.client_key) if file)
            raise ConfigError(
                f"the client certificate {files} cannot be used ({getattr(error, 'strerror', '') or error}); "
                "client_cert and client_key ([edge], --client-cert, --client-key) have to be readable PEM files of a "
                "certificate and its key, without a password"
            ) from error
    elif trust.client_key is not None:
        raise ConfigError("there is a client_key without a client_cert; set both ([edge], --client-cert, --client-key)")
    return context


def _stamp(trust: Trust) -> object:
    return [_look(file) for file in (*trust, Path(ssl.get_default_verify_paths().cafile or os.devnull))]


def _look(file: Path | None) -> object:
    if file is None:
        return None
    try:
        facts = file.stat()
    except OSError as error:
        return error.errno
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


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
    """Give the proxy that HTTPS_PROXY or HTTP_PROXY (or the system) names for the gateway, or None.

    `NO_PROXY` is read as `no_proxy.is_exempt` says; the variables' names may be in lower case, which goes before.

    :raises ConfigError: it is not the URL of an HTTP proxy.
    """
    parts = urlsplit(gateway)
    named = urllib.request.getproxies()
    url = named.get(parts.scheme)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not url or is_exempt(parts.hostname or "", port, named.get("no", "")):
        return None
    # curl takes an address without a scheme for one of an HTTP proxy.
    url = url if "://" in url else f"http://{url}"
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
