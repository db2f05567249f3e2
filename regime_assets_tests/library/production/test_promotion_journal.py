"""A move is one row: it comes back as it was made, and a version is recorded once."""

from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.production.promotion_journal import (
    Aliases,
    Destination,
    JournalledVersion,
    Move,
    PromotionJournal,
)

MODEL = "us.short"
MOVE = Move("promotion", date(2022, 3, 1), Aliases(1, None), Destination(2, 1), "better ≥ 2 %", "accepted")
VERSION = JournalledVersion(2, "ab" * 32, date(2022, 3, 1), None, {"lane": "refresh"})


@pytest.fixture
def journal(tmp_path: Path) -> PromotionJournal:
    return PromotionJournal(DatabaseFile(tmp_path / "us.duckdb"))


def test_a_move_comes_back_as_it_was_made(journal: PromotionJournal) -> None:
    assert journal.moves(MODEL) == []
    assert journal.serving(MODEL) == Aliases(None, None)
    journal.record(MODEL, MOVE)
    assert journal.moves(MODEL) == [MOVE]
    assert MOVE.author
    assert journal.serving(MODEL) == Aliases(2, 1)
    assert journal.moves("us.long") == []


def test_a_version_is_recorded_once_and_can_be_forgotten(journal: PromotionJournal) -> None:
    for tags in (VERSION.tags, {"lane": "another"}):
        journal.add_version(MODEL, JournalledVersion(2, VERSION.sha256, VERSION.session, None, tags))
    assert journal.versions(MODEL) == [VERSION]
    assert journal.model_names() == [MODEL]
    journal.forget_version(MODEL, 2)
    assert journal.versions(MODEL) == []


def test_moves_are_imported_into_an_empty_journal_only(journal: PromotionJournal) -> None:
    journal.import_moves(MODEL, [MOVE])
    journal.import_moves(MODEL, [MOVE, MOVE])
    assert journal.moves(MODEL) == [MOVE]
