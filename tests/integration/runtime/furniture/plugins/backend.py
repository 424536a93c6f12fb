"""A class for XComs."""

from __future__ import annotations

from airflow.sdk.bases.xcom import BaseXCom
from note import loaded

loaded("backend")


class Marked(BaseXCom):
    """Says that it was there."""

    @staticmethod
    def serialize_value(value, **kwargs):
        return BaseXCom.serialize_value({"marked": value}, **kwargs)
