"""The parameters of the REST API's routes that read."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path, Query

from airflow_edge.admin.rest.documents import NO_NUL

LONGEST_PAGE: Final = 1000

Word = Annotated[str, Query(max_length=256, pattern=NO_NUL)]
Id = Annotated[str, Query(max_length=1000, pattern=NO_NUL)]
Name = Annotated[str, Path(max_length=200, pattern=NO_NUL)]
QueueName = Annotated[str, Path(max_length=256, pattern=NO_NUL)]
Search = Annotated[
    str | None, Query(max_length=200, pattern=NO_NUL, description="A part of it in any case, or all with `*` and `?`")
]
Kind = Annotated[str | None, Query(max_length=32, pattern=NO_NUL, description="A kind of what there is to look after")]
MapIndex = Annotated[int, Query(ge=-1, le=2**31 - 1, description="-1 for a task that is not mapped")]
OfTeam = Annotated[str | None, Query(max_length=50, pattern=NO_NUL, description="Only of this team")]
Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="How many to give")]
Offset = Annotated[int, Query(ge=0, le=2**31 - 1, description="How many to leave out before")]


def order_pattern(names: frozenset[str]) -> str:
    """Give the pattern of what a list may be sorted by."""
    return f"^-?({'|'.join(sorted(names))})$"
