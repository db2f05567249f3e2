"""`design:` and `challengers:` say what is used; what is wrong is refused with its line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from regime_assets.library.design import design_of, designs_of
from regime_assets.library.regimes.settings import MixtureSettings
from regime_assets.library.universe import Universe, UniverseError, design_section, load_universe

BASE = """\
name: tiny
source: {kind: sample}
history_start: 2000-01-03
first_partition: 2005-01-03
symbols: [AAPL, MSFT]
traded: [SP500]
"""


def read(folder: Path, text: str) -> Universe:
    (folder / "tiny.yaml").write_text(BASE + text)
    return load_universe(folder / "tiny.yaml")


def test_what_is_left_out_is_the_shipped_design(tmp_path: Path) -> None:
    shipped = design_of(read(tmp_path, ""))
    assert [one.use for one in shipped.components] == ["market_risk", "mlp_vae", "jump", "tilts"]
    assert design_of(read(tmp_path, "design: {encoder: gru_vae}\n")).encoder.use == "gru_vae"


def test_a_challenger_says_only_what_differs(tmp_path: Path) -> None:
    universe = read(
        tmp_path,
        """\
design:
  encoder: {n_latents: 4, hidden: [16]}
  regimes: {use: mixture, n_regimes: 3, persistence: {target_switches_per_year: 2}}
  policy: {use: residual, algorithm: ppo}
challengers:
  five_latents: {encoder: {n_latents: 5}}
  recurrent: {encoder: {use: gru_vae}}
  calmer: {regimes: {persistence: {tolerance: 0.5}}}
""",
    )
    designs = designs_of(universe)
    assert list(designs) == ["design", "five_latents", "recurrent", "calmer"]
    assert len({design.hash_for("long") for design in designs.values()}) == 4
    five, recurrent = designs["five_latents"].encoder_settings, designs["recurrent"].encoder
    assert (five.n_latents, getattr(five, "hidden")) == (5, (16,))  # noqa: B009 (a setting of one encoder only)
    assert (recurrent.use, recurrent.settings.n_latents) == ("gru_vae", 3), "another encoder has its own defaults"
    calmer = designs["calmer"].regime_settings
    assert isinstance(calmer, MixtureSettings)
    assert (calmer.n_regimes, calmer.persistence.target_switches_per_year, calmer.persistence.tolerance) == (3, 2, 0.5)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("design:\n  encoder: {n_latent: 4}\n", 8, "design.encoder.n_latent"),
        ("design:\n  encoder:\n    use: mlp_vae\n    epochs: many\n", 10, "design.encoder.epochs"),
        ("design:\n  encoder: lstm\n", 8, "design.encoder: 'lstm' is none of encoders"),
        ("design:\n  encoder: nowhere_to_be_found:Encoder\n", 8, "design.encoder: there is no module nowhere"),
        ("design:\n  regimes: {n_regimes: 6}\n", 8, "design.regimes.n_regimes"),
        ("design:\n  colour: red\n", 8, "design.colour"),
        ("design:\n  features: [market_risk, market_risk]\n", 8, "design.features.1: market_risk is named twice"),
        ("design:\n  policy: {sessions_per_year: 365}\n", 8, "design.policy: sessions_per_year of a policy"),
        ("design:\n  defaults: 7\n", 8, "design.defaults"),
        ("challengers:\n  four:\n    encoder: {n_latents: 0}\n", 9, "challengers.four.encoder"),
        ("challengers:\n  Four: {}\n", 8, "challengers.Four"),
        ("challengers:\n  gmm: {encoder: {n_latents: 4}}\n", 8, "challengers.gmm: gmm is what a horizon, an asset"),
        ("challengers:\n  short: {encoder: {n_latents: 4}}\n", 8, "challengers.short: short is what a horizon"),
        ("challengers:\n  a__b: {encoder: {n_latents: 4}}\n", 8, "challengers.a__b: a__b holds two underscores"),
        (
            "challengers:\n  same: {encoder: {n_latents: 3}}\n",
            8,
            "challengers.same: same is the same design as `design`",
        ),
        (
            "challengers:\n  one: {encoder: {n_latents: 4}}\n  two: {encoder: {n_latents: 4}}\n",
            9,
            "challengers.two: two is the same design as one",
        ),
        (
            "design:\n  features:\n    - use: market_risk\n      settings:\n        trend: 5\n",
            11,
            "design.features.0.trend",
        ),
    ],
)
def test_what_is_wrong_points_to_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(UniverseError, match=rf"tiny.yaml:{line}: {words}"):
        read(tmp_path, text)


def test_an_edition_of_the_defaults_changes_only_the_universes_that_ask_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = design_of(read(tmp_path, "")).hash_for("long")
    newer: Mapping[int, Any] = {1: {}, 2: {("encoders", "mlp_vae"): {"n_latents": 5}}}
    monkeypatch.setattr(design_section, "EDITIONS", newer)
    assert design_of(read(tmp_path, "")).hash_for("long") == before
    asked = design_of(read(tmp_path, "design: {defaults: 2}\n"))
    assert asked.encoder_settings.n_latents == 5
    assert asked.hash_for("long") != before
    assert design_of(read(tmp_path, "design: {defaults: 2, encoder: {n_latents: 3}}\n")).hash_for("long") == before
