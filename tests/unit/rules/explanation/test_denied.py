from __future__ import annotations

from datetime import UTC, date, datetime

from airflow_edge.rules.explanation.denied import (
    MOST_OF_A_TRY,
    NotedDenial,
    TimesDenied,
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
    counted = {("variables", "a"): TimesDenied(12, date(2026, 12, 1)), ("variables", "c"): TimesDenied(1, AT.date())}
    assert in_explanation([denied("a"), denied("b"), denied("c"), denied("", more=2)], counted) == [
        "Denied since 2026-11-30 11:02:03 UTC, 12 times in all runs since that day, last on 2026-12-01: "
        "It may not read variable 'a'.",
        "Denied since 2026-11-30 11:02:03 UTC: It may not read variable 'b'.",
        "Denied since 2026-11-30 11:02:03 UTC, once in all runs since that day, last on 2026-11-30: "
        "It may not read variable 'c'.",
        "The centre's policy denied at least 2 more calls of this task.",
    ]
