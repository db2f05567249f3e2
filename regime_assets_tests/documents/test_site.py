"""The site is built without a warning, with its notebooks executed and its examples true."""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = re.findall(r"^::: (\S+)", "\n".join(p.read_text() for p in (ROOT / "docs/reference").glob("*.md")), re.M)


def test_the_site_is_built_without_a_warning_and_its_notebooks_run(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)  # noqa: PLW1510
    assert ended.returncode == 0, ended.stderr[-4000:]
    notebooks = sorted((tmp_path / "site" / "notebooks").glob("*/index.html"))
    assert len(notebooks) == 3
    for page in notebooks:
        assert "jp-OutputArea-output" in page.read_text(), f"{page.parent.name} was not executed"


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_the_reference_are_true(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "regime_assets").symlink_to(ROOT / "regime_assets")
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_the_reference_has_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    shown = [one for name in MODULES for one in finder.find(importlib.import_module(name)) if one.examples]
    assert len(shown) >= 10
