"""A worker behind a real nginx that refuses WebSockets, and then lets them through."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from harness import environments
from harness.airflow import EDGE_EXECUTOR
from harness.nginx import HOW_TO_INSTALL, WITH_UPGRADES, Nginx, find_nginx
from harness.site import Site
from harness.waiting import wait_for
from tests.e2e.world import DAGS, EXECUTOR

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(EXECUTOR != EDGE_EXECUTOR, reason="only our workers link"),
    pytest.mark.skipif(find_nginx() is None, reason=HOW_TO_INSTALL),
    pytest.mark.parametrize("world", ["sqlite"], indirect=True),
]

NAME = "behind-nginx"
QUEUE = "behind-a-proxy"


def transport_at_the_centre(world) -> object:
    workers = json.loads(world.airflow.cli("edge", "list-workers", "-o", "json"))
    return next(worker["transport"] for worker in workers if worker["name"] == NAME)


def run_one(world) -> None:
    run = world.client.wait_for_run(world.client.trigger("proxied"), check=world.check)
    assert run.state == "success"
    assert world.client.xcom(run, "add") == 12
    assert {task.hostname for task in world.client.tasks(run)} == {NAME}
    assert "doubling 2" in world.client.log(run, "double", map_index=1)


def test_work_goes_on_by_long_polling_until_websockets_get_through(world, tmp_path):
    world.client.wait_for_dags(["proxied"])
    blocked = tmp_path / "blocked"
    blocked.touch()
    refusing = f'set $refuse ""; if (-f {blocked}) {{ set $refuse $http_upgrade; }} if ($refuse) {{ return 403; }}'
    servers = [urlsplit(world.airflow.url).netloc]
    with (
        Nginx(tmp_path / "nginx", servers, WITH_UPGRADES + refusing) as nginx,
        Site(tmp_path / "site", venv=environments.worker(), dags=DAGS) as site,
    ):
        site.enroll(nginx.url, world.airflow.enroll_token(queues=[QUEUE]), name=NAME)
        site.start_worker(concurrency=2)
        link = site.status()["link"]
        assert link["transport"] == "long polling"
        assert "WebSockets do not get through" in link["reason"]
        assert transport_at_the_centre(world) == "long polling"
        run_one(world)

        blocked.unlink()
        wait_for(lambda: site.status()["link"]["transport"] == "WebSocket", "the WebSocket", timeout=120)
        assert transport_at_the_centre(world) == "WebSocket"
        run_one(world)
