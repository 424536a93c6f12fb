from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_edge import __version__


def test_versions_and_retention_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_edge.gateway.config import read_config

    found = read_config()
    assert (found.versions.worker, found.versions.minimum_worker, found.versions.minimum_airflow) == (
        __version__,
        None,
        None,
    )
    assert found.metrics_retention == timedelta(days=7)
    monkeypatch.setenv("AIRFLOW__EDGE__MINIMUM_AIRFLOW_VERSION", "3.2")
    monkeypatch.setenv("AIRFLOW__EDGE__METRICS_RETENTION", "0")
    found = read_config()
    assert (found.versions.minimum_airflow, found.metrics_retention) == ("3.2", timedelta())


@pytest.mark.parametrize(
    ("name", "text"),
    [("minimum_worker_version", "new"), ("minimum_airflow_version", "3.x"), ("metrics_retention", "a week")],
)
def test_what_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    from airflow_edge.gateway.config import read_config

    monkeypatch.setenv(f"AIRFLOW__EDGE__{name.upper()}", text)
    with pytest.raises(ValueError, match=rf"\[edge\] {name}.*{text}"):
        read_config()
