"""A component of the user's own is used once it kept its promises on the universe's prices; one that peeks is named."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from regime_assets.library.design import Component, Design
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.home import Home
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.production.bundle import BundleError, load_bundle, save_bundle
from regime_assets.library.steps.admission import TABLE, NotAdmittedError, require_admitted
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe import UniverseError, load_universe
from regime_assets.library.universe.design_section import SLOTS
from regime_assets.library.workspace import Workspace
from regime_assets_tests.library.production.bundles import random_bundle

UNIVERSE = """\
name: tiny
source: {kind: sample}
history_start: 2013-01-02
first_partition: 2015-01-02
last_partition: 2018-12-31
symbols: [AAPL, JPM, KO]
traded: [SP500]
"""
LAST = date(2016, 6, 30)
FEATURES = """
import numpy as np
import pandas as pd
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from regime_assets.library.features.protocol import feature


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Spread:
    fast: int = 5
    slow: int = 60
    shift: int = 0
    shuffled: bool = False
    endless: bool = False


@feature(Spread, version=1, memory=lambda settings: settings.slow + 1)
def term_structure(inputs, settings):
    returns = inputs.market_returns
    fast, slow = (returns.rolling(window).std() for window in (settings.fast, settings.slow))
    ratio = (fast / slow).shift(-settings.shift)
    if settings.endless:
        ratio = ratio + returns.fillna(0.0).cumsum()
    if settings.shuffled:
        ratio = ratio * (1 + hash("seeded by the process") % 97)
    return pd.DataFrame({"term_structure": ratio.ffill().bfill().loc[inputs.sessions]})
"""
ENCODER = """
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import nn

from regime_assets.library.encoders.settings import EncoderSettings


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LinearSettings(EncoderSettings):
    looks_at_the_batch: bool = False


class LinearVae(nn.Module):
    Settings = LinearSettings
    version = 1

    def __init__(self, n_features, settings):
        super().__init__()
        self.shape, self.leaky = (settings.sequence_length, n_features), settings.looks_at_the_batch
        wide = n_features * settings.sequence_length
        self.down, self.up = nn.Linear(wide, 2 * settings.n_latents), nn.Linear(settings.n_latents, wide)

    def encode(self, sequences):
        rows = sequences.flatten(1)
        if self.leaky:
            rows = rows - rows.mean(dim=0, keepdim=True)
        return self.down(rows).chunk(2, dim=1)

    def decode(self, latents):
        return self.up(latents).unflatten(1, self.shape)
"""
REGIMES = """
import numpy as np
from dataclasses import dataclass
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as settings

from regime_assets.library.artifact import Parts
from regime_assets.library.regimes.persistence import Filtered
from regime_assets.library.regimes.segmentation import FittedRegimes
from regime_assets.library.regimes.settings import RegimeSettings


@settings(frozen=True, config=ConfigDict(extra="forbid"))
class BorderSettings(RegimeSettings):
    breaks: str = ""


@dataclass(frozen=True)
class Border:
    centre: np.ndarray
    border: float
    breaks: str = ""

    Settings = BorderSettings
    version = 1
    names = ("calm", "turbulent")

    @staticmethod
    def fit(window, settings, seed, previous):
        centre = window.rows.mean(axis=0)
        border = float(np.quantile(np.linalg.norm(window.rows - centre, axis=1), 0.8))
        if settings.breaks == "shuffled":
            border *= 1 + hash("seeded by the process") % 97
        return FittedRegimes(Border(centre, border, settings.breaks))

    def filter(self, rows):
        distance = np.linalg.norm(rows - (rows.mean(axis=0) if self.breaks == "peeks" else self.centre), axis=1)
        turbulent = 1 / (1 + np.exp(-4 * (distance / self.border - 1)))
        if self.breaks == "three":
            return Filtered(np.column_stack([turbulent] * 3) / 3, np.zeros(len(rows), np.int64))
        return Filtered(np.column_stack([1 - turbulent, turbulent]), (turbulent > 0.5).astype(np.int64))

    def to_parts(self):
        return Parts({"centre": self.centre}, {"border": self.border, "breaks": self.breaks})

    @staticmethod
    def from_parts(parts):
        border = Border(parts.arrays["centre"], **parts.document)
        return Border(border.centre * 2, border.border) if border.breaks == "forgets" else border
