from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from regime_assets.library.production.promotion_journal import Aliases, Destination, Move, PromotionJournal

MOVE = Move("promotion", date(2022, 3, 1), Aliases(1, None), Destination(2, 1), "better ≥ 2 %", "accepted")


@pytest.fixture
def journal(tmp_path: Path) -> PromotionJournal:
    return PromotionJournal(tmp_path / "journal.jsonl")


def test_a_move_comes_back_with_its_outcome(journal: PromotionJournal) -> None:
    assert journal.moves() == []
    journal.begin(MOVE)
    assert journal.pending() == MOVE
    journal.end(MOVE.identifier, "completed")
    assert journal.pending() is None
    assert journal.moves() == [replace(MOVE, outcome="completed")]


def test_every_cut_of_the_file_reads_as_a_crash_at_that_byte(journal: PromotionJournal) -> None:
    journal.begin(MOVE)
    begun = journal.path.stat().st_size
    journal.end(MOVE.identifier, "completed")
    whole = journal.path.read_bytes()
    after = replace(MOVE, identifier="next")
    for cut in range(len(whole) + 1):
        journal.path.write_bytes(whole[:cut])
        known = [move.identifier for move in journal.moves()]
        assert known == ([MOVE.identifier] if cut >= begun - 1 else [])
        journal.begin(after)  # what follows a torn line is readable all the same
        assert journal.moves()[-1] == after
        assert len(journal.moves()) == len(known) + 1
