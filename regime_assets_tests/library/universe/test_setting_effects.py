"""Every setting of a universe file has one stated effect, and it is the one that the design's hash shows."""

import re
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from regime_assets.library.design import Design, design_of
from regime_assets.library.universe import HORIZONS, Universe, load_universe
from regime_assets.library.universe.setting_effects import EFFECTS, effect_of

DOCS = Path(__file__).parents[3] / "docs" / "extending.md"
BASE = """\
name: tiny
source: {kind: sample}
history_start: 2000-01-03
first_partition: 2005-01-03
symbols: [AAPL, MSFT]
traded: [SP500]
"""


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The dotted names of all settings, sections opened where they are one model."""
    for name, field in model.model_fields.items():
        full = f"{prefix}{field.alias or name}"
        inner = [one for one in (field.annotation, *typing.get_args(field.annotation)) if isinstance(one, type)]
        sections = [one for one in inner if issubclass(one, BaseModel)]
        if sections and full not in EFFECTS:
            yield from settings(sections[0], f"{full}.")
        else:
            yield full


def test_every_setting_of_a_universe_has_an_effect() -> None:
    assert [name for name in settings(Universe) if effect_of(name) not in ("design", "record", "neither")] == []
    assert not is_dataclass(Universe)


def test_the_table_names_no_setting_that_does_not_exist() -> None:
    known = set(settings(Universe)) | {"source.options.basis", "traded.cost_bp"}
    assert [name for name in EFFECTS if not any(one == name or one.startswith(f"{name}.") for one in known)] == []


def test_the_table_in_the_docs_is_the_codes() -> None:
    """A row names its settings; those of the last row are all others."""
    rows = dict(re.findall(r"^\| (another design|another record) \|[^|]*\| (.*) \|$", DOCS.read_text(), re.MULTILINE))
    for effect, row in (("design", "another design"), ("record", "another record")):
        told = set(re.findall(r"`([^`]+)`", rows[row])) - {"source.options.basis"}
        assert told == {name for name, one in EFFECTS.items() if one == effect} - {"source.options.basis"}


def read(folder: Path, text: str) -> Design:
    (folder / "tiny.yaml").write_text(text)
    return design_of(load_universe(folder / "tiny.yaml"))


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("description", "description: other words\n"),
        ("cost_bp", "cost_bp: 9\n"),
        ("sessions_per_year", "sessions_per_year: 365\n"),
        ("windows", "windows: {short_calendar_days: 400}\n"),
        ("refit.every", "refit: {every: weekly}\n"),
        ("refit.policy_updates", "refit: {policy_updates: online}\n"),
        ("calendar", "calendar: XLON\n"),
        ("design", "design: {encoder: {n_latents: 4}}\n"),
        ("challengers", "challengers: {four: {encoder: {n_latents: 4}}}\n"),
        ("gate", "gate: {boundary_z: 2.0}\n"),
        ("schedule", "schedule: {at: '01:30'}\n"),
    ],
)
def test_only_a_setting_that_makes_another_design_changes_its_hash(tmp_path: Path, setting: str, line: str) -> None:
    same = read(tmp_path, BASE).hash_for("short") == read(tmp_path, BASE + line).hash_for("short")
    assert same == (effect_of(setting) != "design")


@pytest.mark.parametrize(
    "change",
    [
        ("traded: [SP500]", "traded: [AAPL]"),
        ("[AAPL, MSFT]", "[AAPL, KO]"),
        ("2000-01-03", "2001-01-03"),
        ("{kind: sample}", "{kind: files, options: {folder: prices}}"),
    ],
)
def test_other_data_is_another_design(tmp_path: Path, change: tuple[str, str]) -> None:
    assert read(tmp_path, BASE).hash_for("short") != read(tmp_path, BASE.replace(*change)).hash_for("short")


@pytest.mark.parametrize(
    ("windows", "changed"),
    [("short_calendar_days: 400", ("short",)), ("long_half_life_sessions: 252", ("long",))],
)
def test_a_window_concerns_the_models_of_its_own_horizon(
    tmp_path: Path, windows: str, changed: tuple[str, ...]
) -> None:
    before, after = read(tmp_path, BASE), read(tmp_path, f"{BASE}windows: {{{windows}}}\n")
    assert tuple(one for one in HORIZONS if before.hash_for(one) != after.hash_for(one)) == changed


def test_with_default_windows_both_horizons_keep_the_hash_that_they_once_shared(tmp_path: Path) -> None:
    design = read(tmp_path, BASE)
    assert {design.hash_for(one) for one in HORIZONS} == {design.former_hash}
    other = read(tmp_path, f"{BASE}windows: {{short_calendar_days: 400}}\n")
    assert other.hash_for("short") == other.former_hash != other.hash_for("long")


def test_a_setting_written_at_its_default_is_the_same_design(tmp_path: Path) -> None:
    written: dict[str, Any] = {"design": {"encoder": {"use": "mlp_vae", "n_latents": 3}, "regimes": {"n_regimes": 2}}}
    assert read(tmp_path, BASE).hash_for("short") == read(tmp_path, f"{BASE}design: {written['design']}\n").hash_for(
        "short"
    )


def test_regimes_and_policy_go_by_the_sessions_of_the_universes_year(tmp_path: Path) -> None:
    design, other = read(tmp_path, BASE), read(tmp_path, f"{BASE}sessions_per_year: 365\n")
    assert (design.regime_settings.sessions_per_year, design.policy.settings.sessions_per_year) == (252, 252)
    assert (other.regime_settings.sessions_per_year, other.policy.settings.sessions_per_year) == (365, 365)
    assert other.hash_for("long") == design.hash_for("long")