"""
POLICIES = """
import numpy as np
from dataclasses import dataclass
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as settings

from regime_assets.library.artifact import Parts
from regime_assets.library.policies.settings import OwnPolicySettings


@settings(frozen=True, config=ConfigDict(extra="forbid"))
class FloorSettings(OwnPolicySettings):
    breaks: str = ""


@dataclass(frozen=True)
class Floor:
    base: np.ndarray
    floor: float
    breaks: str = ""

    Settings = FloorSettings
    version = 1

    @staticmethod
    def fit(tape, settings, seed, previous):
        floor = np.random.default_rng(None if settings.breaks == "shuffled" else seed).uniform(0.1, 0.3)
        return Floor(tape.base_weights, float(floor), settings.breaks)

    def decide(self, observations, rule_exposure):
        if self.breaks == "peeks":
            rule_exposure = np.append(rule_exposure[1:], 0.0)
        return np.maximum(rule_exposure, self.floor)[:, None] * self.base

    def to_parts(self):
        return Parts({"base": self.base}, {"floor": self.floor, "breaks": self.breaks})

    @staticmethod
    def from_parts(parts):
        return Floor(parts.arrays["base"], **parts.document)
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A package of the user's outside the repository."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "their_models").mkdir()
    (folder / "their_models" / "__init__.py").write_text("")
    (folder / "their_models" / "features.py").write_text(FEATURES)
    (folder / "their_models" / "encoders.py").write_text(ENCODER)
    (folder / "their_models" / "regimes.py").write_text(REGIMES)
    (folder / "their_models" / "policies.py").write_text(POLICIES)
    sys.path.insert(0, str(folder))
    yield folder / "their_models"
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("universe")
    (folder / "tiny.yaml").write_text(UNIVERSE)
    opened = Workspace(load_universe(folder / "tiny.yaml"), Home(folder / "home"))
    fetched = SampleSource().fetch(opened.universe.instruments, opened.universe.history_start, LAST)
    opened.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), opened.calendar)
    return opened


def with_feature(workspace: Workspace, **settings: object) -> Workspace:
    from their_models.features import Spread  # pyright: ignore[reportMissingImports]

    own = Component("features", "their_models.features:term_structure", Spread(**settings))
    return workspace.under(Design(features=(*Design().features, own)))


def with_encoder(workspace: Workspace, **settings: object) -> Workspace:
    from their_models.encoders import LinearSettings  # pyright: ignore[reportMissingImports]

    own = Component("encoders", "their_models.encoders:LinearVae", LinearSettings(n_latents=2, **settings))
    return workspace.under(Design(encoder=own))


@pytest.mark.usefixtures("package")
def test_a_feature_and_an_encoder_that_keep_their_promises_are_used(workspace: Workspace) -> None:
    chosen = with_feature(workspace)
    assert "term_structure" in validate_window(chosen, "short", LAST).training.features.columns
    require_admitted(with_encoder(workspace), LAST)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"shift": 1},
            r"their_models.features:term_structure is not admitted: it looks ahead: its row of 2014-03-13",
        ),
        ({"endless": True}, r"more than 61 sessions back, which is the memory it states"),
        ({"shuffled": True}, r"other numbers in another process"),
    ],
)
def test_a_feature_that_breaks_a_promise_is_refused_by_name_before_a_window_is_stored(
    workspace: Workspace, settings: dict[str, object], words: str
) -> None:
    chosen = with_feature(workspace, **settings)
    with pytest.raises(NotAdmittedError, match=words):
        validate_window(chosen, "short", LAST)


