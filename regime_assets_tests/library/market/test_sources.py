"""Sources are named in configuration and imported only when they are asked for."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from pydantic import ValidationError

from regime_assets.library.market.sources import (
    FACTS_SOURCES,
    SOURCES,
    SourceError,
    create_facts_source,
    create_source,
)
from regime_assets.library.market.sources.base import Fetched, History, assemble, no_actions
from regime_assets.library.universe.sections import SOURCE_OPTIONS, SourceChoice


@pytest.mark.parametrize("kind", SOURCES)
def test_every_named_source_can_be_created(kind: str, tmp_path: Path) -> None:
    source = create_source(kind, {"folder": tmp_path} if kind == "files" else {})
    assert source.name == kind
    assert "close" in source.fields


@pytest.mark.parametrize("kind", SOURCES)
def test_every_source_refuses_hostile_symbols(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPHA_VANTAGE_API_KEY", "demo")
    source = create_source(kind, {"folder": tmp_path} if kind == "files" else {})
    with pytest.raises(SourceError, match="refused symbols"):
        source.fetch(["../x"], date(2020, 1, 2), date(2020, 1, 3))


@pytest.mark.parametrize("kind", FACTS_SOURCES)
def test_every_named_source_of_facts_can_be_created(kind: str) -> None:
    assert create_facts_source(kind).name == kind


def test_facts_are_no_prices() -> None:
    with pytest.raises(SourceError, match="unknown source 'fred'"):
        create_source("fred")


def test_options_reach_the_source(tmp_path: Path) -> None:
    assert create_source("files", {"folder": str(tmp_path), "fields": ["close"]}).fields == ("close",)


def test_an_unknown_source_lists_those_there_are() -> None:
    with pytest.raises(SourceError, match=r"bloomberg.*sample, yahoo, alpha_vantage, files"):
        create_source("bloomberg")


@pytest.mark.parametrize(
    ("kind", "options"), [("files", {}), ("sample", {"folder": "x"}), ("alpha_vantage", {"api_key": "K"})]
)
def test_options_that_a_source_does_not_take_are_refused(kind: str, options: dict[str, str]) -> None:
    with pytest.raises(SourceError, match=f"source {kind}: "):
        create_source(kind, options)


def test_creating_a_source_imports_no_client() -> None:
    program = (
        "import sys; from regime_assets.library.market.sources import create_source;"
        "create_source('yahoo'); create_source('alpha_vantage');"
        "sys.exit(any(name in sys.modules for name in ('yfinance', 'curl_cffi', 'requests')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class OwnSource:
    """A source of a user's own package."""

    name = "own"
    fields = ("close",)
    basis = "as traded"

    def __init__(self, level: float = 100.0) -> None:
        self.level = level

    def fetch(self, symbols: Sequence[str], first: date, last: date) -> Fetched:
        days = pd.DatetimeIndex(pd.bdate_range(first, last), name="session")
        bars = {symbol: History(pd.DataFrame({"close": self.level}, index=days), no_actions()) for symbol in symbols}
        return assemble(bars, {})


class Halved:
    """A class that is no source."""

    name = "halved"


def test_a_source_of_ones_own_is_named_by_its_class_path() -> None:
    source = create_source(f"{__name__}:OwnSource", {"level": 50.0})
    assert source.fetch(["A"], date(2022, 1, 3), date(2022, 1, 4)).bars["close"].tolist() == [50.0, 50.0]


def test_a_source_that_an_installed_package_registers_is_named_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    information = tmp_path / "desk_sources-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: desk-sources\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[regime_assets.sources]\ndesk = {__name__}:OwnSource\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert isinstance(create_source("desk"), OwnSource)
    assert SourceChoice(kind="desk").kind == "desk"
    with pytest.raises(ValidationError, match=r"'dsk' is no source; there are sample, .*, desk, or name"):
        SourceChoice(kind="dsk")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (f"{__name__}:Halved", "has no fields, basis, fetch"),
        (f"{__name__}:Nothing", "has no Nothing"),
        ("no_such_package.prices:Source", "there is no module no_such_package: install it"),
    ],
)
def test_a_class_path_that_leads_nowhere_says_what_to_do(kind: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        create_source(kind)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_universes_file_knows_the_options_of_every_source(kind: str) -> None:
    taken = inspect.signature(getattr(import_module(f"regime_assets.library.market.sources.{kind}"), SOURCES[kind]))
    needed, others = SOURCE_OPTIONS[kind]
    assert list(taken.parameters) == [*needed, *others]
    assert list(needed) == [name for name, one in taken.parameters.items() if one.default is one.empty]
