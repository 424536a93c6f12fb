"""A policy as people write it: JSON, TOML or YAML."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Final

from airflow.utils import yaml

from airflow_edge.rules.policy.document import PolicyDocument, PolicyError, read_document

LONGEST: Final = 2**20
"""Characters."""


def read_policy(text: str) -> PolicyDocument:
    """Read a policy, whichever of the three it is written in.

    :raises PolicyError: it is none, and where.
    """
    if len(text) > LONGEST:
        raise PolicyError(f"the policy is longer than {LONGEST} characters")
    try:
        return read_document(_plain(text))
    except RecursionError:
        raise PolicyError("the policy is nested too deeply") from None


def read_file(path: Path) -> str:
    """Give the text in a policy's file.

    :raises PolicyError: it cannot be read, or is far too long.
    """
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise PolicyError(f"{path} cannot be read: {reason}") from None
    if len(text) > LONGEST:
        raise PolicyError(f"{path} is longer than {LONGEST} characters")
    return text


def _plain(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return tomllib.loads(text)
    except ValueError as error:
        not_toml = str(error)
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            # A few of them unfold into more than there is room for.
            raise PolicyError("the policy has a YAML alias (`*name`); write a glob that begins so in quotes: '*name'")
        # All that a policy holds is texts: YAML itself takes `off` for false, and a Dag called 2026 for a number.
        return yaml.load(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:  # type: ignore[attr-defined]
        said = " ".join(str(error).split())
        raise PolicyError(f"the policy is neither JSON nor TOML ({not_toml}) nor YAML ({said})") from None
