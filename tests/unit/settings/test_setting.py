from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.settings import BY_NAME, SETTINGS, SettingError

NUMBERS = [setting for setting in SETTINGS if setting.kind in {"integer", "float"}]
NONSENSE = ("nan", "inf", "-inf", "-1", "1e400", "", "many", "1_0.5.5")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_default_makes_sense_and_every_number_has_bounds_and_a_unit(setting) -> None:
    if setting.default_text is not None:
        assert setting.check(setting.default_text) == setting.default_text
    if setting in NUMBERS:
        assert setting.unit
        assert math.isfinite(setting.most)


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
@pytest.mark.parametrize("text", NONSENSE)
def test_no_number_of_that_kind_is_taken(setting, text) -> None:
    with pytest.raises(SettingError, match=rf"\[edge\] {setting.name}: .*between"):
        setting.check(text)


@given(st.sampled_from(NUMBERS), st.floats())
def test_what_is_taken_is_within_the_bounds(setting, number) -> None:
    try:
        text = setting.check(repr(number))
    except SettingError:
        return
    assert setting.least <= float(text) <= setting.most


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log_retention", "1000000"),
        ("api_enabled", "perhaps"),
        ("log_store", "/var/logs"),
    ],
)
def test_what_makes_no_sense_is_named(name, text) -> None:
    with pytest.raises(SettingError, match=rf"\[edge\] {name}: '{text}'"):
        BY_NAME[name].check(text)
