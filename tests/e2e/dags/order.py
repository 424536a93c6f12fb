"""What decides whether and in what order tasks run: setup and teardown, task groups, a sensor that is rescheduled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import PokeReturnValue, dag, setup, task, task_group, teardown
from ledger import record


@dag(schedule=None, params={"ledger": ""})
def setup_teardown() -> None:
    @setup
    def make(params: Any = None) -> None:
        record(params["ledger"], what="setup")

    @task
    def use(params: Any = None) -> None:
        record(params["ledger"], what="work")
        raise ValueError("the work fails, and what was set up is torn down all the same")

    @teardown
    def clean(params: Any = None) -> None:
        record(params["ledger"], what="teardown")

    made = make()
    made >> use() >> clean().as_teardown(setups=made)


@dag(schedule=None)
def groups() -> None:
    @task
    def start() -> int:
        return 1

    @task_group
    def outer(n: Any) -> None:
        @task
        def first(n: int) -> int:
            return n + 1

        @task_group
        def inner(n: Any) -> None:
            @task
            def second(n: int) -> int:
                return n * 10

            second(n)

        inner(first(n))

    @task_group
    def each(n: int) -> None:
        @task
        def negate(n: int) -> int:
            return -n

        negate(n)

    outer(start()) >> each.expand(n=[1, 2, 3])


@dag(schedule=None, params={"ledger": ""})
def sensor() -> None:
    @task.sensor(poke_interval=2, timeout=60, mode="reschedule")
    def third_look(params: Any = None) -> PokeReturnValue:
        record(params["ledger"], what="poke")
        looks = len(Path(params["ledger"]).read_text().rstrip("\n").split("\n"))
        return PokeReturnValue(is_done=looks >= 3, xcom_value=looks)

    third_look()


setup_teardown()
groups()
sensor()
