"""The provider that this one takes the place of. Both call themselves `edge`, so only one can be installed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from typing import Final

EDGE3: Final = "apache-airflow-providers-edge3"

UNINSTALL_EDGE3: Final = (
    f"airflow-edge takes the place of {EDGE3}, but both are installed: the `airflow edge` commands and the defaults of "
    f"[edge] are still those of {EDGE3}, and airflow-edge does not work. Uninstall it: pip uninstall {EDGE3}"
)
"""What to tell a person who has both."""


@cache
def edge3_is_installed() -> bool:
    """Say whether the other provider is installed, too."""
    try:
        distribution(EDGE3)
    except PackageNotFoundError:
        return False
    return True
