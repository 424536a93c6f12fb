"""The policy as people see, set and ask about it: one place for the command line and the REST API."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from airflow.utils import yaml

from airflow_edge.admin.audit import recorded
from airflow_edge.admin.config import policy_file
from airflow_edge.admin.policy_effects import PolicyEffects, known_names
from airflow_edge.admin.policy_text import read_file, read_kept, read_policy
from airflow_edge.rules.policy.document import Mode, PolicyDocument, PolicyError, RuleDocument, to_plain
from airflow_edge.rules.policy.effects import about_nothing, mode_changes, unknown_name
from airflow_edge.rules.policy.grants import OF_DAGS, OWN_RUN, RELATIONS, UPSTREAM, Grant, Need, Who
from airflow_edge.rules.policy.policy import Policy, denial
from airflow_edge.rules.policy.suggesting import Use, suggest
from airflow_edge.store.policy.uses import UseSeen
from airflow_edge.store.policy.versions import PolicyChangedError, PolicyVersion
from airflow_edge.store.store import Store

SET: Final = "set policy"
LONGEST_WORDS: Final = 1000
"""Characters of what is said against a policy."""
ANOTHER: Final = "\0"
"""Stands for another task or run than that which is asked about: no id has it."""


class PolicyWishError(ValueError):
    """Why the policy cannot be set so, with what to do."""


class UnknownPolicyError(LookupError):
    """There is no such version."""

    def __init__(self, version: int) -> None:
        super().__init__(f"There never was version {version} of the policy; see: airflow edge policy show --versions")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyShown:
    """A policy as it stands, and what there is to say of it."""

    version: int
    """0 where there never was one, and of a file."""
    text: str
    note: str
    by: str
    at: datetime | None
    file: str | None
    """Where it stands instead of in the database."""
    error: str
    """Why it is not in force; empty if it is."""
    modes: dict[str, Mode]
    rules: int
    granting: tuple[RuleDocument, ...]

    @property
    def known_as(self) -> str:
        """What a person knows it by; empty where there is none."""
        if self.file is not None:
            return f"[edge] policy_file = {self.file}"
        return f"version {self.version} of the policy" if self.version else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyQuestion:
    """Whether a task may have something."""

    grant: Grant
    name: str
    """Of Dags it may be one of `RELATIONS`, too."""
    dag_id: str
    task_id: str
    queue: str
    team_name: str | None = None
    worker: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantingRule:
    """A rule that grants something; the first one has number 1."""

    number: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswer:
    """Whether it may, and why."""

    granted: bool
    """Whether a rule grants it."""
    mode: Mode
    """What comes of it on that queue, if none does."""
    rules: list[GrantingRule]
    sentence: str
    remarks: list[str]
    """What it was asked about that there is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """The least policy for what was seen, in the modes that there are now."""

    text: str
    """As YAML, to be set or put into a file."""
    uses: int
    """What it was made of."""
    unknown: list[str]
    """Calls that no rule can grant, because this version does not know them."""
    left_out: int
    """Uses that it does not grant, because they were denied, or are now."""


