"""What Airflow's provider discovery reads."""

from __future__ import annotations


def get_provider_info() -> dict[str, object]:
    """Describe this provider; `package-name` must be the distribution's name, or every `airflow` command fails."""
    return {
        "package-name": "airflow-edge",
        "name": "Edge",
        "description": "An edge executor for Apache Airflow 3: workers anywhere, with nothing but outbound HTTPS.",
    }
