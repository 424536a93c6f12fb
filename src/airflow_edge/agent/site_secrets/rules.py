"""The file that `[edge] site_secrets` names: where this site's secrets are, and which Dags may have them.

Whoever may write to it may have any secret, so that it counts only where that is the worker's user or root.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from airflow_edge.agent.errors import ConfigError, describe, user_name
from airflow_edge.protocol.local import SecretKind
from airflow_edge.site.guarding import OTHERS_WRITE, open_folder
from airflow_edge.texts import no_such_key

LONGEST_FILE: Final = 1024 * 1024
"""Bytes."""
LONGEST_NAME: Final = 200
"""Characters; a file system has 255 bytes for a name."""
CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"
"""The environment variable by which systemd says where a service's credentials are, see systemd.exec(5)."""


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the secrets are: exactly one of the three."""

    folder: str | None = None
    credentials: bool = False
    """systemd's."""
    backend: str | None = None
    """The dotted path of a class of Airflow's kind of secrets backend."""
    backend_kwargs: dict[str, Any] = {}

    def __repr__(self) -> str:
        """Leave out what may be secret."""
        return f"Source({self.label!r})"

    @property
    def label(self) -> str:
        """Where that is, for a person."""
        return self.backend or self.folder or f"${CREDENTIALS_VARIABLE}"


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """That these Dags may have these. All are patterns, as of file names."""

    dags: tuple[str, ...]
    connections: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()


class SecretsRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the file says."""

    source: Source
    allow: tuple[Allowed, ...] = ()

    def dags(self, kind: SecretKind, name: str) -> tuple[str, ...] | None:
        """Give the patterns of the Dags that may have it; None where no rule is about it."""
        about = [rule for rule in self.allow if matches(_names(rule, kind), name)]
        return tuple(dict.fromkeys(dag for rule in about for dag in rule.dags)) if about else None


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether one of them fits. An empty name, that of a Dag which is not known, fits nothing but `*`."""
    return any(fnmatchcase(name, pattern) if name else pattern == "*" for pattern in patterns)


def is_plain(kind: SecretKind, name: str) -> bool:
    """Whether a site can have something of this name: it is a file's, and leads nowhere else."""
    if kind == "variable" and name == "keys":
        # There Airflow lists variables.
        return False
    return 0 < len(name) <= LONGEST_NAME and name.isprintable() and not name.startswith(".") and "/" not in name


def load_rules(file: Path, uid: int) -> SecretsRules:
    """Read the file.

    :param uid: the worker's user
    :raises ConfigError: it cannot be used; the text says why, and nothing of what is in it but names.
    """
    # An agent is small, and not every site has such a file.
    import tomllib

    try:
        text = _text(file, uid)
        rules = msgspec.convert(read := tomllib.loads(text), SecretsRules)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {describe(error)}") from None
    except msgspec.ValidationError as error:
        wrong = next(_ill_written(read), str(error))
        raise ConfigError(f"{file} cannot be used: {wrong}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} cannot be used: {error}") from None
    if problem := next(_problems(rules), ""):
        raise ConfigError(f"{file} cannot be used: {problem}")
    return rules


def _text(file: Path, uid: int) -> str:
    # Opening a pipe would wait for somebody to write to it.
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as opened:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise ValueError("it is no file")
        if why := open_folder(file, {uid}):
            raise ValueError(why)
        if facts.st_uid not in {0, uid}:
            raise ValueError(f"it belongs to another user; give it to '{user_name(uid)}', or to root")
        if facts.st_mode & OTHERS_WRITE:
            raise ValueError(f"others may write to it (mode {stat.S_IMODE(facts.st_mode):04o}); chmod go-w {file}")
        content = opened.read(LONGEST_FILE + 1)
    if len(content) > LONGEST_FILE:
        raise ValueError(f"it is longer than {LONGEST_FILE} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("it is no UTF-8") from None


def _ill_written(read: Mapping[str, object]) -> Iterator[str]:
    """Say what is not as it has to be, in the words of who has written it, and of what is in it nothing but names."""
    yield from _no_such_keys(read, SecretsRules)
    source, rules = read.get("source"), read.get("allow", [])
    if not isinstance(source, dict):
        yield "there has to be a table [source]"
        return
    yield from (f"[source]: {wrong}" for wrong in _no_such_keys(source, Source))
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        yield "a rule is written below [[allow]], with two brackets"
        return
    for number, rule in enumerate(rules, 1):
        yield from (f"rule {number} ([[allow]]): {wrong}" for wrong in _no_such_keys(rule, Allowed))
        for key in Allowed.__struct_fields__:
            texts = rule.get(key, None if key == "dags" else [])
            if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
                yield f"rule {number} ([[allow]]): '{key}' has to be a list of texts, like {key} = [\"press_*\"]"


def _no_such_keys(table: Mapping[str, object], kind: type[msgspec.Struct]) -> Iterator[str]:
    known = kind.__struct_fields__
    yield from (no_such_key(key, known) for key in table if key not in known)


def _problems(rules: SecretsRules) -> Iterator[str]:
    source = rules.source
    if sum((source.folder is not None, source.credentials, source.backend is not None)) != 1:
        yield "[source] wants exactly one of folder, credentials = true, and backend"
    if source.folder is not None and not source.folder.startswith("/"):
        yield f"the folder '{source.folder}' is no absolute path"
    if source.backend is not None and not all(part.isidentifier() for part in source.backend.split(".")):
        yield f"the backend '{source.backend}' is no dotted path of a class"
    if source.backend_kwargs and source.backend is None:
        yield "backend_kwargs are for a backend"


def _names(rule: Allowed, kind: SecretKind) -> tuple[str, ...]:
    return rule.connections if kind == "connection" else rule.variables
