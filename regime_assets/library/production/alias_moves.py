"""Moving the champion: several writes that a crash may cut anywhere, made one by the promotion journal.

The order is: intention on the disk, `previous`, `champion`, pointer file, tags, end on the disk. Whatever was cut, the
champion alias names the old version or the new one, and the next caller completes or abandons the move.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from regime_assets.library.production.champion_pointer import (
    ChampionPointer,
    PointerError,
    read_pointer,
    write_pointer,
)
from regime_assets.library.production.names import checked_name
from regime_assets.library.production.promotion_journal import Aliases, Move, PromotionJournal
from regime_assets.library.production.registry_store import CHAMPION, PREVIOUS, RegisteredBundle, RegistryStore

PROMOTION_TAG, ROLLED_BACK_TAG = "promotion", "rolled_back"


class AliasMoves:
    """Journalled moves of `champion` and `previous`. Whoever writes through it holds the model's lock."""

    def __init__(self, store: RegistryStore, artifact_root: Path, lock_folder: Path) -> None:
        self._store = store
        self._artifact_root = artifact_root
        self._lock_folder = lock_folder

    def journal(self, model_name: str) -> PromotionJournal:
        """The model's journal."""
        name = checked_name(model_name, "model name")
        return PromotionJournal(self._lock_folder / f"{name}.promotions.jsonl")

    def aliases(self, model_name: str) -> Aliases:
        """What the two aliases name now."""
        aliases = self._store.aliases(model_name)
        return Aliases(champion=aliases.get(CHAMPION), previous=aliases.get(PREVIOUS))

    def effective_from(self, model_name: str, session: date) -> date:
        """The session as of which a move may hold: `session`, or that of the last move when it is later.

        What served a session that is past stays as it was, even when a human lets an old version serve again.
        """
        completed = [move.session for move in self.journal(model_name).moves() if move.outcome == "completed"]
        return max([session, *completed[-1:]])

    def carry_out(self, model_name: str, move: Move) -> RegisteredBundle:
        """Make the move; return the new champion."""
        self.journal(model_name).begin(move)
        self._store.set_alias(model_name, PREVIOUS, move.after.previous)
        self._store.set_alias(model_name, CHAMPION, move.after.champion)
        return self._settle(model_name, move)

    def recover(self, model_name: str) -> None:
        """Complete a killed move whose champion had already changed, abandon it otherwise."""
        move = self.journal(model_name).pending()
        if move is None:
            return
        if self.aliases(model_name).champion == move.after.champion:
            self._settle(model_name, move)
            return
        self._store.set_alias(model_name, PREVIOUS, move.before.previous)
        self.point(model_name)
        self.journal(model_name).end(move.identifier, "abandoned")

    def point(self, model_name: str) -> RegisteredBundle | None:
        """Let the pointer file name the champion that the alias names; return it, None when there is none."""
        version = self.aliases(model_name).champion
        if version is None:
            return None
        served = self._store.version(model_name, version)
        if not self.is_pointed_at(served):
            write_pointer(self._artifact_root, _pointer_to(served))
        return served

    def is_pointed_at(self, served: RegisteredBundle) -> bool:
        """Whether the pointer file names this version."""
        try:
            return read_pointer(self._artifact_root, served.model_name) == _pointer_to(served)
        except PointerError:
            return False

    def replaced_by(self, wanted: RegisteredBundle, leaving: int) -> int | None:
        """The champion that `wanted` replaced when it was promoted, if it still exists and was never rolled back."""
        usable = {v.version for v in self._store.versions(wanted.model_name) if ROLLED_BACK_TAG not in v.tags}
        usable -= {leaving, wanted.version}
        replacer = wanted.version
        for move in reversed(self.journal(wanted.model_name).moves()):
            if move.kind != "promotion" or move.outcome != "completed" or move.after.champion != replacer:
                continue
            if move.before.champion is None or move.before.champion in usable:
                return move.before.champion
            replacer = move.before.champion
        return None

    def _settle(self, model_name: str, move: Move) -> RegisteredBundle:
        """What follows the move of the champion alias; repeated harmlessly after a crash."""
        self._store.set_alias(model_name, PREVIOUS, move.after.previous)
        self.point(model_name)
        champion = self._store.version(model_name, move.after.champion)
        if move.kind == "promotion":
            self._store.set_tag(model_name, champion.version, PROMOTION_TAG, move.verdict)
            if ROLLED_BACK_TAG in champion.tags:
                self._store.set_tag(model_name, champion.version, ROLLED_BACK_TAG, None)
        elif move.before.champion is not None:
            self._store.set_tag(model_name, move.before.champion, ROLLED_BACK_TAG, move.reason)
        self.journal(model_name).end(move.identifier, "completed")
        return self._store.version(model_name, champion.version)


def _pointer_to(served: RegisteredBundle) -> ChampionPointer:
    return ChampionPointer(served.model_name, served.version, served.sha256, served.session)
