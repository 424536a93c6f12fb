"""A Dag that runs because another has updated an asset."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, Metadata, dag, task

PARTS = Asset(name="parts", uri="file:///parts")


@dag(schedule=None)
def asset_producer() -> None:
    @task(outlets=[PARTS])
    def produce() -> Any:
        yield Metadata(PARTS, extra={"count": 7})

    produce()


@dag(schedule=PARTS)
def asset_consumer() -> None:
    @task
    def consume(triggering_asset_events: Any = None) -> list[Any]:
        return [event.extra for event in triggering_asset_events[PARTS]]

    consume()


asset_producer()
asset_consumer()