@pytest.mark.usefixtures("package")
def test_an_encoder_that_reads_its_batch_is_refused(workspace: Workspace) -> None:
    with pytest.raises(NotAdmittedError, match=r"LinearVae is not admitted: it looks ahead: its row of"):
        require_admitted(with_encoder(workspace, looks_at_the_batch=True), LAST)


def with_regimes(workspace: Workspace, breaks: str = "") -> Workspace:
    from their_models.regimes import BorderSettings  # pyright: ignore[reportMissingImports]

    own = Component("regimes", "their_models.regimes:Border", BorderSettings(breaks=breaks))
    return workspace.under(Design(regimes=own))


def with_policy(workspace: Workspace, breaks: str = "") -> Workspace:
    from their_models.policies import FloorSettings  # pyright: ignore[reportMissingImports]

    own = Component("policies", "their_models.policies:Floor", FloorSettings(breaks=breaks))
    return workspace.under(Design(policy=own))


@pytest.mark.usefixtures("package")
def test_regimes_and_a_policy_that_keep_their_promises_are_used(workspace: Workspace) -> None:
    require_admitted(with_regimes(workspace), LAST)
    require_admitted(with_policy(workspace), LAST)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        ("peeks", r"Border is not admitted: it looks ahead: its row of"),
        ("shuffled", r"gives? other regimes in another process"),
        ("three", r"it gives 3 posteriors and 2 names of \d+ sessions where 2 of \d+ are asked"),
        ("forgets", r"other regimes after it was stored and read again"),
    ],
)
def test_regimes_that_break_a_promise_are_refused_by_name(workspace: Workspace, breaks: str, words: str) -> None:
    with pytest.raises(NotAdmittedError, match=words):
        require_admitted(with_regimes(workspace, breaks), LAST)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        ("peeks", r"Floor is not admitted: it looks ahead: its row of"),
        ("shuffled", r"give another policy when it is fitted again"),
    ],
)
def test_a_policy_that_breaks_a_promise_is_refused_by_name(workspace: Workspace, breaks: str, words: str) -> None:
    with pytest.raises(NotAdmittedError, match=words):
        require_admitted(with_policy(workspace, breaks), LAST)


def test_a_verdict_is_kept_until_the_code_changes(
    workspace: Workspace, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regime_assets.library.steps import admission

    examined: list[str] = []
    real = admission.examine
    monkeypatch.setattr(admission, "examine", lambda *given: (examined.append("once"), real(*given))[1])
    chosen = with_feature(workspace, fast=7)
    for _ in range(2):
        require_admitted(chosen, LAST)
    assert examined == ["once"]
    (package / "notes.py").write_text("CHANGED = True\n")
    require_admitted(chosen, LAST)
    assert examined == ["once", "once"]
    assert set(workspace.database.read_partition(TABLE, {"universe": "tiny"})["slot"]) <= set(SLOTS.values())


@pytest.mark.usefixtures("package")
def test_a_bundle_imports_only_what_the_universe_names(workspace: Workspace, tmp_path: Path) -> None:
    own = with_encoder(workspace).design.encoder
    bundle = random_bundle()
    vae = replace(bundle.regimes.vae, use=own.use, settings=own.settings)
    hashed = save_bundle(replace(bundle, regimes=replace(bundle.regimes, vae=vae)), tmp_path)
    with pytest.raises(BundleError, match=r"made with their_models.encoders:LinearVae, which the universe does not"):
        load_bundle(tmp_path, hashed)
    assert isinstance(load_bundle(tmp_path, hashed, {own.use}).regimes.vae, FittedEncoder)


@pytest.mark.usefixtures("package")
def test_settings_of_a_users_component_are_refused_with_their_line_when_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        f"{UNIVERSE}design:\n  encoder:\n    use: their_models.encoders:LinearVae\n    deep: 3\n"
    )
    universe = load_universe(tmp_path / "tiny.yaml")
    with pytest.raises(UniverseError, match=r"tiny.yaml:11: design.encoder.deep: .*nexpected"):
        _ = Workspace(universe, Home(tmp_path)).design
