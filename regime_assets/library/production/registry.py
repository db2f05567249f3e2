"""The model registry: bundles as versions of one model per universe and horizon, of which one serves.

The promotion journal decides what serves; MLflow shows it, and a pointer file tells the service. The bundles lie in
folders named by their hash, below `artifact_root`, and are read by this package's own loader only. Everything that
writes holds the model's file lock. The first write of a `Registry` brings MLflow in step with the journal, which reads
every version there; later ones change what they are about.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from regime_assets.library.database import Database
from regime_assets.library.production.bundle import copy_bundle, verify_bundle
from regime_assets.library.production.mirrors import Mirrors, promotion_tags
from regime_assets.library.production.mlflow_client import RegistryError
from regime_assets.library.production.names import checked_name
from regime_assets.library.production.promotion_journal import Destination, JournalledVersion, Move, PromotionJournal
from regime_assets.library.production.promotion_rules import (
    effective_from,
    refuse_unless_fresh,
    refuse_unless_judged,
    refuse_unless_served,
    replaced_by,
)
from regime_assets.library.production.registry_store import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    SESSION_TAG,
    SHA256_TAG,
    SHADOW,
    RegisteredBundle,
    RegistryStore,
)
from regime_assets.library.production.retention import StoredVersion, kept_versions
from regime_assets.library.shared_files import folders, remove

_log = logging.getLogger(__name__)


class Registry:
    """Registered bundles and their aliases. Cheap to create: MLflow is imported at the first call.

    Args:
        tracking_uri: MLflow's store, `sqlite:////…/mlflow.db` or a server's URL.
        artifact_root: folder of the bundles and of the champion pointers.
        lock_folder: folder of the locks.
        database: the universe's, which holds the promotion journal.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path, lock_folder: Path, database: Database) -> None:
        self._artifact_root = artifact_root
        self._store = RegistryStore(tracking_uri, artifact_root, lock_folder)
        self._journal = PromotionJournal(database)
        self._mirrors = Mirrors(self._journal, self._store, artifact_root)
        self._in_step: set[str] = set()

    def register(
        self, bundle_folder: Path, model_name: str, sha256: str, tags: Mapping[str, str], run_id: str | None = None
    ) -> int:
        """Store a bundle as a version; the same bundle of the same partition is the same version.

        Args:
            bundle_folder: where `save_bundle` wrote it; its files are copied.
            model_name: the registered model; created when it is new.
            sha256: the hash that `save_bundle` returned.
            tags: what a reader of the registry should see besides hash and session.
            run_id: the MLflow run that produced it.

        Raises:
            BundleError: the folder does not hold that bundle.
            RegistryError: the bundle belongs to another model, or the store refused.
        """
        manifest = verify_bundle(bundle_folder, sha256)
        if manifest.model_name != model_name:
            raise RegistryError(f"{model_name}: the bundle in {bundle_folder} is one of {manifest.model_name}")
        with self._writing(model_name):
            copy_bundle(bundle_folder, self._store.folder(model_name, sha256), sha256)
            # The manifest's session is part of the hash, so that equal hashes are equal partitions.
            known = [stored.version for stored in self._journal.versions(model_name, sha256=sha256)]
            if known:
                return known[0]
            tagged = {**tags, SHA256_TAG: sha256, SESSION_TAG: manifest.session.isoformat()}
            version = self._store.create_version(model_name, sha256, run_id, tagged)
            with self._journal.together():
                entry = JournalledVersion(version, sha256, manifest.session, run_id, tagged)
                self._journal.add_version(model_name, entry)
                self._known(model_name, version)  # read ahead: it is promoted next
            return version

    def reconcile(self, model_name: str) -> list[str]:
        """Bring MLflow and the pointer file in step with the journal; return what differed, a sentence each."""
        with self._store.lock(model_name):
            told = self._mirrors.reconcile(model_name)
            self._in_step.add(model_name)
            served = self._serving(model_name)
            if served is not None and self._mirrors.point(served):
                told.append(f"{model_name}: the pointer file was not that of version {served.version}: written anew")
            return told

    def disagreements(self, model_name: str) -> list[str]:
        """What `reconcile` would put right, a sentence each; changes nothing.

        Raises:
            RegistryError: MLflow's store cannot be reached or read.
        """
        return self._mirrors.disagreements(model_name, self._serving(model_name))

    def champion(self, model_name: str) -> RegisteredBundle | None:
        """What serves; None before the first promotion. A pointer that does not agree is written anew."""
        served = self._serving(model_name)
        if served is None:
            return None
        with self._store.lock(model_name):  # a promotion under way has its own pointer to write
            served = self._serving(model_name) or served
            self._mirrors.point(served)
        return served

    def champion_as_of(self, model_name: str, session: date) -> RegisteredBundle | None:
        """What served `session`, so that an old session answered again is not answered by a newer model.

        Returns:
            The champion after the last move as of `session` or earlier; None when there was none yet.

        Raises:
            RegistryError: retention has deleted it.
        """
        with self._journal.together():
            move = self._journal.last_move(checked_name(model_name, "model name"), session)
            return None if move is None else self._version(model_name, move.after.champion)

    def previous_as_of(self, model_name: str, session: date) -> int | None:
        """The version that a roll-back on `session` would have served; None when there was none."""
        move = self._journal.last_move(checked_name(model_name, "model name"), session)
        return None if move is None else move.after.previous

    def previous(self, model_name: str) -> RegisteredBundle | None:
        """What a roll-back would serve."""
        return self._known(model_name, self._journal.serving(checked_name(model_name, "model name")).previous)

    def challenger(self, model_name: str, alias: str = CHALLENGER) -> RegisteredBundle | None:
        """What is being tried beside the champion, by the alias of its lane."""
        return self._known(model_name, self._store.aliases(model_name).get(alias))

    def version(self, model_name: str, version: int) -> RegisteredBundle:
        """One version.

        Raises:
            RegistryError: there is none of that number.
        """
        return self._version(model_name, version)

    def find(self, model_name: str, version: int) -> RegisteredBundle | None:
        """One version; None where there is none of that number, or no more."""
        return self._known(checked_name(model_name, "model name"), version)

    def versions(self, model_name: str) -> tuple[RegisteredBundle, ...]:
        """All versions, oldest first."""
        tags = promotion_tags(self.history(model_name))
        return tuple(self._bundle(model_name, entry, tags) for entry in self._journal.versions(model_name))

    def versions_of(self, model_name: str, session: date) -> tuple[RegisteredBundle, ...]:
        """The versions of one session, oldest first."""
        found = self._journal.versions(checked_name(model_name, "model name"), session=session)
        return tuple(self._with_tags(model_name, entry) for entry in found)

    def last_roll_back(self, model_name: str, session: date) -> Move | None:
        """The newest roll-back as of a session; None when there was none."""
        return self._journal.last_move(checked_name(model_name, "model name"), session, kind="roll_back")

    def history(self, model_name: str) -> tuple[Move, ...]:
        """All promotions and roll-backs, oldest first."""
        return tuple(self._journal.moves(checked_name(model_name, "model name")))

    def describe(self, model_name: str, version: int, text: str) -> None:
        """Show a text, in Markdown, on the version's page. Nothing rests on it."""
        with self._writing(model_name):
            self._store.set_description(model_name, version, text)

    def set_challenger(self, model_name: str, version: int, alias: str = CHALLENGER) -> None:
        """Let the alias of a lane's challenger name `version`."""
        with self._writing(model_name):
            self._store.set_alias(model_name, alias, self._version(model_name, version).version)

    def set_shadow(self, model_name: str, version: int) -> None:
        """Let the shadow alias name `version`, which retention keeps as long as it does."""
        if self._store.aliases(model_name).get(SHADOW) == version:
            return
        with self._writing(model_name):
            self._store.set_alias(model_name, SHADOW, self._version(model_name, version).version)

    def promote(
        self,
        model_name: str,
        version: int,
        reason: str,
        verdict: str,
        *,
        judged_against: int | None = None,
        reinstate: bool = False,
    ) -> RegisteredBundle:
        """Let `version` serve; the present champion becomes `previous`.

        Promoting the champion again changes nothing.

        Args:
            model_name: the registered model.
            version: which of its versions.
            reason: why, for the journal.
            verdict: the gate's verdict, for the journal and the version's tag `promotion`.
            judged_against: the champion's version that the verdict compared with, `NO_CHAMPION` when there was none.
                Given, the promotion is refused when another promotion came first. None: not checked.
            reinstate: a human's decision: promote although the version was rolled back before, or is of an older
                session than the champion.

        Raises:
            PromotionRefusedError: another champion than the judged one serves, the champion's session is newer, or
                the version was rolled back.
            BundleError: the stored bundle does not verify; the champion stays.
        """
        with self._writing(model_name):
            with self._journal.together():
                wanted, last = self._version(model_name, version), self._journal.last_move(model_name)
                before = self._journal.serving(model_name)
                served = self._known(model_name, before.champion)
            if before.champion == version:
                self._mirrors.point(wanted)
                return wanted
            refuse_unless_judged(wanted, before.champion, judged_against)
            if not reinstate:
                refuse_unless_fresh(wanted, served)
            verify_bundle(wanted.path, wanted.sha256)
            after = Destination(champion=version, previous=before.champion)
            session = effective_from([last] if last else [], wanted.session)
            return self._carry_out(wanted, Move("promotion", session, before, after, reason, verdict))

    def roll_back(
        self, model_name: str, reason: str, as_of: date | None = None, to: int | None = None
    ) -> RegisteredBundle:
        """Let the previous champion, or the version `to`, serve again.

        The new `previous` is what that champion had replaced in its time, so that a second roll-back goes further
        back and never forward to the version just left.

        Args:
            model_name: the registered model.
            reason: why, for the journal and the tag of the version just left.
            as_of: the session from which on the roll-back holds (`champion_as_of`); that of the champion if None.
            to: an older version that served before; the previous champion if None.

        Raises:
            RegistryError: there is no previous champion, or `to` is the champion, never served, or was rolled back.
            BundleError: the previous bundle does not verify; the champion stays.
        """
        with self._writing(model_name):
            before = self._journal.serving(model_name)
            target = before.previous if to is None else to
            if before.champion is None or target is None:
                raise RegistryError(f"{model_name}: no previous champion to roll back to")
            wanted = self._version(model_name, target)
            if to is not None:
                refuse_unless_served(wanted, before.champion)
            left = self._version(model_name, before.champion)
            verify_bundle(wanted.path, wanted.sha256)
            moves = self.history(model_name)
            previous = replaced_by(wanted, before.champion, self.versions(model_name), moves)
            after = Destination(wanted.version, previous)
            session = effective_from(moves, as_of or left.session)
            return self._carry_out(wanted, Move("roll_back", session, before, after, reason, ""))

    def delete(self, model_name: str, version: int) -> None:
        """Delete a version and its bundle.

        Raises:
            RegistryError: an alias names it (MLflow would drop the alias silently), or there is no such version.
        """
        with self._writing(model_name):
            self._delete(self._version(model_name, version))

    def unneeded(self, model_name: str, keep_last: int) -> list[RegisteredBundle]:
        """The versions that `kept_versions` does not keep; each design's are counted by themselves."""
        versions = self.versions(model_name)
        aliased = self._aliases(model_name).values()
        lines: dict[str, list[StoredVersion]] = {}
        for stored in versions:
            design = stored.tags.get("settings_hash", "")
            lines.setdefault(design, []).append(StoredVersion(stored.version, stored.session))
        kept = {number for line in lines.values() for number in kept_versions(line, aliased, keep_last)}
        return [stored for stored in versions if stored.version not in kept]

    def retention(self, model_name: str, keep_last: int = 30) -> tuple[int, ...]:
        """Delete what `kept_versions` does not keep and bundle folders without a version; return the versions."""
        with self._writing(model_name):
            doomed = self.unneeded(model_name, keep_last)
            for stored in doomed:
                self._delete(stored)
            known = {stored.sha256 for stored in self.versions(model_name)}
            for entry in folders(self._artifact_root / model_name):
                if entry.name not in known:
                    remove(entry)
            return tuple(stored.version for stored in doomed)

    @contextmanager
    def _writing(self, model_name: str) -> Generator[None]:
        with self._store.lock(model_name):
            if model_name not in self._in_step:
                self._mirrors.reconcile(model_name)
                self._in_step.add(model_name)
            yield

    def _carry_out(self, wanted: RegisteredBundle, move: Move) -> RegisteredBundle:
        """Write the move down, which makes it, and mirror it."""
        with self._journal.together():
            self._journal.record(wanted.model_name, move)
            self._mirrors.read_ahead(wanted.model_name, move)
        self._mirrors.point(wanted)
        try:
            self._mirrors.follow(wanted.model_name, move)
        except RegistryError as error:
            self._in_step.discard(wanted.model_name)
            _log.warning("%s: MLflow does not show yet what serves: %s", wanted.model_name, error)
        return self._version(wanted.model_name, wanted.version)

    def _delete(self, stored: RegisteredBundle) -> None:
        aliases = self._aliases(stored.model_name)
        naming = sorted(alias for alias, version in aliases.items() if version == stored.version)
        if naming:
            raise RegistryError(f"{stored.model_name} {stored.version} is {' and '.join(naming)}: not deleted")
        self._store.delete_version(stored.model_name, stored.version)
        self._journal.forget_version(stored.model_name, stored.version)
        remove(stored.path)

    def _aliases(self, model_name: str) -> dict[str, int]:
        """What each alias names: of champion and previous what the journal says."""
        serving = self._journal.serving(model_name)
        own = {CHAMPION: serving.champion, PREVIOUS: serving.previous}
        return self._store.aliases(model_name) | {name: version for name, version in own.items() if version}

    def _serving(self, model_name: str) -> RegisteredBundle | None:
        with self._journal.together():
            version = self._journal.serving(checked_name(model_name, "model name")).champion
            return None if version is None else self._version(model_name, version)

    def _known(self, model_name: str, version: int | None) -> RegisteredBundle | None:
        if version is None:
            return None
        with self._journal.together():
            found = self._journal.versions(model_name, number=version)
            return self._with_tags(model_name, found[0]) if found else None

    def _with_tags(self, model_name: str, entry: JournalledVersion) -> RegisteredBundle:
        return self._bundle(model_name, entry, promotion_tags(self._journal.moves_of(model_name, entry.version)))

    def _bundle(
        self, model_name: str, entry: JournalledVersion, tags: Mapping[int, Mapping[str, str]]
    ) -> RegisteredBundle:
        return RegisteredBundle(
            model_name=model_name,
            version=entry.version,
            sha256=entry.sha256,
            path=self._store.folder(model_name, entry.sha256),
            session=entry.session,
            tags={**entry.tags, **tags.get(entry.version, {})},
        )

    def _version(self, model_name: str, version: int) -> RegisteredBundle:
        found = self._known(model_name, version)
        if found is None:
            raise RegistryError(f"{model_name} {version}: there is no such version, or it was deleted")
        return found
