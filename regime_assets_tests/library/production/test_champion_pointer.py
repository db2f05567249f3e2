from __future__ import annotations

import threading
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.production.champion_pointer import (
    ChampionPointer,
    PointerError,
    pointer_path,
    read_pointer,
    write_pointer,
)

POINTER = ChampionPointer("us.short", 3, "ab" * 32, date(2022, 3, 1))


def test_a_pointer_comes_back(tmp_path: Path) -> None:
    assert read_pointer(tmp_path, "us.short") is None
    write_pointer(tmp_path, POINTER)
    assert read_pointer(tmp_path, "us.short") == POINTER
    assert POINTER.folder(tmp_path).is_relative_to(tmp_path / "us.short")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"model_name": "us.short"}',
        '{"model_name": "us.long", "version": 1, "sha256": "a", "session": "2022-03-01"}',
        '{"model_name": "us.short", "version": 1, "sha256": "../../elsewhere", "session": "2022-03-01"}',
        '{"model_name": "us.short", "version": 1, "sha256": 5, "session": "2022-03-01"}',
    ],
)
def test_anything_else_is_refused_with_its_path(tmp_path: Path, content: str) -> None:
    path = pointer_path(tmp_path, "us.short")
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(PointerError, match=r"champion\.json"):
        read_pointer(tmp_path, "us.short")


def test_a_reader_sees_the_old_or_the_new_pointer(tmp_path: Path) -> None:
    versions = [ChampionPointer("us.short", n, f"{n:064x}", date(2022, 3, 1)) for n in (1, 2)]
    write_pointer(tmp_path, versions[0])
    done = threading.Event()

    def keep_writing() -> None:
        for turn in range(100):
            write_pointer(tmp_path, versions[turn % 2])
        done.set()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    while not done.is_set():
        assert read_pointer(tmp_path, "us.short") in versions
    writer.join()
    assert [path.name for path in (tmp_path / "us.short").iterdir()] == ["champion.json"]
