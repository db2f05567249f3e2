"""Mirrors of the promotion journal: aliases and tags in MLflow, and the pointer file that the service follows.

Whoever reads them reads what the journal said last. Where they differ from it, a crash came between or somebody moved
an alias in MLflow's UI, which knows no author and no reason: the journal is mirrored again, and it is said. A store
that has lost a model's versions gets them back under their numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from regime_assets.library.production.bundle import BundleError, verify_bundle
from regime_assets.library.production.champion_pointer import (
    ChampionPointer,
    PointerError,
    read_pointer,
    write_pointer,
)
from regime_assets.library.production.promotion_journal import (
    Aliases,
    Destination,
    JournalledVersion,
    Move,
    PromotionJournal,
)
from regime_assets.library.production.registry_store import (
    CHAMPION,
    PREVIOUS,
    PROMOTION_TAG,
    ROLLED_BACK_TAG,
    RegisteredBundle,
    RegistryStore,
)

_log = logging.getLogger(__name__)


class Mirrors:
    """Keeps MLflow and the pointer files like the journal. Whoever writes through it holds the model's lock."""

    def __init__(self, journal: PromotionJournal, store: RegistryStore, artifact_root: Path) -> None:
        self._journal = journal
        self._store = store
        self._artifact_root = artifact_root

    def point(self, served: RegisteredBundle) -> bool:
        """Let the pointer file name the champion; say whether it named something else."""
        if self._is_pointed_at(served):
            return False
        write_pointer(self._artifact_root, _pointer_to(served))
        return True

    def disagreements(self, model_name: str, served: RegisteredBundle | None) -> list[str]:
        """What differs from the journal, a sentence each; changes nothing."""
        serving, aliases = self._journal.serving(model_name), self._store.aliases(model_name)
        known = {entry.version for entry in self._journal.versions(model_name)}
        registered = {entry.version for entry in self._store.versions(model_name)}
        told = [f"{model_name}: MLflow has no version {version}" for version in sorted(known - registered)]
        told += [f"{model_name}: the journal has no version {version}" for version in sorted(registered - known)]
        for alias, version in ((CHAMPION, serving.champion), (PREVIOUS, serving.previous)):
            if aliases.get(alias) != version and (version is None or version in known):
                named = _version(aliases.get(alias))
                told.append(f"{model_name}: the alias {alias} names {named}, the journal {_version(version)}")
        if served is not None and not self._is_pointed_at(served):
            told.append(f"{model_name}: the pointer file does not name version {served.version}, which serves")
        return told

    def _is_pointed_at(self, served: RegisteredBundle) -> bool:
        try:
            return read_pointer(self._artifact_root, served.model_name) == _pointer_to(served)
        except PointerError:
            return False

    def reconcile(self, model_name: str) -> list[str]:
        """Make MLflow like the journal; return what differed, a sentence each, which is logged too.

        Raises:
            RegistryError: MLflow's store cannot be reached or read.
        """
        told = [*self._reconcile_versions(model_name), *self._reconcile_aliases(model_name)]
        self._reconcile_tags(model_name)
        for sentence in told:
            _log.warning(sentence)
        return told

    def read_ahead(self, model_name: str, move: Move) -> tuple[int | None, dict[str, int | None], list[Move]]:
        """What `follow` reads: the version whose tags change, the one of each alias, and that version's moves."""
        version = move.after.champion if move.kind == "promotion" else move.before.champion
        with self._journal.together():
            moves = [] if version is None else self._journal.moves_of(model_name, version)
            return version, self._served(model_name), moves

    def follow(self, model_name: str, move: Move) -> None:
        """Let aliases and tags say what they say since the journal's newest move, of a store that was in step with it.

        Raises:
            RegistryError: MLflow's store cannot be reached or read.
        """
        version, serving, moves = self.read_ahead(model_name, move)
        self._set_aliases(model_name, serving)
        if version is None:
            return
        *earlier, newest = moves
        had, wanted = (promotion_tags(moves).get(version, {}) for moves in (earlier, [*earlier, newest]))
        self._set_tags(model_name, version, had, wanted)

    def _reconcile_versions(self, model_name: str) -> list[str]:
        known = {entry.version: entry for entry in self._journal.versions(model_name)}
        registered = {entry.version: entry for entry in self._store.versions(model_name)}
        for entry in registered.values():
            if entry.version not in known:  # a crash between the two records, or a journal that was lost
                own = {
                    name: value for name, value in entry.tags.items() if name not in (PROMOTION_TAG, ROLLED_BACK_TAG)
                }
                self._journal.add_version(model_name, replace(entry, tags=own))
        missing = [entry for version, entry in known.items() if version not in registered]
        if not missing:
            return self._adopt(model_name)
        if not self._store.knows(model_name):
            return self._register_again(model_name, missing)
        later = [entry for entry in missing if entry.version > max(registered, default=0)]
        told = self._register_later(model_name, later, max(registered, default=0)) if later else []
        gone = [entry for entry in missing if entry not in later] if told else missing
        return told + [line for entry in gone for line in self._accept_deletion(model_name, entry)]

    def _adopt(self, model_name: str) -> list[str]:
        """A model that the journal has no move of, and MLflow has a champion of: the journal was lost."""
        if self._journal.moves(model_name):
            return []
        aliases = self._store.aliases(model_name)
        champion = aliases.get(CHAMPION)
        entry = next((v for v in self._journal.versions(model_name) if v.version == champion), None)
        if entry is None:
            return []
        reason = "adopted from the alias in MLflow: the journal knew no promotion"
        after = Destination(entry.version, aliases.get(PREVIOUS))
        move = Move("promotion", entry.session, Aliases(None, None), after, reason, entry.tags.get("verdict", ""))
        self._journal.record(model_name, move)
        return [f"{model_name}: the journal knew no promotion; version {champion}, MLflow's champion, was adopted"]

    def _register_again(self, model_name: str, entries: Sequence[JournalledVersion]) -> list[str]:
        """A store that does not know the model: MLflow numbers from 1 on, so gaps are filled and deleted."""
        for number in range(1, max(entry.version for entry in entries) + 1):
            entry = next((entry for entry in entries if entry.version == number), None)
            if entry is not None:
                self._store.create_version(model_name, entry.sha256, None, entry.tags)
            else:
                self._store.delete_version(model_name, self._store.create_version(model_name, "deleted", None, {}))
        return [f"{model_name}: MLflow did not know it; {len(entries)} versions were registered again"]

    def _register_later(self, model_name: str, entries: Sequence[JournalledVersion], newest: int) -> list[str]:
        """A store that is older than the journal numbers on where it stopped; one whose versions were deleted does not.

        Returns:
            What was done; nothing where the versions were deleted.
        """
        by_number = {entry.version: entry for entry in entries}
        for number in range(newest + 1, max(by_number) + 1):
            entry = by_number.get(number)
            given = self._store.create_version(
                model_name, entry.sha256 if entry else "deleted", None, entry.tags if entry else {}
            )
            if given != number or entry is None:
                self._store.delete_version(model_name, given)
            if given != number:
                return []
        return [
            f"{model_name}: MLflow's store is older than the journal; {len(entries)} versions were registered again"
        ]

    def _accept_deletion(self, model_name: str, entry: JournalledVersion) -> list[str]:
        """A version that was deleted in MLflow: one that serves is registered anew, another one is forgotten."""
        serving = self._journal.serving(model_name)
        folder = self._store.folder(model_name, entry.sha256)
        if entry.version != serving.champion:
            self._journal.forget_version(model_name, entry.version)
            return [f"{model_name}: version {entry.version} was deleted in MLflow and is no version any more"]
        try:
            verify_bundle(folder, entry.sha256)
        except BundleError as error:
            return [f"{model_name}: version {entry.version} serves, was deleted in MLflow, and {error}: roll back"]
        again = self._store.create_version(model_name, entry.sha256, entry.run_id, entry.tags)
        self._journal.add_version(
            model_name, JournalledVersion(again, entry.sha256, entry.session, entry.run_id, entry.tags)
        )
        reason = f"version {entry.version} was deleted in MLflow while it served: the same bundle under a new number"
        moves = self._journal.moves(model_name)
        before, after = Aliases(serving.champion, serving.previous), Destination(again, serving.previous)
        self._journal.record(model_name, Move("promotion", moves[-1].session, before, after, reason, moves[-1].verdict))
        self._journal.forget_version(model_name, entry.version)
        return [f"{model_name}: {reason}, {again}"]

    def _reconcile_aliases(self, model_name: str) -> list[str]:
        with self._journal.together():
            wanted = self._served(model_name)
        return self._set_aliases(model_name, wanted)

    def _served(self, model_name: str) -> dict[str, int | None]:
        """The version that each alias shall name; of one that was deleted none."""
        serving = self._journal.serving(model_name)
        named = {PREVIOUS: serving.previous, CHAMPION: serving.champion}
        return {
            alias: version if version and self._journal.versions(model_name, number=version) else None
            for alias, version in named.items()
        }

    def _set_aliases(self, model_name: str, served: Mapping[str, int | None]) -> list[str]:
        found, told = self._store.aliases(model_name), list[str]()
        for alias, wanted in served.items():
            named = found.get(alias)
            if named == wanted:
                continue
            self._store.set_alias(model_name, alias, wanted)
            told.append(
                f"{model_name}: the alias {alias} named {_version(named)} in MLflow; the promotion journal says "
                f"{_version(wanted)}, and it was set back (to let another version serve: `regime-assets promote`)"
            )
        return told

    def _reconcile_tags(self, model_name: str) -> None:
        wanted = promotion_tags(self._journal.moves(model_name))
        for stored in self._store.versions(model_name):
            self._set_tags(model_name, stored.version, stored.tags, wanted.get(stored.version, {}))

    def _set_tags(self, model_name: str, version: int, had: Mapping[str, str], wanted: Mapping[str, str]) -> None:
        for tag in (PROMOTION_TAG, ROLLED_BACK_TAG):
            if had.get(tag) != wanted.get(tag):
                self._store.set_tag(model_name, version, tag, wanted.get(tag))


def promotion_tags(moves: Iterable[Move]) -> dict[int, dict[str, str]]:
    """What the moves say of each version: the verdict of its promotion, and why it was rolled back, if it was."""
    tags: dict[int, dict[str, str]] = {}
    for move in moves:
        if move.kind == "promotion":
            tags[move.after.champion] = {PROMOTION_TAG: move.verdict}
        elif move.before.champion is not None:
            tags.setdefault(move.before.champion, {})[ROLLED_BACK_TAG] = move.reason
    return tags


def _pointer_to(served: RegisteredBundle) -> ChampionPointer:
    return ChampionPointer(served.model_name, served.version, served.sha256, served.session)


def _version(number: int | None) -> str:
    return "no version" if number is None else f"version {number}"
