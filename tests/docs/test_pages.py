"""Each example is claimed by a test, and each command, option and setting that a sentence names is there."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest

from airflow_edge.agent.site_policy.document import parse
from airflow_edge.agent.site_secrets.rules import load_rules
from harness.pages import Block, all_blocks, blocks_of, inline_code, pages, read_blocks
from tests.docs.claims import problems
from tests.docs.command_lines import complaint
from tests.docs.typed import typed

SETTING = re.compile(r"^\[(?P<section>\w+)\] (?P<option>\w+)")
VARIABLE = re.compile(r"\bAIRFLOW__([A-Z_]+?)__([A-Z_]+)\b")
PROGRAMS = frozenset({"airflow", "airflow-edge", "make", "pip", "python"})
TITLES = frozenset({"airflow-edge runtime", "airflow-edge supervisor"})
"""What is named like a command and is one of a worker's processes."""


@pytest.fixture(scope="module")
def known() -> set[tuple[str, str]]:
    """All options that Airflow and its providers have, ours among them."""
    from airflow.configuration import conf

    return {
        (section.lower(), option.lower())
        for section, described in conf.configuration_description.items()
        for option in described["options"]
    }


def test_every_example_is_one_that_is_run() -> None:
    assert list(problems(all_blocks())) == []


def found_in(page: str) -> list[str]:
    return list(problems(read_blocks("page.md", page)))


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("```\nls\n```", "page.md:1: no test runs a block of 'no language'"),
        ("# Title\n\n```sh\nls\n```", "page.md:3: no test runs a block of 'sh'"),
        ("- a list\n\n  ```sh somewhere\n  ls\n  ```", "page.md:3: no test runs a block of 'sh somewhere'"),
        ("words\n\n    ls\n", "page.md:3: no test runs a block of 'no language'"),
        ("```sh site\nls\n\n# More\n", "page.md:1: this block has no end"),
        ("```sh site", "page.md:1: this block has no end"),
        ("```console\n$ ls\n```", "'console' is for generated pages"),
        ("```text\nlinked\n```", "'text' is output"),
        ("# a\n```sh site\nls\n```\n# b\n```text\nlinked\n```", "page.md:6: 'text' is output"),
        ("```sh site\ncurl https://airflow.example.com/x\n```", "write https://airflow.example.org"),
        ("```sh site\nairflow-edge enroll https://airflow.example.org edge_abc\n```", "no token edge_abc"),
        ("```sh site\nls /srv/dags\n```", "the tests know no /srv/dags"),
        ("```sh site\nairflow-edge enroll URL\n```", "URL is for the reader to fill in"),
        ("```sh centre\nairflow edge explain-job <dag>\n```", "<dag> is for the reader to fill in"),
    ],
)
def test_what_nobody_would_run_is_named(page, words) -> None:
    (problem,) = found_in(page)
    assert words in problem


def test_what_is_run_is_not() -> None:
    page = """
# Title
```sh site
export AIRFLOW_HOME=/path/to/home HTTPS_PROXY=http://user:password@proxy.example.org:3128
curl -X GET https://airflow.example.org/edge_worker/v1/health > /dev/null  # a COMMENT
airflow-edge enroll https://airflow.example.org edge_…
kill -HUP "$(cat "$AIRFLOW_HOME/edge/agent.pid")"
```
```text
linked
```
"""
    assert found_in(page) == []


def commands() -> list[Block]:
    return [block for block in all_blocks() if block.language in ("sh", "console")]


@pytest.mark.parametrize("block", commands(), ids=lambda block: block.where)
def test_every_command_of_a_block_is_one(block) -> None:
    for command in typed(block):
        assert complaint(command.words) is None, command.where


@pytest.mark.parametrize("page", pages())
def test_every_command_in_a_sentence_is_one(page) -> None:
    for code in inline_code(page):
        text = re.sub(r"\[[A-Z_]+\]", "", code.text).strip()
        words = text.split()[0] if text else ""
        if words not in PROGRAMS or text.startswith(tuple(TITLES)):
            continue
        assert complaint(shlex.split(text), whole=False) is None, f"{code.where}: {code.text}"


@pytest.mark.parametrize("page", pages())
def test_every_setting_that_is_named_is_known(page, known) -> None:
    named = [(code.where, match) for code in inline_code(page) if (match := SETTING.match(code.text))]
    unknown = [f"{where}: {match[0]}" for where, match in named if (match["section"], match["option"]) not in known]
    text = "\n".join([*(code.text for code in inline_code(page)), *(b.text for b in all_blocks() if b.page == page)])
    unknown += [
        f"{page}: AIRFLOW__{section}__{option}"
        for section, option in VARIABLE.findall(text)
        if (section.lower(), option.lower()) not in known
    ]
    assert unknown == []


def blocks_of_language(language: str) -> list[Block]:
    return [block for block in all_blocks() if block.language == language]


@pytest.mark.parametrize("block", blocks_of_language("toml"), ids=lambda block: block.where)
def test_each_file_of_a_sites_owner_is_one(block: Block, tmp_path: Path) -> None:
    if "source" not in tomllib.loads(block.text):
        assert parse(block.text.encode()).summary() != "anything"
        return
    file = tmp_path / "secrets.toml"
    file.write_text(block.text)
    file.chmod(0o600)
    assert load_rules(file, os.geteuid()).allow


@pytest.mark.parametrize("block", blocks_of_language("ini"), ids=lambda block: block.where)
def test_every_option_of_a_configuration_is_known(block, known) -> None:
    read = configparser.ConfigParser(interpolation=None)
    read.read_string(block.text)
    options = [(section, option) for section in read.sections() for option in read[section]]
    assert options
    assert set(options) <= known


@pytest.mark.parametrize("block", blocks_of_language("python"), ids=lambda block: block.where)
def test_every_piece_of_python_can_be_loaded(block) -> None:
    exec(compile(block.text, block.where, "exec"), {"__name__": "example"})


def test_a_policy_is_enforced_by_its_modes_whatever_its_names_are(tmp_path: Path) -> None:
    blocks = [block for block in blocks_of("docs/how-to/need-to-know.md") if block.kind == "sh centre"]
    (command,) = (one.text for block in blocks for one in typed(block) if one.text.startswith("sed"))
    policy = "modes:\n  plc: report\n  reports: report\nrules:\n- who:\n    dags:\n    - report\n  note: report\n"
    (tmp_path / "policy.yaml").write_text(policy)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    changed = (tmp_path / "policy.yaml").read_text()
    assert changed == policy.replace("plc: report", "plc: enforce").replace("reports: report", "reports: enforce")
