from __future__ import annotations

from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from airflow_edge import __version__
from airflow_edge.settings import SETTINGS, Setting


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
    [
        ("minimum_worker_version", "new"),
        ("minimum_airflow_version", "3.x"),
        ("metrics_retention", "a week"),
        ("disconnect_grace", "nan"),
        ("queue_disconnect_grace", "plc"),
    ],
)
def test_what_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    from airflow_edge.gateway.config import read_config, wrong_settings

    monkeypatch.setenv(f"AIRFLOW__EDGE__{name.upper()}", text)
    assert len(wrong_settings()) == 1
    with pytest.raises(ValueError, match=rf"\[edge\] {name}.*{text}"):
        read_config()


@pytest.mark.parametrize(
    "setting", [one for one in SETTINGS if one.side == "centre" and one.bounds], ids=lambda one: one.name
)
@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e300"])
def test_a_number_that_makes_no_sense_is_said_by_check_and_by_the_gateway(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, setting: Setting, text: str
) -> None:
    from airflow_edge.gateway.app import create_app
    from airflow_edge.gateway.config import wrong_settings

    assert wrong_settings() == []
    monkeypatch.setenv(f"AIRFLOW__EDGE__{setting.name.upper()}", text)
    (wrong,) = wrong_settings()
    assert f"[edge] {setting.name}: '{text}' is not" in wrong
    # Airflow's API server starts all the same, and says to whoever asks who knows more: what is set is not for all.
    answer = TestClient(create_app()).get("/v1/health")
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "airflow edge check" in answer.json()["detail"]
    assert wrong not in answer.json()["detail"]
    assert wrong in caplog.text
