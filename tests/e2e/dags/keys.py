"""Keys with every kind of character, for the edge and, where there is one, for another executor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from airflow.sdk import Variable, dag, task
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowRuntimeError

KEYS = [
    *("semi;colon", ";", "a;b/c;d", "a/b", "//x", "end/", "./a", "a b", "100%", "%2F", "%3B", "x" * 200),
    *("größe", "測定", "🙂", "e\u0301", "\u2028", "\x85"),
    *("a+b", "a&b=c", "quote'\"", "{brace}", "back\\slash", "~^`|<>", "a:b@c", "$(x)", "*"),
    # What Airflow's own client makes another address of.
    *("?", "#"),
]


def outcome(call: Callable[[], Any]) -> str:
    """What a call gives, or what is wrong with it."""
    try:
        return repr(call())
    except AirflowRuntimeError as error:
        return error.error.error.value
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error).__name__


def define(dag_id: str, executor: str | None) -> None:
    @dag(dag_id, schedule=None, default_args={"executor": executor})
    def keys() -> None:
        @task
        def xcoms(ti: Any = None) -> list[list[str]]:
            return [
                [
                    key,
                    outcome(partial(ti.xcom_push, key=key, value=f"of {key}")),
                    outcome(partial(ti.xcom_pull, task_ids=ti.task_id, key=key)),
                ]
                for key in KEYS
            ]

        @task
        def variables() -> list[list[str]]:
            # The other executor's are no business of this one.
            names = [(key, f"{len(dag_id)}{key}") for key in KEYS]
            return [
                [
                    key,
                    outcome(partial(Variable.get, name, default="not there")),
                    outcome(partial(Variable.set, name, f"of {key}")),
                    outcome(partial(Variable.get, name)),
                    outcome(partial(Variable.delete, name)),
                    outcome(partial(Variable.get, name)),
                ]
                for key, name in names
            ]

        @task(multiple_outputs=True)
        def outputs() -> dict[str, int]:
            return {"temp;celsius": 1, "a/b": 2, "größe": 3}

        xcoms()
        variables()
        outputs()

    keys()


define("keys_edge", None)
if "LocalExecutor" in conf.get("core", "executor"):
    define("keys_local", "LocalExecutor")
