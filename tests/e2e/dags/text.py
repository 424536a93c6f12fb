"""Names and output that are not ASCII, and a great deal of output."""

from __future__ import annotations

from airflow.sdk import dag, task

LINES = 50_000


@dag(schedule=None)
def loud() -> None:
    @task
    def talk() -> None:
        for number in range(LINES):
            print(f"line {number:05d} of many")

    talk()


@dag("größe_測定", schedule=None)
def non_ascii() -> None:
    @task(task_id="größe_messen")
    def measure() -> dict[str, str]:
        print("Länge 3 µm, 温度 21 °C, 🙂")
        return {"größe": "3 µm", "測定": "済み"}

    measure()


loud()
non_ascii()
