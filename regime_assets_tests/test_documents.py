"""What the documents show works as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from regime_assets.cli import parser

ROOT = Path(__file__).parent.parent


def test_the_first_program_of_the_data_document_runs(tmp_path: Path) -> None:
    (program, *_) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "data.md").read_text(), re.DOTALL)
    (tmp_path / "regime_assets").symlink_to(ROOT / "regime_assets")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(  # noqa: PLW1510
        [sys.executable, "-W", "ignore", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


def test_the_document_of_commands_names_commands_only() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    there = set(parser()._subparsers._group_actions[0].choices)  # pyright: ignore
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`([a-z][a-z-]+)[ `]", row.split("|")[1])}
    assert {"first-run", "status", "history"} <= named
    assert named - there == set(), "docs/commands.md names what is no command"
