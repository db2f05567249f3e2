"""Up to format 1 of a data folder, promotions were journalled in a file a model, and MLflow's alias decided."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

from regime_assets.library.database_file import DatabaseFile
from regime_assets.library.home import Home
from regime_assets.library.production.promotion_journal import Aliases, Destination, Move, PromotionJournal
from regime_assets.library.production.registry_store import CHAMPION, PREVIOUS, RegistryStore

LEGACY_JOURNAL = ".promotions.jsonl"
"""The end of such a file's name, in `locks/`."""


def import_journal(home: Home, path: Path) -> None:
    """The moves of one model's journal file, and its versions from MLflow, become rows of the universe's database."""
    name = path.name.removesuffix(LEGACY_JOURNAL)
    database = DatabaseFile(home.database(name.rpartition(".")[0]))
    journal = PromotionJournal(database)
    store = RegistryStore(home.mlflow_uri, home.mlflow_artifacts, home.locks)
    for version in store.versions(name):
        journal.add_version(name, version)
    journal.import_moves(name, legacy_moves(path))
    aliases, serving = store.aliases(name), journal.serving(name)
    champion, previous = aliases.get(CHAMPION), aliases.get(PREVIOUS)
    # Up to format 1 the alias decided: what was damaged, lost or changed by hand is taken as it served.
    entry = next((version for version in journal.versions(name) if version.version == champion), None)
    if entry is not None and champion is not None and champion != serving.champion:
        session = max([entry.session, *(move.session for move in journal.moves(name))])
        after = Destination(champion, previous)
        journal.record(name, Move("promotion", session, serving, after, "adopted: MLflow's alias served", ""))


def legacy_moves(path: Path) -> list[Move]:
    """The moves that ended, of a journal of one JSON document a line; damaged lines are passed over."""
    begun: dict[str, dict[str, Any]] = {}
    moves: list[Move] = []
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
            if entry["event"] == "begin":
                begun[entry["id"]] = entry
            elif entry["outcome"] == "completed":
                moves.append(_legacy_move(begun[entry["id"]]))
        except (ValueError, KeyError, TypeError):
            continue
    return moves


def _legacy_move(entry: dict[str, Any]) -> Move:
    return Move(
        kind=entry["kind"],
        session=date.fromisoformat(entry["session"]),
        before=Aliases(*entry["before"]),
        after=Destination(*entry["after"]),
        reason=entry["reason"],
        verdict=entry["verdict"],
        author="",
        identifier=entry["id"],
        made_at=datetime.fromisoformat(entry["at"]),
    )
