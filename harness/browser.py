"""The system's own Chromium, driven by Playwright, as a person in front of Airflow's pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

HOW_TO_INSTALL = "Chromium is not installed; the tests in a browser need it (Debian: apt-get install chromium)"

TIMEOUT = 120.0
"""Seconds for a page to show something; it takes two on an idle machine."""


def chromium() -> str | None:
    """Give the program, if it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def launched(playwright: Playwright) -> Iterator[Browser]:
    """Start the browser."""
    arguments = ["--headless", "--no-sandbox", "--disable-background-networking", "--disable-gpu"]
    browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
    try:
        yield browser
    finally:
        browser.close()


@contextmanager
def logged_in(url: str, *, username: str, password: str) -> Iterator[Page]:
    """Open a browser with an empty profile, as this user of this Airflow."""
    login = {"username": username, "password": password}
    answer = httpx.post(f"{url}/auth/token", json=login, timeout=60, trust_env=False).raise_for_status()
    with sync_playwright() as playwright, launched(playwright) as browser:
        context = browser.new_context(viewport={"width": 1600, "height": 2000})
        context.set_default_timeout(TIMEOUT * 1000)
        context.add_cookies([{"name": "_token", "value": answer.json()["access_token"], "url": url}])
        yield context.new_page()
