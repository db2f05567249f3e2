"""Workflows, compose files, hooks and scripts are what their readers accept; the runners themselves are not here."""

import re
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from regime_assets.cli import main

ROOT = Path(__file__).parents[1]


def accepted(schema: str, *files: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    ended = subprocess.run(command, capture_output=True, text=True)  # noqa: PLW1510
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_workflows_and_compose_files_follow_their_schemas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("check_jsonschema")
    assert main(["init", str(tmp_path / "desk")]) == 0
    assert "desk/universes/desk.yaml" in capsys.readouterr().out
    accepted(
        "github-workflows", *(ROOT / ".github" / "workflows").iterdir(), *tmp_path.glob("desk/.github/workflows/*")
    )
    accepted("compose-spec", tmp_path / "desk" / "compose.yaml")


def test_every_locked_package_installs_on_the_oldest_python_that_is_promised() -> None:
    """A distribution's Python 3.11 may be one of its first releases, Debian 12's is 3.11.2."""
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    oldest = promised.partition(",")[0].removeprefix(">=") + ".0"
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    too_new: list[str] = []
    for name in locked:
        with suppress(PackageNotFoundError):  # of an extra that is not installed here
            needed = metadata(name).json.get("requires_python")  # indexing refuses what a package leaves out
            if needed and not SpecifierSet(needed).contains(oldest):
                too_new.append(f"{name} needs Python {needed}")
    assert too_new == []


def test_every_locked_package_has_its_hashes_pinned() -> None:
    """Made with the command in CONTRIBUTING.md whenever requirements.lock changes."""
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\n]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    hashed = (ROOT / "requirements.hashes").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==([^ ;\n]+).*((?:\n +--hash=sha256:[0-9a-f]{64}.*)+)", hashed, re.MULTILINE)
    assert {(name, version) for name, version, _ in pinned} == {
        (re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in locked
    }


def test_the_hooks_are_read_by_pre_commit_and_need_no_download() -> None:
    pytest.importorskip("pre_commit")
    file = ROOT / ".pre-commit-config.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(file)]
    assert subprocess.run(command, cwd=ROOT).returncode == 0  # noqa: PLW1510
    assert "https://" not in file.read_text()


@pytest.mark.parametrize("script", sorted((ROOT / "bin").iterdir()), ids=lambda path: path.name)
def test_the_commands_are_shell_programs(script: Path) -> None:
    assert subprocess.run(["sh", "-n", str(script)]).returncode == 0  # noqa: PLW1510
