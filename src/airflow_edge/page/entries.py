"""What Airflow's page is told of ours: where it stands and what to load."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from airflow_edge.page.bundle import Bundle
from airflow_edge.protocol.urls import PREFIX

PAGE_PREFIX: Final = f"{PREFIX}/page"
"""Where the files are mounted in Airflow's API server; they find the REST API beside it, under `../api`."""

ROUTE: Final = "edge"
"""The page's place in Airflow's, `/plugin/edge`; `ui/src/place.ts` makes links to it."""

PAGE: Final = "Edge workers"
PANEL: Final = "Why it waits"
"""Names that people read, and under which Airflow looks for what was loaded: `ui/src/main.tsx` sets them."""


def react_apps(bundle: Bundle, base_url: str) -> list[dict[str, Any]]:
    """Give the plugin's `react_apps`.

    :param base_url: `[api] base_url`. Its path stands before each address: only from 3.3 on is one without
        it taken to be below it, and one with it is right for all.
    """
    root = urlsplit(base_url).path.rstrip("/") + PAGE_PREFIX
    common = {
        "bundle_url": f"{root}/{bundle.entry}",
        "icon": f"{root}/icon.svg",
        "icon_dark_mode": f"{root}/icon-dark.svg",
    }
    return [
        {"name": PAGE, "destination": "nav", "category": "admin", "url_route": ROUTE, **common},
        {"name": PANEL, "destination": "task_instance", "url_route": "edge-why", **common},
    ]
