"""Sources are named in configuration and imported only when they are asked for."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.market.sources import (
    FACTS_SOURCES,
    SOURCES,
    SourceError,
    create_facts_source,
    create_source,
)


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
