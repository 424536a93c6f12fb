"""Column types that mean the same on every database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import Boolean, DateTime, Dialect, Enum, LargeBinary, SQLColumnExpression, String, Text, bindparam, cast
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
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
_PART_OF_GLOB: Final = re.compile(r"\[.\]|.", re.DOTALL)
_LIKE: Final = {"*": "%", "?": "_"}


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
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def collation_by_bytes(dialect: Dialect) -> str | None:
    """Give the collation under which texts are equal only if their bytes are; None where it is so anyway.

    MySQL compares without regard to case, accents and trailing blanks unless it is told otherwise (from 8.0.17 on).
    """
    if dialect.name != "mysql":
        return None
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


class ExactText(TypeDecorator[str]):
    """Text that the database compares as Python does: for names."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Name the collation where the database's own would not do."""
        if collation := collation_by_bytes(dialect):
            return dialect.type_descriptor(mysql.VARCHAR(self.length, charset="utf8mb4", collation=collation))
        return dialect.type_descriptor(String(self.length))


class _Glob(TypeDecorator[str]):
    """A glob, as the database's own operator wants it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Translate it for LIKE, which takes `%` and `_`, wherever there is no GLOB."""
        if value is None or dialect.name == "sqlite":
            return value
        return _PART_OF_GLOB.sub(lambda part: _LIKE.get(part[0]) or _literally(part[0][len(part[0]) // 2]), value)


class fits(FunctionElement[bool]):  # noqa: N801 - a function of SQL
    """Whether a text is like a glob, by its bytes: SQLite's own LIKE takes `a` for `A`, and so may MySQL's.

    `*` stands for any characters and `?` for one; what is to stand for itself has to go through `glob.escape`.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, text: SQLColumnExpression[Any], glob: str) -> None:
        super().__init__(text, bindparam(None, glob, type_=_Glob(), unique=True))


@compiles(fits)
def _like(element: fits, compiler: SQLCompiler, **options: Any) -> str:
    text, glob = element.clauses
    if collation := collation_by_bytes(compiler.dialect):
        text = cast(text, mysql.CHAR(charset="utf8mb4")).collate(collation)
    return compiler.process(text.like(glob, escape="\\"), **options)


@compiles(fits, "sqlite")
def _glob(element: fits, compiler: SQLCompiler, **options: Any) -> str:
    text, glob = element.clauses
    return compiler.process(text.op("GLOB")(glob), **options)


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


def _literally(character: str) -> str:
    return f"\\{character}" if character in "\\%_" else character


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
