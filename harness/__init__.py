"""Boots real Airflow deployments and edge sites on this machine, for tests, the demo and benchmarks."""

from __future__ import annotations
