"""What a setting of the `[edge]` section is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

SECTION: Final = "edge"

TRUE: Final = frozenset({"t", "true", "1"})
FALSE: Final = frozenset({"f", "false", "0"})
"""As Airflow reads them."""


class SettingError(ValueError):
    """A setting makes no sense; the message names it and says what it has to be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One option of `[edge]`; its environment variable is `AIRFLOW__EDGE__<NAME>`."""

    name: str
    side: Literal["centre", "site"]
    default: bool | int | float | str | None
    """Its type is the option's; None is for a text."""
    description: str
    unit: str = ""
    """What a number counts."""
    least: float = 0
    most: float = math.inf
    """The bounds of a number, both possible; there is always a most."""
    form: Literal["", "url"] = ""
    """What a text has to be, where not any will do. Who reads a duration or a version looks at it."""
    example: str | None = None
    guards: bool = False
    """Whether it keeps something out, so that who has misspelt it must not believe it in force."""
    sensitive: bool = False
    """Whether it may hold a password, so that Airflow shows it to nobody."""
    version_added: str = "0.1.0"

    @property
    def kind(self) -> str:
        """The type, as Airflow calls it."""
        return {bool: "boolean", int: "integer", float: "float"}.get(type(self.default), "string")

    @property
    def default_text(self) -> str | None:
        """The default as it would be written in a configuration file."""
        if isinstance(self.default, float):
            return f"{self.default:g}"
        return None if self.default is None else str(self.default)

    @property
    def bounds(self) -> str:
        """What a number has to be, in words; empty for what is no number."""
        if self.kind not in {"integer", "float"}:
            return ""
        number = "a whole number" if self.kind == "integer" else "a number"
        return f"{number}{f' of {self.unit}' if self.unit else ''} between {self.least:.15g} and {self.most:.15g}"

    def check(self, text: str) -> str:
        """Give a value back as it is written, if it makes sense: the same rule wherever the setting is read.

        :raises SettingError: it makes none.
        """
        text = text.strip()
        try:
            _CHECKS[self.form or self.kind](self, text)
        except ValueError as error:
            raise SettingError(f"[{SECTION}] {self.name}: {error}") from None
        return text


def _check_number(setting: Setting, text: str) -> None:
    try:
        number = int(text) if setting.kind == "integer" else float(text)
    except ValueError:
        number = math.nan
    if not setting.least <= number <= setting.most:
        raise ValueError(f"'{text}' is not {setting.bounds}")


def _check_boolean(_: Setting, text: str) -> None:
    if text.lower() not in TRUE | FALSE:
        raise ValueError(f"'{text}' is neither True nor False")


def _check_url(_: Setting, text: str) -> None:
    if text and "://" not in text:
        raise ValueError(f"'{text}' is not a URL; a folder is file:///path/to/it")


_CHECKS: Final[Mapping[str, Callable[[Setting, str], object]]] = {
    "integer": _check_number,
    "float": _check_number,
    "boolean": _check_boolean,
    "string": lambda _, text: text,
    "url": _check_url,
}
