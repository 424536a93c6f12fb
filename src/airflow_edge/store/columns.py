"""Column types that mean the same on every database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import DateTime, Dialect, Enum, LargeBinary, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)
Value = TypeVar("Value", bound="DataclassInstance")

LongText = Text().with_variant(mysql.MEDIUMTEXT(), "mysql")
"""Text that may be longer than MySQL's 64 KiB TEXT."""

Blob = LargeBinary(length=2**24 - 1)
"""Bytes that may be longer than MySQL's 64 KiB BLOB; other databases ignore the length."""


_AT_ONCE: Final = 500


def choice(kind: type[Choice], length: int = 16) -> Enum:
    """Give a column type that holds one of these words, of at most `length` characters, as plain text."""
    return Enum(
        kind,
        native_enum=False,
        create_constraint=False,
        length=length,
        values_callable=lambda members: [member.value for member in members],
    )


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC with microseconds, also where the database knows no time zones (SQLite, MySQL)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MySQL for the microseconds it would leave out."""
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Bring the value to UTC.

        :raises ValueError: the datetime is naive.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the datetime {value} has no time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that the value is in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ForeignText(TypeDecorator[str]):
    """Text that came from outside: NUL, which PostgreSQL refuses, becomes U+FFFD, and what is too long is cut."""

    impl = Text
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__()
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose a plain or a bounded text."""
        return dialect.type_descriptor(Text() if self.length is None else String(self.length))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Make the value one that every database takes."""
        return None if value is None else value[: self.length].replace("\0", "\N{REPLACEMENT CHARACTER}")


def to_value(kind: type[Value], row: object, **others: Any) -> Value:
    """Make a plain value of those of a row's columns that are called like its fields.

    :param others: fields that are no such columns, or not as they are
    """
    return kind(**{one.name: getattr(row, one.name) for one in fields(kind) if one.name not in others} | others)


def to_duration(seconds: int | None) -> timedelta | None:
    """Give the duration that a column holds."""
    return None if seconds is None else timedelta(seconds=seconds)


def to_seconds(duration: timedelta | None) -> int | None:
    """Give what a column holds of a duration: whole seconds."""
    return None if duration is None else round(duration.total_seconds())


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Give items a few at a time: databases limit how many values a statement may have."""
    rest = iter(items)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
