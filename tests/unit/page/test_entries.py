from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_edge.page.bundle import Bundle
from airflow_edge.page.entries import DAG_PANEL, PAGE, PANEL, ROUTE, places, react_apps

UI = Path(__file__).parents[3] / "ui" / "src"
BUNDLE = Bundle("edge-Ab3_-9xY.js", {})


@pytest.mark.parametrize(
    ("base_url", "root"),
    [
        ("http://localhost:8080", ""),
        ("https://airflow.example.org/", ""),
        ("https://airflow.example.org/sub/path/", "/sub/path"),
        ("/sub", "/sub"),
        ("", ""),
    ],
)
def test_its_address_stands_below_airflows(base_url, root):
    apps = react_apps(BUNDLE, base_url)
    assert {app["bundle_url"] for app in apps} == {f"{root}/edge_worker/page/edge-Ab3_-9xY.js"}
    assert {app["icon"] for app in apps} == {f"{root}/edge_worker/page/icon.svg"}


def test_there_is_a_page_and_a_panel_and_no_two_share_a_place():
    apps = react_apps(BUNDLE, "")
    assert {(app["name"], app["destination"]) for app in apps} == {(PAGE, "nav"), (PANEL, "task_instance")}
    assert len({app["url_route"] for app in apps}) == len(apps)


def test_a_dag_has_a_panel_where_airflow_has_a_place_for_it():
    assert {"nav", "task_instance"} <= places()
    assert DAG_PANEL not in {app["name"] for app in react_apps(BUNDLE, "")}
    shown = react_apps(BUNDLE, "", {*places(), "dag_overview"})
    assert (DAG_PANEL, "dag_overview") in {(app["name"], app["destination"]) for app in shown}
    assert len({app["url_route"] for app in shown}) == len(shown)


def test_airflow_knows_each_field():
    from airflow.api_fastapi.core_api.datamodels.plugins import ReactAppResponse

    for app in react_apps(BUNDLE, "", places()):
        assert app.keys() <= ReactAppResponse.model_fields.keys()
        ReactAppResponse.model_validate(app)


def test_what_is_loaded_sets_the_names_that_airflow_looks_for():
    source = (UI / "main.tsx").read_text(encoding="utf-8")
    assert set(re.findall(r'^ {2}"([^"]+)": gone', source, re.MULTILINE)) == {PAGE, PANEL, DAG_PANEL}


def test_links_lead_to_the_same_route():
    assert f'"/plugin/{ROUTE}"' in (UI / "place.ts").read_text(encoding="utf-8")
