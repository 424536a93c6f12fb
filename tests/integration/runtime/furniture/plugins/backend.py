"""A class for XComs."""

from __future__ import annotations

from typing import Any

from airflow.sdk.bases.xcom import BaseXCom
from note import loaded

loaded("backend")


class Marked(BaseXCom):
    """Says that it was there."""

    @staticmethod
    def serialize_value(value: Any, **kwargs: Any) -> Any:
        return BaseXCom.serialize_value({"marked": value}, **kwargs)
