"""What Airflow's page is told of ours: where it stands and what to load."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, get_args
from urllib.parse import urlsplit

from airflow_edge.page.bundle import Bundle
from airflow_edge.protocol.urls import PREFIX

PAGE_PREFIX: Final = f"{PREFIX}/page"
"""Where the files are mounted in Airflow's API server; they find the REST API beside it, under `../api`."""

ROUTE: Final = "edge"
"""The page's place in Airflow's, `/plugin/edge`; `ui/src/place.ts` makes links to it."""

PAGE: Final = "Edge workers"
PANEL: Final = "Why it waits"
DAG_PANEL: Final = "Edge jobs of a Dag"
"""Names that people read, and under which Airflow looks for what was loaded: `ui/src/main.tsx` sets them."""


def places() -> frozenset[str]:
    """Ask Airflow where it shows plugins: only from 3.4 on also within the overview of a Dag."""
    from airflow.api_fastapi.core_api.datamodels.plugins import ReactAppResponse

    return frozenset(get_args(ReactAppResponse.model_fields["destination"].annotation))


def react_apps(
    bundle: Bundle, base_url: str, shown_in: Collection[str] = ("nav", "task_instance")
) -> list[dict[str, Any]]:
    """Give the plugin's `react_apps`.

    :param base_url: `[api] base_url`. Its path stands before each address: only from 3.3 on is one without
        it taken to be below it, and one with it is right for all.
    :param shown_in: `places` of this Airflow, which refuses all plugins if one has a place that it does not know
    """
    root = urlsplit(base_url).path.rstrip("/") + PAGE_PREFIX
    common = {
        "bundle_url": f"{root}/{bundle.entry}",
        "icon": f"{root}/icon.svg",
        "icon_dark_mode": f"{root}/icon-dark.svg",
    }
    apps = [
        {"name": PAGE, "destination": "nav", "category": "admin", "url_route": ROUTE, **common},
        {"name": PANEL, "destination": "task_instance", "url_route": "edge-why", **common},
        {"name": DAG_PANEL, "destination": "dag_overview", "url_route": "edge-dag", **common},
    ]
    return [app for app in apps if app["destination"] in shown_in]
