"""A browser's window before the page, and whatever goes wrong in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Response, expect

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"

PATIENCE = 30_000
"""Milliseconds in which a page shows something; it takes one or two on an idle machine."""
DESKTOP, PHONE = (1440, 900), (360, 740)

OURS = """async () => {
    const moving = document.getAnimations().filter(({effect}) => Number.isFinite(effect?.getComputedTiming().endTime));
    await Promise.allSettled(moving.map(({finished}) => finished));
    const views = document.querySelector('nav[aria-label="Views of edge workers"]');
    const dialogs = document.querySelectorAll('[role=dialog], [role=alertdialog]');
    return axe.run({include: [views.parentElement.parentElement, ...dialogs]});
}"""
"""Around the views it is Airflow's; a dialog is laid over all of it.

What is still being faded in has not its colours yet: axe looks when nothing moves but what moves for ever.
"""
SETTLED = """() => performance.getEntriesByType('resource').some(({name}) => name.includes('/edge_worker/api/'))
    && !document.querySelector('[role=status][aria-label$=loading], [aria-busy=true]')
    && ![...document.querySelectorAll('[role=status]')].some(({textContent}) => textContent.startsWith('Load'))"""


@dataclass
class Window:
    """One page of a browser with a profile of its own, in which somebody has logged in to an Airflow."""

    page: Page
    url: str
    pictures: Path
    troubles: list[str] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    """Those of the REST API so far."""
    expected: re.Pattern[str] | None = None
    """Troubles that belong to the test."""

    def open(self, view: str = "") -> None:
        """Go to a view of ours: `workers/press-7`, say."""
        self.page.goto(f"{self.url}/plugin/edge{'/' if view else ''}{view}")

    def see(self, text: str | re.Pattern[str]) -> None:
        """Wait until the page shows a text."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)

    def settle(self) -> None:
        """Wait until the page has its first answers and says so."""
        expect(self.page.get_by_role("heading", name="Edge workers", level=1)).to_be_visible()
        self.page.wait_for_function(SETTLED)

    def picture(self, name: str) -> Path:
        """Keep what the window shows: among the docs' images if `SCREENSHOTS=1`."""
        folder = IMAGES if os.environ.get("SCREENSHOTS") == "1" else self.pictures
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{name}.png"
        self.page.screenshot(path=file, animations="disabled")
        return file

    def violations(self) -> list[str]:
        """What axe finds fault with in our part of the page."""
        self.page.add_script_tag(path=AXE)
        found: dict[str, Any] = self.page.evaluate(OURS)
        return [
            f"{violation['id']}: {violation['help']}: {node['html'][:200]}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def check(self) -> None:
        """Raise an error if anything went wrong that was not meant to."""
        expected = self.expected
        unexpected = [trouble for trouble in self.troubles if expected is None or not expected.search(trouble)]
        assert not unexpected, "\n".join(unexpected)


@contextmanager
def window(
    browser: Browser,
    url: str,
    pictures: Path,
    *,
    username: str,
    password: str,
    dark: bool = False,
    size: tuple[int, int] = DESKTOP,
) -> Iterator[Window]:
    """Log in to an Airflow as its own page does, with an empty profile."""
    login = {"username": username, "password": password}
    answer = httpx.post(f"{url}/auth/token", json=login, timeout=60, trust_env=False).raise_for_status()
    scheme: Literal["dark", "light"] = "dark" if dark else "light"
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        context.set_default_timeout(PATIENCE)
        context.add_cookies([{"name": "_token", "value": answer.json()["access_token"], "url": url}])
        context.add_init_script(f"localStorage.setItem('theme', '{scheme}')")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        shown = Window(context.new_page(), url, pictures)
        watch(shown)
        yield shown
        shown.check()
    finally:
        context.close()


def watch(shown: Window) -> None:
    """Note what goes wrong in a window, and what the REST API answers."""

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            shown.troubles.append(f"console {message.type}: {message.text} ({message.location.get('url')})")

    def keep(response: Response) -> None:
        if "/edge_worker/api/" in response.url:
            shown.answers.append(response)

    def fail(error: Error) -> None:
        # What is under way when a page is left is given up by the browser; Airflow's own page does not catch that.
        if "signal is aborted" not in str(error):
            shown.troubles.append(f"page error: {error}")

    shown.page.on("console", note)
    shown.page.on("pageerror", fail)
    shown.page.on("response", keep)
