from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.site_secrets.rules import SecretsRules, is_plain, load_rules, matches

RULES = """
[source]
folder = "/srv/secrets"

[[allow]]
connections = ["plc_*"]
dags = ["press_*"]

[[allow]]
connections = ["plc_db"]
variables = ["site_*"]
dags = ["report"]
"""


def loaded(tmp_path: Path, text: str, mode: int = 0o600) -> SecretsRules:
    file = tmp_path / "secrets.toml"
    file.write_text(text)
    file.chmod(mode)
    return load_rules(file, os.geteuid())


def test_each_rule_that_is_about_a_name_lets_its_dags_have_it(tmp_path: Path) -> None:
    rules = loaded(tmp_path, RULES)
    assert rules.dags("connection", "plc_db") == ("press_*", "report")
    assert rules.dags("connection", "plc_7") == ("press_*",)
    assert rules.dags("variable", "plc_7") is None
    assert rules.dags("variable", "site_name") == ("report",)


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["press_*"], "press_check", True),
        (["press_*"], "Press_check", False),
        (["press_*"], "xpress_check", False),
        (["*"], "", True),
        (["press_*", "?"], "", False),
        ([], "press_check", False),
    ],
)
def test_a_dag_matches_whole_and_one_that_is_not_known_only_the_star(
    patterns: list[str], name: str, expected: bool
) -> None:
    assert matches(patterns, name) is expected


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/etc/passwd", "a\0b", "a\nb", "x" * 201])
def test_a_name_that_is_no_files_is_none_of_the_sites(name: str) -> None:
    assert not is_plain("connection", name)


def test_where_airflow_lists_variables_is_no_variable() -> None:
    assert not is_plain("variable", "keys")
    assert is_plain("connection", "keys")
    assert is_plain("variable", "plc..db")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "source"),
        ("[source", "cannot be used"),
        ("[source]", "exactly one"),
        ('[source]\nfolder = "/srv"\ncredentials = true', "exactly one"),
        ('[source]\nfolder = "srv"', "no absolute path"),
        ('[source]\nbackend = "not a path"', "no dotted path"),
        ('[source]\nfolder = "/srv"\nbackend_kwargs = {token = "hunter2"}', "for a backend"),
        ('[source]\nbackend = "a.B"\nbackend_kwargs = "hunter2"', "Expected `object`"),
        ('[source]\nfolder = "/srv"\n[[allow]]\nconnections = ["*"]', "rule 1 .*'dags' has to be a list"),
        ('[source]\nfolder = "/srv"\n[[allow]]\ndag = ["*"]', r"rule 1 .*no key 'dag'; did you mean 'dags'\?"),
        ('[source]\nfolder = "/srv"\n[[allow]]\ndags = ["*"]\n[[allow]]\ndags = "*"', "rule 2 .*'dags' has to be"),
        ('[source]\nfolder = "/srv"\n[allow]\ndags = ["*"]', "with two brackets"),
        ('[source]\nfoldr = "/srv"', r"\[source\]: there is no key 'foldr'; did you mean 'folder'"),
        ('[sources]\nfolder = "hunter2"', "there is no key 'sources'; did you mean 'source'"),
        ('source = "hunter2"', r"there has to be a table \[source\]"),
    ],
)
def test_what_makes_no_sense_is_said_without_what_may_be_secret(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        loaded(tmp_path, text)
    assert "hunter2" not in str(raised.value)
    assert "secrets.toml" in str(raised.value)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_rules_that_others_may_write_do_not_count(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match="others may write to it"):
        loaded(tmp_path, RULES, mode)


def test_rules_of_another_user_do_not_count(tmp_path: Path) -> None:
    loaded(tmp_path, RULES)
    os.chown(tmp_path / "secrets.toml", 4711, -1) if os.geteuid() == 0 else pytest.skip("only root gives files away")
    with pytest.raises(ConfigError, match="another user"):
        load_rules(tmp_path / "secrets.toml", os.geteuid())


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="no file"):
        load_rules(tmp_path / "pipe", os.geteuid())
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rules(tmp_path / "missing", os.geteuid())


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    rules = loaded(tmp_path, '[source]\nbackend = "a.B"\nbackend_kwargs = {token = "hunter2"}')
    assert rules.source.backend_kwargs == {"token": "hunter2"}
    assert "hunter2" not in repr(rules)


def test_rules_that_others_may_replace_do_not_count(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(ConfigError, match="others may put another file there"):
        loaded(tmp_path, RULES)
