"""Measures airflow-edge side by side with its peers, in one run on one machine: `make bench`."""

from __future__ import annotations
