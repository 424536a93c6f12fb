"""Fetches the operator's page as a browser does, and says whether it would be shown."""

from __future__ import annotations

import ssl
from typing import Final
from urllib.parse import urljoin

import httpx

from airflow_edge.checking.advice import PageAnswer
from airflow_edge.page.bundle import Bundle
from airflow_edge.page.entries import react_apps

ANSWER_TIMEOUT: Final = 10.0
"""Seconds for each step of an answer."""
_MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a file that are read: a stranger may send without end."""
_MODULES: Final = frozenset({"text/javascript", "application/javascript", "application/x-javascript"})
"""What is run as a module; any other type is refused by each browser, whatever the content."""
_PROBLEM: Final = "application/problem+json"


def fetch_page(base_url: str, bundle: Bundle, trusted: ssl.SSLContext) -> PageAnswer:
    """Fetch what Airflow's page imports, and what that imports, and compare it with what this installation has.

    :param base_url: Airflow's, as browsers use it: `[api] base_url`
    :param trusted: the authorities of its certificate
    """
    # A module imports the others by their place beside it.
    names = [bundle.entry, *(name for name in sorted(bundle.files) if name.endswith(".js") and name != bundle.entry)]
    entry = base_url
    try:
        entry = urljoin(base_url, react_apps(bundle, base_url)[0]["bundle_url"])
        with httpx.Client(timeout=ANSWER_TIMEOUT, verify=trusted, follow_redirects=True) as client:
            for name in names:
                url = urljoin(entry, name)
                if (trouble := _fetch(client, url, bundle.files[name])) is not None:
                    return trouble
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return PageAnswer(outcome="nothing", url=entry, detail=str(error) or type(error).__name__)
    return PageAnswer(outcome="shown", url=entry)


def _fetch(client: httpx.Client, url: str, expected: bytes) -> PageAnswer | None:
    """Give what is wrong with a file; None if it is what it should be."""
    with client.stream("GET", url) as answer:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if answer.status_code == httpx.codes.NOT_FOUND and kind == _PROBLEM:
            return PageAnswer(outcome="another build", url=url)
        if not answer.is_success:
            return PageAnswer(outcome="cut", url=url, detail=f"status {answer.status_code}")
        if kind not in _MODULES:
            return PageAnswer(outcome="no module", url=url, detail=kind or "no content type")
        if _read(answer) != expected:
            return PageAnswer(outcome="changed", url=url)
    return None


def _read(answer: httpx.Response) -> bytes:
    content = b""
    for part in answer.iter_bytes():
        content += part
        if len(content) > _MOST_BYTES:
            break
    return content
