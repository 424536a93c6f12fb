"""Airflow's processes begin with millions of objects that stay: a quarter of a start is search for garbage there."""

from __future__ import annotations

import gc

gc.set_threshold(50_000, 20, 100)
