"""Secrets of the centre that a site was given with its whole configuration: no task has any business with them.

A site needs some secrets of its own: of its secrets backend, of connections and variables, of a proxy. Those stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Final, TypeAlias

Option: TypeAlias = tuple[str, str]
"""Section and name."""

CENTRES: Final[frozenset[Option]] = frozenset(
    {
        ("api", "secret_key"),
        ("api_auth", "jwt_secret"),
        ("celery", "broker_url"),
        ("celery", "flower_basic_auth"),
        ("celery", "result_backend"),
        ("core", "fernet_key"),
        ("core", "sql_alchemy_conn"),
        ("database", "sql_alchemy_conn"),
        ("database", "sql_alchemy_conn_async"),
        ("webserver", "secret_key"),
    }
)
"""Those that are known without asking Airflow, which says the same of more (`sensitive` in its configuration)."""
FOR_TASKS: Final = frozenset({"secrets", "workers", "sentry", "smtp", "email"})
"""Sections of Airflow whose secrets tasks make use of."""
_SUFFIXES: Final = ("", "_CMD", "_SECRET")
"""As an option may be given: itself, by a command that prints it, by its name in the secrets backend."""
_SERVICE: Final = re.compile(r"NOTIFY_SOCKET|WATCHDOG_(PID|USEC)|LISTEN_(PID|FDS|FDNAMES)|_AIRFLOW_PROCESS_CONTEXT")
"""What speaks for the worker's own process only, with systemd, say."""


def held(environ: Mapping[str, str], options: Iterable[Option] = CENTRES) -> list[str]:
    """Name those of these options that have a value here, with where that stands. A file, as SQLite has, is none."""
    file = configuration_file(environ)
    in_file = _options_of(file)
    found = []
    for section, name in sorted(options):
        found += [variable for variable in _variables(environ, section, name) if _is_secret(environ[variable])]
        found += [
            f"[{section}] {key} in {file}" for key in _spellings(name) if _is_secret(in_file.get((section, key), ""))
        ]
    return found


def hide(environ: MutableMapping[str, str], options: Collection[Option] = CENTRES) -> None:
    """Have these options be empty for whoever reads the configuration by this environment; and drop what is ours only.

    An empty variable hides what a file says, for other programs that a task starts as well.
    """
    in_file = _options_of(configuration_file(environ))
    for section, name in options:
        variables = list(_variables(environ, section, name))
        for variable in variables:
            del environ[variable]
        if variables or any((section, key) in in_file for key in _spellings(name)):
            environ[_variable(section, name)] = ""
    for variable in [variable for variable in environ if _SERVICE.fullmatch(variable)]:
        del environ[variable]


def option(environ: Mapping[str, str], section: str, name: str) -> str:
    """Give an option of Airflow that is no secret, as an environment variable or its file has it; empty if none has."""
    in_file = _options_of(configuration_file(environ))
    return environ.get(_variable(section, name), in_file.get((section, name), "")).strip()


def _is_secret(value: str) -> bool:
    return bool(value.strip()) and not value.strip().startswith("sqlite:")


def configuration_file(environ: Mapping[str, str]) -> Path:
    """Give where Airflow looks for its configuration."""
    home = environ.get("AIRFLOW_HOME") or "~/airflow"
    return Path(environ.get("AIRFLOW_CONFIG") or f"{home}/airflow.cfg").expanduser()


def _variable(section: str, name: str) -> str:
    return f"AIRFLOW__{section}__{name}".upper().replace(".", "_")


def _variables(environ: Mapping[str, str], section: str, name: str) -> Iterator[str]:
    """Give the variables that set an option, a team's included."""
    end = _variable(section, name).removeprefix("AIRFLOW__")
    wanted = re.compile(rf"AIRFLOW__(\w+___)?{re.escape(end)}({'|'.join(_SUFFIXES)})")
    return (variable for variable in list(environ) if wanted.fullmatch(variable))


def _spellings(name: str) -> list[str]:
    return [name + suffix.lower() for suffix in _SUFFIXES]


def _options_of(file: Path) -> Mapping[Option, str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    # Most sites have no such file, and an agent is small.
    import configparser

    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        # Whoever needs it says what is wrong with it.
        return {}
    return {(section, name): value or "" for section in parser.sections() for name, value in parser.items(section)}
