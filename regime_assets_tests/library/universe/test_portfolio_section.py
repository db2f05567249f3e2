"""What is held and how, as a universe file says it: the short form stays what it was, and what cannot be is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from regime_assets.library.design import design_of
from regime_assets.library.universe import Universe, UniverseError, load_universe

BASE = """\
name: tiny
source: {kind: sample}
history_start: 2000-01-03
first_partition: 2005-01-03
symbols: [AAPL, MSFT, KO]
"""


def read(folder: Path, text: str) -> Universe:
    (folder / "tiny.yaml").write_text(BASE + text)
    return load_universe(folder / "tiny.yaml")


def test_bare_symbols_are_no_portfolio_and_the_design_is_what_it_was(tmp_path: Path) -> None:
    plain = read(tmp_path, "traded: [SP500]\n")
    assert plain.portfolio is None
    assert "portfolio" not in design_of(plain).document("long")
    assert read(tmp_path, "traded: [{symbol: SP500}]\n").portfolio is None


def test_an_instrument_with_settings_of_its_own_makes_a_portfolio(tmp_path: Path) -> None:
    held = read(tmp_path, "traded: [SP500, {symbol: KO, role: refuge, cost_bp: 5}]\n")
    assert held.portfolio is not None
    assert held.refuges == ("KO",)
    assert [one.cost_bp for one in held.holdings] == [None, 5]


@pytest.mark.parametrize(
    "change",
    ["role: refuge", "most: 0.5"],
)
def test_roles_and_bounds_are_another_design_and_a_cost_is_not(tmp_path: Path, change: str) -> None:
    one = design_of(read(tmp_path, "traded: [SP500, JNJ, {symbol: KO, cost_bp: 5}]\n"))
    dear = design_of(read(tmp_path, "traded: [SP500, JNJ, {symbol: KO, cost_bp: 50}]\nportfolio: {cash: 0.02}\n"))
    other = design_of(read(tmp_path, f"traded: [SP500, JNJ, {{symbol: KO, cost_bp: 5, {change}}}]\n"))
    assert one.hash_for("long") == dear.hash_for("long")
    assert one.hash_for("long") != other.hash_for("long")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("traded: [{symbol: KO, role: refuge}]\n", 6, "name what is held when it is on"),
        ("traded:\n  - SP500\n  - {symbol: KO, role: shelter}\n", 8, "'risk' or 'refuge'"),
        ("traded:\n  - SP500\n  - {symbol: KO, least: 0.6, most: 0.5}\n", 8, "least 0.6 is above most 0.5"),
        ("traded:\n  - {symbol: SP500, most: 0.5}\n", 7, "add up to less than 1"),
        ("traded: [SP500]\nportfolio: {risk_on: 1.5}\n", 7, "needs borrowing"),
        ("traded: [SP500]\nportfolio: {risk_off: -0.2}\n", 7, "needs shorting"),
        ("traded: [SP500]\nportfolio: {cash: {series: DTB3}}\n", 7, "DTB3 is none of the series of macro"),
        ("traded: [SP500]\nportfolio: {cash: {}}\n", 7, "name one of the two"),
        ("traded: [SP500]\nportfolio:\n  allocation: best\n", 8, "equal_parts"),
    ],
)
def test_what_cannot_be_held_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(UniverseError, match=rf"tiny\.yaml:{line}: .*{said}"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("limit", "said"), [("highest_exposure: 2.0", "borrows"), ("lowest_exposure: -0.5", "sells short")]
)
def test_an_exposure_that_nobody_pays_for_is_refused(tmp_path: Path, limit: str, said: str) -> None:
    text = f"traded: [SP500]\ndesign:\n  policy:\n    use: residual\n    trading: {{{limit}}}\n"
    with pytest.raises(UniverseError, match=said):
        design_of(read(tmp_path, text))
    priced = "portfolio: {borrowing: {most: 2, rate: 0.02}, shorting: {most: 0.5, rate: 0.01}}\n"
    with pytest.raises(UniverseError, match=r"portfolio\.borrowing\.most: 2 is above gate\.exposure_limit 1"):
        read(tmp_path, text + priced)
    priced += "gate: {exposure_limit: 2}\n"
    assert design_of(read(tmp_path, text + priced)).portfolio is not None
