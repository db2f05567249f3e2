"""The model registry: bundles as versions of one MLflow model per universe and horizon, served by alias.

MLflow keeps versions, tags and aliases. The bundles themselves lie in folders named by their hash, below
`artifact_root`, and are read by this package's own loader only. Everything that writes holds the model's file lock;
a promotion is journalled, so that a crash at any point leaves a champion that resolves.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from regime_assets.library.production.alias_moves import PROMOTION_TAG, ROLLED_BACK_TAG, AliasMoves
from regime_assets.library.production.bundle import copy_bundle, verify_bundle
from regime_assets.library.production.mlflow_client import RegistryError
from regime_assets.library.production.promotion_journal import Destination, Move
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

NO_CHAMPION = 0  # what a verdict was judged against when nothing served yet; MLflow numbers versions from 1


class PromotionRefusedError(RegistryError):
    """The promotion would replace a newer champion, or one that its verdict did not judge."""


class Registry:
    """Registered bundles and their aliases. Cheap to create: MLflow is imported at the first call.

    Args:
        tracking_uri: MLflow's store, `sqlite:////…/mlflow.db` or a server's URL.
        artifact_root: folder of the bundles and of the champion pointers.
        lock_folder: folder of the locks and the promotion journals.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path, lock_folder: Path) -> None:
        self._artifact_root = artifact_root
        self._store = RegistryStore(tracking_uri, artifact_root, lock_folder)
        self._moves = AliasMoves(self._store, artifact_root, lock_folder)

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
            known = [stored.version for stored in self._store.versions(model_name) if stored.sha256 == sha256]
            if known:
                return known[0]
            identity = {SHA256_TAG: sha256, SESSION_TAG: manifest.session.isoformat()}
            return self._store.create_version(model_name, sha256, run_id, {**tags, **identity})

    def champion(self, model_name: str) -> RegisteredBundle | None:
        """What serves; None before the first promotion. A pointer that does not agree is written anew."""
        served = self._resolve(model_name, CHAMPION)
        if served is not None and not self._moves.is_pointed_at(served):
            with self._writing(model_name):
                served = self._moves.point(model_name)
        return served

    def champion_as_of(self, model_name: str, session: date) -> RegisteredBundle | None:
        """What served `session`, so that an old session answered again is not answered by a newer model.

        Returns:
            The champion after the last move as of `session` or earlier; None when there was none yet.

        Raises:
            RegistryError: retention has deleted it.
        """
        self._recovered(model_name)
        moves = [m for m in self._moves.journal(model_name).moves() if m.outcome == "completed"]
        version = next((m.after.champion for m in reversed(moves) if m.session <= session), None)
        return None if version is None else self._store.version(model_name, version)

    def previous(self, model_name: str) -> RegisteredBundle | None:
        """What a roll-back would serve."""
        return self._resolve(model_name, PREVIOUS)

    def challenger(self, model_name: str) -> RegisteredBundle | None:
        """What is being tried beside the champion."""
        return self._resolve(model_name, CHALLENGER)

    def versions(self, model_name: str) -> tuple[RegisteredBundle, ...]:
        """All versions, oldest first."""
        return self._store.versions(model_name)

    def history(self, model_name: str) -> tuple[Move, ...]:
        """All promotions and roll-backs, oldest first, those that a crash cut short included."""
        return tuple(self._moves.journal(model_name).moves())

    def set_challenger(self, model_name: str, version: int) -> None:
        """Let the challenger alias name `version`."""
        with self._writing(model_name):
            self._store.set_alias(model_name, CHALLENGER, self._store.version(model_name, version).version)

    def set_shadow(self, model_name: str, version: int) -> None:
        """Let the shadow alias name `version`, which retention keeps as long as it does."""
        if self._store.aliases(model_name).get(SHADOW) == version:
            return
        with self._writing(model_name):
            self._store.set_alias(model_name, SHADOW, self._store.version(model_name, version).version)

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
        """Let `version` serve; the present champion becomes `previous`. The champion's alias moves last.

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
            wanted = self._store.version(model_name, version)
            before = self._moves.aliases(model_name)
            if before.champion == version:
                self._moves.point(model_name)
                return wanted
            self._refuse_unless_judged(wanted, before.champion, judged_against)
            if not reinstate:
                self._refuse_unless_fresh(wanted, before.champion)
            verify_bundle(wanted.path, wanted.sha256)
            after = Destination(champion=version, previous=before.champion)
            session = self._moves.effective_from(model_name, wanted.session)
            return self._moves.carry_out(model_name, Move("promotion", session, before, after, reason, verdict))

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
            before = self._moves.aliases(model_name)
            target = before.previous if to is None else to
            if before.champion is None or target is None:
                raise RegistryError(f"{model_name}: no previous champion to roll back to")
            wanted = self._store.version(model_name, target)
            if to is not None:
                self._refuse_unless_served(wanted, before.champion)
            left = self._store.version(model_name, before.champion)
            verify_bundle(wanted.path, wanted.sha256)
            after = Destination(champion=wanted.version, previous=self._moves.replaced_by(wanted, before.champion))
            session = self._moves.effective_from(model_name, as_of or left.session)
            return self._moves.carry_out(model_name, Move("roll_back", session, before, after, reason, ""))

    def delete(self, model_name: str, version: int) -> None:
        """Delete a version and its bundle.

        Raises:
            RegistryError: an alias names it (MLflow would drop the alias silently), or there is no such version.
        """
        with self._writing(model_name):
            self._delete(self._store.version(model_name, version))

    def retention(self, model_name: str, keep_last: int = 30) -> tuple[int, ...]:
        """Delete what `kept_versions` does not keep and bundle folders without a version; return the versions."""
        with self._writing(model_name):
            versions = self._store.versions(model_name)
            aliased = self._store.aliases(model_name).values()
            kept = kept_versions([StoredVersion(v.version, v.session) for v in versions], aliased, keep_last)
            doomed = [stored for stored in versions if stored.version not in kept]
            for stored in doomed:
                self._delete(stored)
            known = {stored.sha256 for stored in versions if stored.version in kept}
            for entry in sorted((self._artifact_root / model_name).glob("*")):
                if entry.is_dir() and entry.name not in known:
                    shutil.rmtree(entry)
            return tuple(stored.version for stored in doomed)

    def _recovered(self, model_name: str) -> None:
        """Wait for a move that is under way, and settle one that was killed."""
        if self._moves.journal(model_name).pending() is not None:
            with self._store.lock(model_name):
                self._moves.recover(model_name)

    @contextmanager
    def _writing(self, model_name: str) -> Generator[None]:
        with self._store.lock(model_name):
            self._moves.recover(model_name)
            yield

    def _refuse_unless_judged(self, wanted: RegisteredBundle, champion: int | None, judged_against: int | None) -> None:
        if judged_against is not None and judged_against != (champion or NO_CHAMPION):
            raise PromotionRefusedError(
                f"{wanted.model_name} {wanted.version} was judged against version {judged_against}, but {champion} "
                "serves by now: judge it again"
            )

    def _refuse_unless_fresh(self, wanted: RegisteredBundle, champion: int | None) -> None:
        name = f"{wanted.model_name} {wanted.version}"
        if ROLLED_BACK_TAG in wanted.tags:
            raise PromotionRefusedError(
                f"{name} was rolled back ({wanted.tags[ROLLED_BACK_TAG]}): reinstate it explicitly, or register a new "
                "bundle"
            )
        if champion is not None:
            served = self._store.version(wanted.model_name, champion)
            if served.session > wanted.session:
                raise PromotionRefusedError(
                    f"{name} is of {wanted.session}; the champion {champion} is of {served.session} and newer"
                )

    def _refuse_unless_served(self, wanted: RegisteredBundle, champion: int) -> None:
        name = f"{wanted.model_name} {wanted.version}"
        if wanted.version == champion:
            raise RegistryError(f"{name} is the champion: there is nothing to roll back")
        if PROMOTION_TAG not in wanted.tags or ROLLED_BACK_TAG in wanted.tags:
            raise RegistryError(f"{name} never served, or was rolled back: promote it by hand")

    def _delete(self, stored: RegisteredBundle) -> None:
        aliases = self._store.aliases(stored.model_name)
        naming = sorted(alias for alias, version in aliases.items() if version == stored.version)
        if naming:
            raise RegistryError(f"{stored.model_name} {stored.version} is {' and '.join(naming)}: not deleted")
        self._store.delete_version(stored.model_name, stored.version)
        shutil.rmtree(stored.path, ignore_errors=True)

    def _resolve(self, model_name: str, alias: str) -> RegisteredBundle | None:
        self._recovered(model_name)
        version = self._store.aliases(model_name).get(alias)
        return None if version is None else self._store.version(model_name, version)
