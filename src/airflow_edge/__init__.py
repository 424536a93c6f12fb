"""An edge executor for Apache Airflow 3: workers anywhere, with nothing but outbound HTTPS."""

from __future__ import annotations

__version__ = "0.1.0"
