from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from regime_assets.library.monitoring.drift import (
    DriftError,
    DriftSettings,
    DriftThresholds,
    day_level_features,
    measure_drift,
    split_reference,
)
from regime_assets.library.monitoring.evidently_report import write_evidently_report
from regime_assets_tests.library.monitoring.markets import clustered_returns
from regime_assets_tests.library.monitoring.test_drift import thresholds

SETTINGS = DriftSettings(reference_sessions=200, windows=(5, 10))

Split = tuple[pd.DataFrame, pd.DataFrame, DriftThresholds]


@pytest.fixture
def split() -> Split:
    returns = clustered_returns(300, 5, seed=3)
    returns.iloc[-5:] *= 3
    reference, current = split_reference(day_level_features(returns), SETTINGS)
    return reference, current, thresholds(("return", "dispersion", "rms"), bound=1.5)


def test_evidently_finds_the_distances_and_the_verdict_that_we_find(split: Split, tmp_path: Path):
    figures = write_evidently_report(*split, tmp_path / "drift.html")
    ours = measure_drift(*split)
    nearest = ours.scores.sort_values("ratio").groupby("feature").tail(1)
    names = nearest["feature"] + ", " + nearest["window"].astype(str) + " sessions"
    expected = dict(zip(names, nearest["distance"], strict=True))
    assert {name: figures.distances[name] for name in names} == pytest.approx(expected, rel=1e-9)
    assert figures.drifted == ours.drifted is True
    assert figures.share == pytest.approx(nearest["drifted"].mean())


def test_columns_without_a_bound_are_shown_and_never_decide(split: Split, tmp_path: Path):
    reference, current, bounds = split
    names = list(bounds.features)
    calm = DriftThresholds.from_parts(thresholds(bounds.features, bound=100.0).to_parts())
    reference = reference[names].assign(posterior=np.linspace(0, 0.01, len(reference)), always=0.0)
    current = current[names].assign(posterior=1.0, always=1.0)
    figures = write_evidently_report(reference, current, calm, tmp_path / "drift.html")
    assert figures.distances["posterior"] > 100
    assert figures.left_out == ("always",)
    assert not figures.drifted
    assert figures.share == 0


def test_page_needs_no_network_and_shares_its_program(split: Split, tmp_path: Path):
    for name in ("drift.html", "another.html"):
        write_evidently_report(*split, tmp_path / "new" / name)
    page = (tmp_path / "new" / "drift.html").read_text()
    places = re.findall(r'<(?:script src|link rel="stylesheet" href)="([^"]*)"', page)
    assert {Path(place).suffix for place in places} == {".js", ".css"}
    assert {path.name for path in (tmp_path / "new" / "shared").iterdir()} == {Path(place).name for place in places}
    assert len(page) < 1_000_000


def test_evidentlys_defaults_are_reported_beside(split: Split, tmp_path: Path):
    reference, _, bounds = split
    alike = reference.iloc[-10:].set_axis(pd.bdate_range("2020-01-01", periods=10))
    same = write_evidently_report(reference, alike, bounds, tmp_path / "drift.html")
    assert not same.default_drifted
    assert write_evidently_report(*split, tmp_path / "drift.html").default_share > same.default_share


def test_value_that_is_not_finite_is_named_and_nothing_written(split: Split, tmp_path: Path):
    reference, current, bounds = split
    current = current.assign(latent_0=np.nan)
    with pytest.raises(DriftError, match="latent_0 is nan"):
        write_evidently_report(reference.assign(latent_0=1.0), current, bounds, tmp_path / "drift.html")
    assert not (tmp_path / "drift.html").exists()
