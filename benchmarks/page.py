"""`python -m benchmarks.page`: how soon the first view of many workers is there, and how evenly it scrolls.

One API server process, workers that are only written down, and the system's Chromium. Beside it, in the same run:
Airflow's own list of Dags, without any.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Locator, Page
from sqlalchemy.orm import sessionmaker

from benchmarks import report
from benchmarks.peers import Ground
from harness import browser, environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR
from harness.database import PostgresServer
from harness.written import WrittenFleet

_PATIENT = {"heartbeat_interval": 3600, "disconnect_grace": "100h"}
"""Nobody is to find out that the workers are not there."""
_SCROLL = """() => new Promise((done) => {
    const all = [...document.querySelectorAll('*')];
    const scrolls = all.filter((one) => one.scrollHeight > one.clientHeight + 100);
    const box = scrolls.find((one) => /auto|scroll/.test(getComputedStyle(one).overflowY)) ?? document.scrollingElement;
    const frames = [];
    let before = performance.now();
    const step = (now) => {
        frames.push(now - before);
        before = now;
        const top = box.scrollTop;
        box.scrollTop += 40;
        if (box.scrollTop === top) done(frames.slice(1));
        else requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--workers", type=int, default=5000, help="written down (%(default)s)")
    parser.add_argument("--times", type=int, default=5, help="how often it is opened (%(default)s)")
    options = parser.parse_args()
    if browser.chromium() is None:
        sys.exit(browser.HOW_TO_INSTALL)
    seconds = measure(options.workers, options.times)
    command = f"python -m benchmarks.page {shlex.join(sys.argv[1:])}".strip()
    record = report.save("page", command=command, settings=vars(options), peers=["edge"], seconds=seconds)
    sys.stdout.write(
        f"{json.dumps(seconds, indent=2)}\nwritten to {record.relative_to(report.RESULTS.parent.parent)}\n"
    )


def measure(workers: int, times: int) -> dict[str, object]:
    """Open the first view again and again, each time with an empty cache, and scroll through it."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        ground = Ground(folder, stack.enter_context(PostgresServer().running()))
        config = {**EDGE_CONFIG, "edge": {**EDGE_CONFIG["edge"], **_PATIENT}}
        airflow = stack.enter_context(
            ground.airflow("edge", venv=environments.centre(), executor=EDGE_EXECUTOR, config=config)
        )
        airflow.start_api_server()
        WrittenFleet(sessionmaker(airflow.database.engine(), expire_on_commit=False)).many(workers)
        usable: list[float] = []
        from_within: list[float] = []
        own: list[float] = []
        frames: list[float] = []
        for _ in range(times):
            username, password = airflow.login
            with browser.logged_in(airflow.url, username=username, password=password) as page:
                page.set_viewport_size({"width": 1440, "height": 900})
                usable.append(_until_seen(page, f"{airflow.url}/plugin/edge", _a_worker(page)))
                frames += [milliseconds / 1000 for milliseconds in page.evaluate(_SCROLL)]
            with browser.logged_in(airflow.url, username=username, password=password) as page:
                page.set_viewport_size({"width": 1440, "height": 900})
                own.append(_until_seen(page, f"{airflow.url}/dags", page.get_by_placeholder("Search Dags")))
                page.get_by_role("button", name="Admin").click()
                entry = page.get_by_role("menuitem", name="Edge workers")
                entry.wait_for()
                began = time.monotonic()
                entry.click()
                _a_worker(page).wait_for()
                from_within.append(time.monotonic() - began)
        return {
            "navigation_to_usable": statistics.median(usable),
            "navigation_to_usable_worst": max(usable),
            "from_another_page": statistics.median(from_within),
            "from_another_page_worst": max(from_within),
            "airflows_list_of_no_dags": statistics.median(own),
            "frame_median": statistics.median(frames),
            "frame_worst": max(frames),
            "frames_over_50_ms": _share(frames, 0.05),
        }


def _a_worker(page: Page) -> Locator:
    """What is there once the workers are, and one can be chosen."""
    return page.get_by_role("checkbox").nth(1)


def _until_seen(page: Page, address: str, sign: Locator) -> float:
    """Seconds from an address, with nothing in the cache, until a sign is seen."""
    began = time.monotonic()
    page.goto(address, wait_until="commit")
    sign.wait_for()
    return time.monotonic() - began


def _share(values: Sequence[float], limit: float) -> float:
    return sum(value > limit for value in values) / len(values)


if __name__ == "__main__":
    main()
