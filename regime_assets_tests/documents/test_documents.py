"""Every block of code in README and docs runs as it stands there, on the desk that the first tutorial makes."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regime_assets.cli import parser
from regime_assets_tests.documents.blocks import PICTURE, Block, Reader, blocks

pytestmark = pytest.mark.xdist_group("documents")  # one desk for all of them

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FIRST, SECOND = (ROOT / "docs" / "tutorials" / f"{name}.md" for name in ("first_signal", "every_day"))
SHORT_RECORD = "walk_forward: {sessions: 126, refit_every: 63}\n"


def reader(folder: Path, patch: pytest.MonkeyPatch) -> Reader:
    """A reader in a folder, with nothing of this process's surroundings."""
    for name in ("REGIME_ASSETS_HOME", "REGIME_ASSETS_UNIVERSES", "MLFLOW_TRACKING_URI"):
        patch.delenv(name, raising=False)
    patch.setenv("DAGSTER_HOME", "")  # put back afterwards
    patch.setenv("REGIME_ASSETS_AUTOMATION", "off")
    patch.syspath_prepend(str(folder))
    return Reader(folder, patch)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of someone who has followed the first tutorial and let a second session run."""
    with pytest.MonkeyPatch.context() as patch:
        typing = reader(tmp_path_factory.mktemp("reader"), patch)
        typing.after_init = SHORT_RECORD
        typing.read(FIRST)
        typing.read(SECOND)
        yield typing.folder


@pytest.fixture(autouse=True)
def nothing_stays_imported() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("my_desk", "my_models")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "path", [path for path in DOCUMENTS if path not in (FIRST, SECOND)], ids=lambda path: path.stem
)
def test_every_block_runs_as_it_stands(path: Path, desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "desk"
    shutil.copytree(desk, copy)
    reader(copy, monkeypatch).read(path)


def test_what_is_not_run_says_why() -> None:
    left_out: dict[str, list[str]] = {}
    for path in DOCUMENTS:
        for example in blocks(path):
            block: Block = example.parsed
            if block.not_run and block.language != PICTURE:
                left_out.setdefault(block.not_run, []).append(f"{path.relative_to(ROOT)}:{example.line}")
    for why, where in left_out.items():
        print(f"{why}: {', '.join(where)}")
    assert all(len(why.split()) > 2 for why in left_out)
    assert sum(map(len, left_out.values())) <= 20, "most blocks run"


def test_the_document_of_commands_names_commands_only_and_all_of_them() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    there = set(parser()._subparsers._group_actions[0].choices)  # pyright: ignore
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`([a-z][a-z-]+)[ `]", row.split("|")[1])}
    assert named == there
