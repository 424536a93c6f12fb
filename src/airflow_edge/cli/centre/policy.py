"""What the commands of `airflow edge policy` do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from airflow.configuration import conf
from airflow.utils.platform import getuser

from airflow_edge.admin.config import session
from airflow_edge.admin.policy import Policies, PolicyQuestion, PolicyWishError, UnknownPolicyError, check
from airflow_edge.admin.policy_effects import PolicyEffects
from airflow_edge.admin.policy_text import read_file
from airflow_edge.cli.centre.common import audited, counted, harmless, one_of, print_as, say
from airflow_edge.rules.policy.document import Mode, PolicyDocument, PolicyError
from airflow_edge.rules.policy.grants import Grant
from airflow_edge.store.policy.uses import UseSeen
from airflow_edge.store.store import Store

MOST_VERSIONS = 1000
DAYS = 7


@audited
def show_policy(args: argparse.Namespace) -> None:
    """Print the policy, who has set which version, or what tasks have asked for."""
    policies = Policies(Store(session))
    of_uses = args.denied or args.days is not None
    if of_uses and not args.uses:
        raise SystemExit("--denied and --days are about what tasks have asked for: give --uses, too.")
    if sum((args.versions, args.uses, args.number is not None)) > 1:
        raise SystemExit("Give one of --version, --versions and --uses: each lists something else.")
    if args.versions:
        print_as([asdict(one) for one in policies.versions(limit=MOST_VERSIONS)], args.output)
        return
    if args.uses:
        seen = policies.uses(args.days or DAYS, denied=args.denied)
        mode = policies.mode_now()
        print_as([told(one, mode(one.queue)) for one in seen], args.output)
        return
    try:
        shown = policies.show(args.number)
    except UnknownPolicyError as error:
        raise SystemExit(str(error)) from None
    if shown.file is not None:
        say(f"It stands in {shown.file} ([edge] policy_file).")
    elif shown.at is None:
        say("There is no policy: tasks may whatever Airflow lets them. See: airflow edge policy set --help")
    else:
        note = f": {' '.join(shown.note.split())}" if shown.note else ""
        say(harmless(f"Version {shown.version}, set by {shown.by} on {shown.at:%Y-%m-%d %H:%M:%S} UTC{note}"))
    if shown.error:
        say(harmless(f"It is not in force: {shown.error}"))
    # As it was given, for a file: nothing of it is left out.
    text = "\n".join(map(harmless, shown.text.split("\n"))) if sys.stdout.isatty() else shown.text
    print(text, end="" if not text or text.endswith("\n") else "\n")


def told(use: UseSeen, mode: Mode) -> dict[str, object]:
    """Say of a use how often no rule granted it, and what that comes to by its queue's mode.

    :param mode: the one of now, by which goes what was never denied
    """
    counted = {"allowed", "denied", "refused", "last_day"}
    who = {key: value for key, value in asdict(use).items() if key not in counted}
    means = {"enforce": "denied", "report": "would be denied", "off": "given"}[mode] if use.denied else ""
    if use.refused:
        means = "denied" if use.refused >= use.denied else f"denied {use.refused} times"
    counts = {"granted": use.allowed, "not_granted": use.denied, "not_granted_is": means}
    return {**who, **counts, "last_day": use.last_day.isoformat()}


@audited
def set_policy(args: argparse.Namespace) -> None:
    """Put a policy in force, or say whether it could be; say what that changes."""
    policies = Policies(Store(session))
    try:
        text = sys.stdin.read() if args.file == "-" else read_file(Path(args.file), regular=False)
        if args.dry_run:
            found = check(text)
            modes = ", ".join(f"{queue}: {mode}" for queue, mode in found.modes.items())
            print(harmless(f"It could be set: {counted(len(found.rules), 'rule')}; {modes or 'off for all queues'}."))
            _say_effects(policies.effects(found, policies.show()))
            return
        before = policies.show()
        version = policies.set(text, args.note or "", after=args.after, by=getuser())
    except (PolicyWishError, PolicyError) as error:
        raise SystemExit(harmless(str(error))) from None
    shown = policies.show(version)
    print(f"Version {version} of the policy is in force: {counted(shown.rules, 'rule')}.")
    _say_effects(policies.effects(PolicyDocument(modes=shown.modes, rules=shown.granting), before))


def _say_effects(effects: PolicyEffects) -> None:
    for change in effects.changes:
        weaker = f": {_WEAKER[change.after]}" if change.weakens else ""
        print(harmless(f"{change.queue}: {change.before} → {change.after}{weaker}"))
    for sentence in effects.unmatched:
        say(harmless(f"Note: {sentence}"))


_WEAKER: Final[Mapping[Mode, str]] = {
    "off": "tasks may whatever Airflow lets them there, and nobody looks",
    "report": "nothing is denied there any more",
}


@audited
def ask_about_policy(args: argparse.Namespace) -> None:
    """Say whether a task may have something, and which rule grants it."""
    (grant,) = one_of(Grant, [args.grant])
    question = PolicyQuestion(
        grant=grant,
        name=args.name,
        dag_id=args.dag_id,
        task_id=args.task_id,
        queue=args.queue or conf.get_mandatory_value("operators", "default_queue").strip(),
        team_name=args.team,
        worker=args.worker,
    )
    try:
        answer = Policies(Store(session)).test(question)
    except PolicyWishError as error:
        raise SystemExit(str(error)) from None
    print(harmless(answer.sentence))
    for remark in answer.remarks:
        say(harmless(f"Note: {remark}"))
    for rule in answer.rules:
        if rule.note:
            print(harmless(f"  rule {rule.number}: {' '.join(rule.note.split())}"))
    if not answer.granted and answer.mode == "enforce":
        raise SystemExit(1)


@audited
def suggest_policy(args: argparse.Namespace) -> None:
    """Print the least policy that grants what tasks have asked for."""
    found = Policies(Store(session)).suggest(args.days, with_denied=args.with_denied)
    if not found.uses:
        say("Nothing was counted: set a policy with the mode `report` first, and let tasks run.")
    for call in found.unknown:
        say(harmless(f"No rule can grant {call}: this version of airflow-edge does not know it."))
    if found.left_out:
        say(
            f"Left out: {counted(found.left_out, 'use')} that the policy has denied, or denies now; "
            "with them: --with-denied"
        )
    print(found.text, end="")
