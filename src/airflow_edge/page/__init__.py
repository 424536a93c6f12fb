"""The operator's page: what `ui/` is built to, served beside the REST API and named to Airflow's own page."""

from __future__ import annotations
