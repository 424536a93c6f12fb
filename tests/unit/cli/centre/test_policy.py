from __future__ import annotations

from datetime import date

import pytest

from airflow_edge.cli.centre.policy import told
from airflow_edge.store.policy.uses import UseSeen


@pytest.mark.parametrize(
    ("mode", "denied", "refused", "means"),
    [
        ("report", 2, 0, "would be denied"),
        ("enforce", 2, 0, "denied"),
        ("off", 2, 0, "given"),
        ("off", 2, 2, "denied"),
        ("off", 3, 2, "denied 2 times"),
        ("enforce", 0, 0, ""),
    ],
)
def test_what_no_rule_grants_is_denied_only_where_the_policy_is_enforced(mode, denied, refused, means):
    who = {
        "team_name": "",
        "queue": "plc",
        "dag_id": "press",
        "task_id": "read",
        "kind": "connections",
        "name": "plc_7",
    }
    row = told(UseSeen(**who, allowed=1, denied=denied, refused=refused, last_day=date(2026, 11, 30)), mode)
    assert row == {
        **who,
        "granted": 1,
        "not_granted": denied,
        "not_granted_is": means,
        "last_day": "2026-11-30",
    }
