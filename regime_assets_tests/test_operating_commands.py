"""Every command of docs/operating.md that keeps a data folder, typed as it stands there, on a real folder."""

import os
import re
import shlex
import tarfile
from pathlib import Path

import pytest

from regime_assets.cli import main
from regime_assets.library.home import HOME_VARIABLE
from regime_assets_tests.library.upkeep.test_upgrade import ARCHIVE, UNIVERSE

DOCUMENT = Path(__file__).parents[1] / "docs" / "operating.md"
KEEPING = ("doctor", "backup", "restore", "heartbeat", "retention")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if any(f"regime-assets {word}" in line for word in KEEPING)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("operating")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(root / "data", filter="data")
    (root / "universes").mkdir()
    (root / "universes" / "us_large_cap.yaml").write_text(UNIVERSE.replace("name: tiny", "name: us_large_cap"))
    (root / "universes" / "tiny.yaml").write_text(UNIVERSE)
    return root


def test_the_document_shows_each_of_them() -> None:
    assert {word for word in KEEPING if any(f"regime-assets {word}" in line for line in commands())} == set(KEEPING)


def test_they_do_what_they_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("REGIME_ASSETS_UNIVERSES", str(folder / "universes"))
    monkeypatch.setenv("DAGSTER_HOME", "")  # put back afterwards
    codes: dict[str, int] = {}
    for line in commands():
        words = shlex.split(line.replace("/mnt/backups", str(folder / "kept")))
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv(HOME_VARIABLE, str(folder / "data"))
            while "=" in words[0]:
                name, _, value = words.pop(0).partition("=")
                patched.setenv(name, str(folder / value))
            codes[line] = main(words[1:])
    told = capsys.readouterr().out
    assert codes.pop("regime-assets doctor") == 1, "the archive has no models/, which its bundles still know"
    assert codes.pop("regime-assets doctor --all") == 1
    assert codes.pop("regime-assets heartbeat") == 1, "the newest signal is of the last session but thirty"
    assert set(codes.values()) == {0}, codes
    assert "taken from the session's bundle" in told
    assert "each verified; from backup" in told
    assert "would be deleted:" in told
    assert (folder / "restored" / "databases" / "tiny.duckdb").exists()
    assert os.environ["DAGSTER_HOME"]
