from __future__ import annotations

import json

import pytest

from airflow_edge.page.bundle import BundleMissingError, read_bundle


@pytest.fixture
def write(tmp_path):
    """Leave a build in a folder, as `hatch_build.py` does."""

    def write(*names, listed=None):
        for name in names:
            (tmp_path / name).write_text(f"// {name}")
        (tmp_path / "built.json").write_text(json.dumps({"sources": "…", "files": list(listed or names)}))
        return tmp_path

    return write


def test_the_page_begins_with_the_file_that_airflow_loads(write):
    bundle = read_bundle(write("edge-Ab3_-9xY.js", "Page-12345678.js", "icon.svg"))
    assert bundle.entry == "edge-Ab3_-9xY.js"
    assert bundle.files["Page-12345678.js"] == b"// Page-12345678.js"


def test_what_it_promised_stays_there_while_the_folder_changes(write):
    folder = write("edge-Ab3_-9xY.js")
    bundle = read_bundle(folder)
    (folder / "edge-Ab3_-9xY.js").unlink()
    assert bundle.files["edge-Ab3_-9xY.js"]


def test_only_what_has_its_hash_in_its_name_never_changes(write):
    bundle = read_bundle(write("edge-Ab3_-9xY.js", "icon-dark.svg"))
    assert bundle.is_lasting("edge-Ab3_-9xY.js")
    assert not bundle.is_lasting("icon-dark.svg")


def test_where_it_was_not_built_it_says_what_to_do(tmp_path):
    with pytest.raises(BundleMissingError, match=r"python hatch_build\.py"):
        read_bundle(tmp_path / "bundle")


@pytest.mark.parametrize("listed", [["Page-12345678.js"], ["edge-Ab3_-9xY.js", "gone-12345678.js"]])
def test_half_a_page_is_none(write, listed):
    with pytest.raises(BundleMissingError):
        read_bundle(write("edge-Ab3_-9xY.js", "Page-12345678.js", listed=listed))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}', '{"files": [3]}'])
def test_a_damaged_list_of_it_is_none(tmp_path, content):
    (tmp_path / "built.json").write_text(content)
    with pytest.raises(BundleMissingError):
        read_bundle(tmp_path)
