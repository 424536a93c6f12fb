"""What `airflow-edge check` says of the secrets that this site keeps itself. No value is in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping

from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.site_secrets.files import FOLDERS, SourceAwayError, UnusableSecretError
from airflow_edge.agent.site_secrets.reader import SecretsReader
from airflow_edge.agent.site_secrets.rules import SecretsRules, load_rules
from airflow_edge.agent.site_secrets.secrets import files_of
from airflow_edge.checking.findings import Finding, note, ok, wrong
from airflow_edge.cli.site.users import acting_as, users_of
from airflow_edge.protocol.local import SecretAsked

MOST_NAMED = 5
_HEADING = "tasks do not get what this site keeps for them ([edge] site_secrets)"


def own_secrets(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Look at the rules, and at each file as the worker would; a secrets backend is not asked."""
    if config.site_secrets is None:
        return
    # The worker's user may not be able to read what this Python is made of; the runtime's start says so.
    import tomllib  # noqa: F401

    try:
        with acting_as(users_of(config)[0]):
            rules = load_rules(config.site_secrets, os.geteuid())
            yield from _found(config, rules, environ)
    except (ConfigError, SourceAwayError, KeyError) as error:
        yield wrong(_HEADING, str(error))
        return
    if not (config.agent_user and config.task_user):
        yield note(
            "worker and tasks are one user: a task can read what this site keeps past its rules; [edge] agent_user and "
            "task_user keep them apart"
        )


def _found(config: Config, rules: SecretsRules, environ: Mapping[str, str]) -> Iterator[Finding]:
    if rules.source.backend:
        patterns = dict.fromkeys(name for rule in rules.allow for name in (*rule.connections, *rule.variables))
        about = f"what {config.site_secrets} names ({', '.join(patterns) or 'nothing'})"
        yield ok(f"{about} is looked for in {rules.source.label}, and not at the centre where that has it")
        return
    files = files_of(rules.source, os.geteuid(), environ)
    counts, without = [], []
    for kind in FOLDERS:
        names = files.names(kind)
        counts.append(f"{len(names)} {kind}{'' if len(names) == 1 else 's'}")
        without += [f"{kind} '{name}'" for name in names if rules.dags(kind, name) is None]
    if faults := list(files.faults()):
        more = f"; and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
        yield wrong(f"{len(faults)} of this site's secrets cannot be used", "; ".join(faults[:MOST_NAMED]) + more)
    for stranger in files.strangers(config.site_secrets):
        yield note(f"nobody looks for {stranger} among this site's secrets: the centre is asked for what is in it")
    yield ok(f"this site keeps {' and '.join(counts)} in {rules.source.label}; {config.site_secrets} says who has them")
    if without:
        yield note(f"no Dag may have {', '.join(without[:MOST_NAMED])}: no rule in {config.site_secrets} is about it")


async def read_secrets(config: Config, environ: Mapping[str, str]) -> AsyncIterator[Finding]:
    """Have Airflow read the connections, and load the secrets backend, as for a worker; it takes a few seconds."""
    if config.site_secrets is None:
        return
    try:
        with acting_as(users_of(config)[0]):
            rules = load_rules(config.site_secrets, os.geteuid())
            asked = list(_questions(rules, environ))
    except (ConfigError, SourceAwayError, KeyError):
        # That is said already.
        return
    if not asked:
        return
    reader = SecretsReader(user=users_of(config)[0])
    faults = []
    try:
        for one in asked:
            try:
                await reader.ask(one)
            except UnusableSecretError as error:
                faults.append(f"connection '{one.name}': {error}")
    except SourceAwayError as error:
        yield wrong(_HEADING, str(error))
        return
    finally:
        await reader.aclose()
    if faults:
        more = f"; and {len(faults) - MOST_NAMED} more" if len(faults) > MOST_NAMED else ""
        yield wrong(f"{len(faults)} of this site's connections are none", "; ".join(faults[:MOST_NAMED]) + more)
    else:
        what = f"the secrets backend {rules.source.backend} can be loaded" if rules.source.backend else "all are whole"
        yield ok(f"Airflow has read this site's secrets: {what}")


def _questions(rules: SecretsRules, environ: Mapping[str, str]) -> Iterator[SecretAsked]:
    source = rules.source
    if source.backend:
        yield SecretAsked(kind="connection", name="", backend=source.backend, backend_kwargs=source.backend_kwargs)
        return
    files = files_of(source, os.geteuid(), environ)
    for name in files.names("connection"):
        # One that may not be used is told of already.
        with contextlib.suppress(UnusableSecretError):
            if text := files.read("connection", name):
                yield SecretAsked(kind="connection", name=name, text=text)
