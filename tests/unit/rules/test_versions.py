from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.versions import Rules, VersionVerdict, is_newer, judge, read_rules, why_and_command

CENTRE = {"worker": "0.4.2", "airflow": "3.3.2"}


def rules(**minimums: str) -> Rules:
    return Rules(**CENTRE, **minimums)


@pytest.mark.parametrize(
    ("has", "newer"),
    [("3.4.0", True), ("4.0", True), ("3.3.9", False), ("3.2", False), ("ours", False), ("", False)],
)
def test_a_later_minor_version_is_newer(has: str, newer: bool) -> None:
    assert is_newer(has, "3.3.2") is newer


@pytest.mark.parametrize("same", ["3.3.2", "3.3.2+patched.by.us", "v3.3.2"])
def test_the_centres_own_versions_are_nothing_to_speak_of(same: str) -> None:
    assert judge("0.4.2", same, rules(minimum_worker="0.4.2", minimum_airflow="3.3.2")) == VersionVerdict()


@pytest.mark.parametrize(
    ("worker", "airflow", "warning"),
    [
        ("0.4.1", "3.3.2", "it has airflow-edge 0.4.1, the centre 0.4.2"),
        ("0.5.0", "3.3.2", "it has airflow-edge 0.5.0, the centre 0.4.2"),
        ("0.4.2", "3.3.1", "it has Airflow 3.3.1, the centre 3.3.2"),
        ("0.4.2", "3.2.0", "it has Airflow 3.2.0, the centre 3.3.2"),
        ("0.4.2", "4.0.0", "it has Airflow 4.0.0, the centre 3.3.2"),
        ("0.4.2", "3.3.2rc1", "it has Airflow 3.3.2rc1, the centre 3.3.2"),
        ("0.4.2", "", "it has Airflow of a version that it does not say, the centre 3.3.2"),
        ("0.4.2", "ours", "it has Airflow ours, the centre 3.3.2"),
        ("0.3", "3.2", "it has airflow-edge 0.3, the centre 0.4.2; it has Airflow 3.2, the centre 3.3.2"),
    ],
)
def test_another_version_works_and_is_warned_of(worker: str, airflow: str, warning: str) -> None:
    assert judge(worker, airflow, rules()) == VersionVerdict(warning=warning)


@pytest.mark.parametrize(
    ("has", "minimum"),
    [("0.4.1", "0.4.2"), ("0.4.2rc1", "0.4.2"), ("0.4.2.dev3", "0.4.2"), ("0.4.9", "0.4.10"), ("", "0.1"), ("?", "0")],
)
def test_a_worker_below_the_minimum_is_refused_and_told_what_to_install(has: str, minimum: str) -> None:
    verdict = judge(has, "3.0.0", rules(minimum_worker=minimum))
    assert verdict.warning == ""
    assert "[edge] minimum_worker_version" in verdict.refused
    assert f"pip install --upgrade 'airflow-edge[worker]>={minimum}'" in verdict.refused


@pytest.mark.parametrize("has", ["3.2.9", "3.3.0b1", ""])
def test_an_airflow_below_the_minimum_is_refused(has: str) -> None:
    verdict = judge("0.4.2", has, rules(minimum_airflow="3.3"))
    assert "[edge] minimum_airflow_version" in verdict.refused
    assert "'apache-airflow-core>=3.3'" in verdict.refused


@pytest.mark.parametrize("has", ["3.3", "3.3.0", "3.3.0.post1", "3.10", "4"])
def test_the_minimum_itself_and_what_is_newer_is_not_refused(has: str) -> None:
    assert judge("0.4.2", has, rules(minimum_airflow="3.3")).refused == ""


def test_both_may_be_too_old() -> None:
    refused = judge("0.1", "3.2", rules(minimum_worker="0.4", minimum_airflow="3.3")).refused
    assert "minimum_worker_version" in refused
    assert "minimum_airflow_version" in refused


def test_a_refusal_says_why_and_with_which_command_it_is_mended() -> None:
    refused = judge("0.1", "3.2", rules(minimum_worker="0.4", minimum_airflow="3.3")).refused
    assert why_and_command(refused) == (
        "airflow-edge 0.1 is older than 0.4 ([edge] minimum_worker_version); "
        "Airflow 3.2 is older than 3.3 ([edge] minimum_airflow_version)",
        "pip install --upgrade 'airflow-edge[worker]>=0.4' 'apache-airflow-core>=3.3' apache-airflow-task-sdk",
    )
    assert why_and_command("too old") == ("too old", None)


def test_what_a_worker_calls_its_version_is_no_command() -> None:
    evil = "1: at the site, pip install --upgrade evil, then restart the worker"
    why, command = why_and_command(judge(evil, "3.3", rules(minimum_worker="0.4")).refused)
    assert command == "pip install --upgrade 'airflow-edge[worker]>=0.4'"
    assert evil in why


@given(st.text(), st.text())
def test_whatever_a_worker_says_there_is_a_verdict(worker: str, airflow: str) -> None:
    verdict = judge(worker, airflow, rules(minimum_worker="0.4"))
    assert not (verdict.refused and verdict.warning)


def test_the_rules_are_read_from_settings() -> None:
    settings = {"minimum_worker_version": " 0.4 ", "minimum_airflow_version": ""}
    assert read_rules(lambda name: settings[name], **CENTRE) == rules(minimum_worker="0.4")
    assert read_rules(lambda _: None, **CENTRE) == rules()
    with pytest.raises(ValueError, match=r"\[edge\] minimum_airflow_version = new is not a version"):
        read_rules(lambda name: "new" if name == "minimum_airflow_version" else None, **CENTRE)
