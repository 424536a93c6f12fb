from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.rules.policy.document import PolicyDocument, read_document
from airflow_edge.rules.policy.effects import (
    MOST_SAID,
    KnownNames,
    ModeChange,
    about_nothing,
    mode_changes,
    unknown_name,
)
from airflow_edge.rules.policy.policy import Policy

KNOWN = KnownNames(
    queues=frozenset({"plc", "lab"}),
    teams=frozenset({"red"}),
    workers=frozenset({"press-7"}),
    dags=frozenset({"press"}),
)
MODES = st.dictionaries(
    st.sampled_from(["plc", "lab", "pcl", "*", "p*", "new-*"]), st.sampled_from(["off", "report", "enforce"])
)


def said(before: dict[str, str], after: dict[str, str]) -> list[tuple[str, str, str, bool]]:
    one, other = (read_document({"modes": modes}) for modes in (before, after))
    return [(found.queue, found.before, found.after, found.weakens) for found in mode_changes(one, other, KNOWN.queues)]


@pytest.mark.parametrize(
    ("before", "after", "changes"),
    [
        (
            {"plc": "enforce"},
            {"pcl": "enforce"},
            [("plc", "enforce", "off", True), ("pcl", "off", "enforce", False)],
        ),
        ({"*": "enforce"}, {"*": "report"}, [("lab", "enforce", "report", True), ("plc", "enforce", "report", True)]),
        ({"new-*": "enforce"}, {}, [("new-*", "enforce", "off", True)]),
        ({"plc": "enforce", "*": "off"}, {"*": "off", "plc": "enforce"}, [("plc", "enforce", "off", True)]),
        ({"plc": "report"}, {"plc": "report"}, []),
    ],
)
def test_which_queues_have_another_mode(before, after, changes) -> None:
    assert said(before, after) == changes


@given(MODES, MODES)
def test_no_known_queue_is_less_protected_and_nobody_says_so(before, after) -> None:
    changes = {queue: (old, new) for queue, old, new, _ in said(before, after)}
    one, other = (Policy(read_document({"modes": modes}), "").mode for modes in (before, after))
    for queue in KNOWN.queues:
        assert changes.get(queue, (one(queue), one(queue))) == (one(queue), other(queue))


@pytest.mark.parametrize(
    ("value", "sentences"),
    [
        ({"modes": {"plc": "enforce", "l*": "report", "*": "off"}}, []),
        (
            {"modes": {"pcl": "enforce"}},
            ["modes: no worker serves queue 'pcl', and no job of it is known; did you mean 'plc'?"],
        ),
        ({"modes": {"zzz-*": "off"}}, ["modes: no worker serves queue 'zzz-*', and no job of it is known"]),
        (
            {
                "rules": [
                    {"who": {"dags": ["press", "p*"], "teams": ["", "red"]}, "may": {"xcoms": ["@run"]}},
                    {"who": {"dags": ["pres"], "workers": ["oven-*"], "teams": ["blue"]}, "may": {"xcoms": ["@run"]}},
                ]
            },
            [
                "rule 2: there is no team 'blue'",
                "rule 2: there is no worker 'oven-*'",
                "rule 2: there is no Dag 'pres'; did you mean 'press'?",
            ],
        ),
    ],
)
def test_what_is_about_nothing_that_there_is(value, sentences) -> None:
    assert about_nothing(read_document(value), KNOWN) == sentences


def test_not_more_is_said_or_looked_at_than_anybody_waits_for() -> None:
    names = frozenset(f"dag-{number}" for number in range(5_000))
    known = KnownNames(queues=frozenset(), teams=frozenset(), workers=frozenset(), dags=names)
    rules = [
        {"who": {"dags": [f"d*{rule}-{one}" for one in range(200)]}, "may": {"xcoms": ["a"]}} for rule in range(50)
    ]
    began = time.process_time()
    assert len(about_nothing(read_document({"rules": rules}), known)) == MOST_SAID + 1
    assert time.process_time() - began < 10


def test_a_name_that_is_asked_about_is_known_or_not() -> None:
    assert unknown_name("dags", "press", KNOWN) is None
    assert unknown_name("queues", "pcl", KNOWN) == (
        "no worker serves queue 'pcl', and no job of it is known; did you mean 'plc'?"
    )


def test_nothing_changes_by_the_same_policy() -> None:
    document = PolicyDocument(modes={"plc": "enforce"})
    assert mode_changes(document, document, KNOWN.queues) == []
    assert not ModeChange(queue="plc", before="off", after="report").weakens
