from __future__ import annotations

from datetime import UTC, datetime

from airflow_edge.rules.explanation.denied import (
    MOST_OF_A_TRY,
    NotedDenial,
    in_explanation,
    in_log,
    unnamed,
)

AT = datetime(2026, 11, 30, 11, 2, 3, tzinfo=UTC)


def denied(name: str, **fields) -> NotedDenial:
    return NotedDenial(
        **{"at": AT, "sentence": f"It may not read variable '{name}'", "kind": "variables", "name": name, **fields}
    )


def test_each_is_said_once_whichever_gateway_has_noted_it() -> None:
    assert in_log([]) == []
    assert in_log([denied("a"), denied("b"), denied("a", sentence="another version")]) == [
        "It may not read variable 'a'.",
        "It may not read variable 'b'.",
    ]


def test_what_is_not_named_is_counted_by_what_was_told_last() -> None:
    many = [denied(str(number)) for number in range(MOST_OF_A_TRY + 5)]
    said = in_log([*many, denied("", more=1), denied("", more=64)])
    assert len(said) == MOST_OF_A_TRY + 1
    assert said[-1] == f"{unnamed(64)}."
    assert unnamed(1).endswith("1 more call of this task")


def test_an_explanation_says_since_when_and_how_often() -> None:
    counted = {("variables", "a"): 12, ("variables", "c"): 1}
    assert in_explanation([denied("a"), denied("b"), denied("c"), denied("", more=2)], counted) == [
        "Denied since 2026-11-30 11:02:03 UTC, in 12 tries of all runs: It may not read variable 'a'.",
        "Denied since 2026-11-30 11:02:03 UTC: It may not read variable 'b'.",
        "Denied since 2026-11-30 11:02:03 UTC, in one try of all runs: It may not read variable 'c'.",
        "The centre's policy denied at least 2 more calls of this task.",
    ]