class Policies:
    """Shows and sets the policy; each attempt to set it is in the audit log."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions = store.policies
        self._uses = store.policy_uses

    def show(self, version: int | None = None) -> PolicyShown:
        """Give a version, or what is to be in force.

        :raises UnknownPolicyError: there is no such version.
        """
        file = policy_file() if version is None else None
        if file is not None:
            return _of_file(file)
        kept = self._versions.get(version)
        if kept is None and version is not None:
            raise UnknownPolicyError(version)
        if kept is None:
            return _shown("")
        return _shown(kept.text, version=kept.version, note=kept.note, by=kept.by, at=kept.at)

    def versions(self, *, limit: int, before: int | None = None) -> list[PolicyVersion]:
        """Give versions without their texts, newest first.

        :param before: those with lower numbers
        """
        return self._versions.all(limit=limit, before=before)

    def set(self, text: str, note: str, *, after: int | None = None, by: str) -> int:
        """Put a policy in force, at every API server within seconds; give its version.

        :param after: the version that it was made from; None for whichever is in force
        :raises PolicyWishError: it is none, somebody else has set it meanwhile, or a file says what it is.
        """
        with recorded(SET, by=by, wish={"note": note, "after": after}):
            check(text)
            try:
                return self._versions.add(text, note, after=after, by=by, now=datetime.now(UTC))
            except PolicyChangedError as error:
                raise PolicyWishError(
                    f"Somebody else has set the policy meanwhile: version {error} is in force, and this one was made "
                    f"from version {after}. Look at what has changed and set it again."
                ) from None

    def test(self, question: PolicyQuestion) -> PolicyAnswer:
        """Say whether a task may have something, and which rules grant it.

        :raises PolicyWishError: what is asked makes no sense, or the policy cannot be read.
        """
        shown = self.show()
        if shown.error:
            raise PolicyWishError(shown.error)
        document = read_kept(shown.text)
        who, need = _asked(question)
        label = f"version {shown.version}" if shown.file is None else f"file {shown.file}"
        rules = [
            GrantingRule(number=number, note=rule.note)
            for number, rule in enumerate(document.rules, 1)
            if Policy(PolicyDocument(rules=(rule,)), label).grants(who, need, lambda: _upstream(question))
        ]
        mode = Policy(document, label).mode(who.queue)
        sentence = _sentence(who, need, rules, mode, label)
        return PolicyAnswer(
            granted=bool(rules), mode=mode, rules=rules, sentence=sentence, remarks=self._remarks(question)
        )

    def effects(self, document: PolicyDocument, before: PolicyShown) -> PolicyEffects:
        """Say what a policy changes in comparison with one that was in force before it."""
        known = known_names(self._store)
        return PolicyEffects(
            changes=mode_changes(PolicyDocument(modes=before.modes), document, known.queues),
            unmatched=about_nothing(document, known),
        )

    def unmatched(self, shown: PolicyShown) -> list[str]:
        """Say what of a policy is about nothing that there is."""
        document = PolicyDocument(modes=shown.modes, rules=shown.granting)
        return about_nothing(document, known_names(self._store))

    def _remarks(self, question: PolicyQuestion) -> list[str]:
        known = known_names(self._store)
        asked = {
            "dags": question.dag_id,
            "queues": question.queue,
            "workers": question.worker,
            "teams": question.team_name or "",
        }
        found = (unknown_name(kind, name, known) for kind, name in asked.items() if name)
        callback = [] if question.task_id else ["no task was named: it is about callbacks of the Dag"]
        return [*(one for one in found if one is not None), *callback]

    def suggest(self, days: int, *, with_denied: bool = False) -> Suggestion:
        """Give the least policy that grants what was asked for on the last days, today among them.

        :param with_denied: also what no rule has granted where the policy denied it then, or would deny it now:
            whoever was denied something may have asked for it in bad faith
        """
        seen = self.uses(days)
        modes = self.show().modes
        mode = self.mode_now(modes)
        given = [use for use in seen if with_denied or use.allowed or not (use.refused or mode(use.queue) == "enforce")]
        grants = {str(grant) for grant in Grant}
        rules = suggest(
            Use(
                team_name=use.team_name or None,
                queue=use.queue,
                dag_id=use.dag_id,
                task_id=use.task_id,
                grant=Grant(use.kind),
                name=use.name,
            )
            for use in given
            if use.kind in grants
        ).rules
        plain = to_plain(PolicyDocument(modes=modes or {"*": "report"}, rules=rules))
        return Suggestion(
            text=str(yaml.dump(plain, sort_keys=False, allow_unicode=True)),
            uses=len(seen),
            unknown=sorted({use.name for use in seen if use.kind not in grants}),
            left_out=sum(use.kind in grants for use in seen) - sum(use.kind in grants for use in given),
        )

    def mode_now(self, modes: Mapping[str, Mode] | None = None) -> Callable[[str], Mode]:
        """Give what says which mode a queue has.

        :param modes: those of a policy; None for the one that is to be in force
        """
        found = self.show().modes if modes is None else modes
        return Policy(PolicyDocument(modes=dict(found)), "").mode

    def uses(
        self,
        days: int,
        *,
        limit: int | None = None,
        offset: int = 0,
        dag_id: str | None = None,
        denied: bool = False,
        teams: Collection[str] | None = None,
    ) -> list[UseSeen]:
        """Give what tasks have asked for on the last days, today among them.

        :param denied: only what was denied, or would have been
        :param teams: only of these, or of none; None for all
        """
        since = datetime.now(UTC).date() - timedelta(days=days - 1)
        return self._uses.seen(since=since, limit=limit, offset=offset, dag_id=dag_id, denied=denied, teams=teams)


def check(text: str) -> PolicyDocument:
    """Give the policy that a text is, if it can be set.

    :raises PolicyWishError: it cannot.
    """
    if (file := policy_file()) is not None:
        raise PolicyWishError(
            f"What tasks may ask for is said by {file} ([edge] policy_file): change it there, and it is in force "
            "within seconds."
        )
    try:
        return read_policy(text)
    except PolicyError as error:
        raise PolicyWishError(_as_sentence(error)) from None


def _of_file(file: Path) -> PolicyShown:
    try:
        return _shown(read_file(file), file=str(file))
    except PolicyError as error:
        return replace(_shown(""), file=str(file), error=_as_sentence(error))


def _shown(
    text: str,
    *,
    version: int = 0,
    note: str = "",
    by: str = "",
    at: datetime | None = None,
    file: str | None = None,
) -> PolicyShown:
    document, error = PolicyDocument(), ""
    try:
        # Of a file only what it says counts; a version that says nothing was set when that could be.
        document = read_kept(text) if file is None else read_policy(text)
    except PolicyError as wrong:
        error = _as_sentence(wrong)
    return PolicyShown(
        version=version,
        text=text,
        note=note,
        by=by,
        at=at,
        file=file,
        error=error,
        modes=dict(document.modes),
        rules=len(document.rules),
        granting=document.rules,
    )


def _as_sentence(error: PolicyError) -> str:
    text = str(error)
    # It may quote what was sent.
    said = text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"
    return f"{said[0].upper()}{said[1:]}."


def _asked(question: PolicyQuestion) -> tuple[Who, Need]:
    who = Who(
        team_name=question.team_name,
        queue=question.queue,
        worker=question.worker,
        dag_id=question.dag_id,
        run_id="",
        task_id=question.task_id,
    )
    if not question.name.startswith("@"):
        return who, Need(grant=question.grant, name=question.name, run_id=ANOTHER, task_id=ANOTHER)
    if question.name not in RELATIONS or question.grant not in OF_DAGS:
        raise PolicyWishError(f"'{question.name}' is none of {', '.join(RELATIONS)}, which stand for Dags.")
    run_id = who.run_id if question.name in {UPSTREAM, OWN_RUN} else ANOTHER
    return who, Need(grant=question.grant, name=question.dag_id, run_id=run_id, task_id=ANOTHER)


def _upstream(question: PolicyQuestion) -> Collection[str]:
    return {ANOTHER} if question.name == UPSTREAM else ()


def _sentence(who: Who, need: Need, rules: Collection[GrantingRule], mode: Mode, label: str) -> str:
    if rules:
        numbers = ", ".join(str(rule.number) for rule in rules)
        granting = f"rule {numbers} grants it" if len(rules) == 1 else f"rules {numbers} grant it"
        return f"It may: {granting} (the centre's policy, {label})."
    missing = denial(who, need, label)
    match mode:
        case "enforce":
            return f"{missing}."
        case "report":
            return f"{missing}; it is only reported on this queue, and nothing is denied."
    return f"{missing}; but the policy is off on this queue, and nothing is denied."
