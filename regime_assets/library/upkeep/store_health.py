"""The stores: every table read, every SQLite file checked, every model that is still needed held against its hash."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from regime_assets.library.artifact import ArtifactError, Parts, read_artifact, write_artifact
from regime_assets.library.clock import clock
from regime_assets.library.database import Database, DatabaseError
from regime_assets.library.home import RESTORE, Home
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.open_database import ledger_database, stored_databases
from regime_assets.library.production.bundle import BundleError, copy_bundle, load_bundle, verify_bundle
from regime_assets.library.production.lineage import Lineage, ModelRecord, stored_designs
from regime_assets.library.production.mlflow_client import RegistryError
from regime_assets.library.production.names import model_name
from regime_assets.library.production.registry_store import RegisteredBundle
from regime_assets.library.serving.published_signal import PublishedSignalError, read_published_signal
from regime_assets.library.steps.lineage_models import referring_parts
from regime_assets.library.steps.rebuilt_bundle import rebuilt
from regime_assets.library.steps.stores_in_step import (
    declare_again,
    ledger_remedy,
    ledger_sentence,
    lost_remedy,
    lost_sentence,
    lost_sessions,
    newest_answer,
    untried_designs,
)
from regime_assets.library.universe import HORIZONS, Horizon
from regime_assets.library.upkeep.findings import Finding
from regime_assets.library.workspace import Workspace

READ_TIMEOUT_SECONDS = 10.0
SHARED_TABLES = "shared tables"


def sqlite_findings(home: Home, repair: bool) -> Iterator[Finding]:
    """Check MLflow's and Dagster's files; a damaged MLflow store is put aside, since the journal can fill a new one."""
    own, sound = home.root / "mlflow.db", 0
    for path in [own, *sorted(home.dagster.rglob("*.db"))]:
        trouble = _sqlite_trouble(path) if path.exists() else ""
        subject = str(path.relative_to(home.root))
        if not trouble:
            sound += path.exists()
        elif path == own and repair:
            aside = home.root / "backups" / f"mlflow.db.damaged-{clock.system_now():%Y%m%dT%H%M%S}"
            aside.parent.mkdir(exist_ok=True)
            os.replace(path, aside)
            what = f"{trouble}; put aside as {aside.name}, and with it what MLflow knew of runs and curves"
            yield Finding("repaired", subject, what)
        elif path == own:
            yield Finding("fault", subject, trouble, f"{RESTORE}, or fill a new one: `regime-assets doctor --repair`")
        else:
            yield Finding("fault", subject, trouble, f"{RESTORE}, or move it away, and the history of runs with it")
    yield Finding("ok", "MLflow's and Dagster's stores", f"{sound} SQLite files sound")


def _sqlite_trouble(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=READ_TIMEOUT_SECONDS)) as store:
            answer = str(store.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return f"damaged: {error}"
    return "" if answer == "ok" else f"damaged: {answer}"


def table_findings(home: Home) -> Iterator[Finding]:
    """Read every block of every table, whose checksums DuckDB verifies."""
    try:
        databases = stored_databases(home, READ_TIMEOUT_SECONDS)
    except DatabaseError as error:
        yield Finding("fault", SHARED_TABLES, str(error), "see to the PostgreSQL server; nothing runs without it")
        return
    for database in databases:
        subject = table_subject(home, database)
        try:
            names = database.tables()
            with database.connect() as connection:
                for name in names:
                    connection.execute(f'SELECT bit_xor(hash(t)) FROM "{name}" t').fetchall()
        except DatabaseError as error:
            yield Finding("fault", subject, str(error), RESTORE)
        except Exception as error:  # whatever DuckDB raises of a damaged block
            yield Finding("fault", subject, f"damaged: {str(error).splitlines()[0]}", RESTORE)
        else:
            yield Finding("ok", subject, f"{len(names)} tables, every block sound")


def table_subject(home: Home, database: Database) -> str:
    """How a finding calls a database."""
    return database.place.removeprefix(f"{home.root}{os.sep}")


def serving_findings(workspace: Workspace, repair: bool) -> Iterator[Finding]:
    """Whether what serves is sound, MLflow and the pointer say the same, and there are models to start from.

    Tables that have lost sessions say nothing of that, and MLflow is not made like them.
    """
    lost = lost_sessions(workspace)
    if lost is not None:
        subject = table_subject(workspace.home, workspace.database)
        yield Finding("fault", subject, lost_sentence(workspace, lost), lost_remedy(lost))
        return
    if not workspace.database.exists():
        return
    yield from _ledger(workspace, repair)
    yield from _published(workspace)
    for horizon in HORIZONS:
        name = model_name(workspace.universe.name, horizon)
        try:
            told = workspace.registry.reconcile(name) if repair else workspace.registry.disagreements(name)
        except RegistryError as error:
            yield Finding("fault", name, str(error), "see to MLflow's store; what serves goes on serving")
        else:
            for sentence in told:
                remedy = "" if repair else "`regime-assets doctor --repair`"
                yield Finding("repaired" if repair else "fault", name, sentence, remedy)
        moves = workspace.registry.history(name)
        if moves:
            serving = {moves[-1].after.champion: "champion", moves[-1].after.previous: "previous"}
            for stored in workspace.registry.versions(name):
                yield _bundle(workspace, horizon, stored, serving.get(stored.version, ""), repair)
        for design in stored_designs(workspace.database, workspace.universe.name, horizon):
            yield from _models(workspace, horizon, workspace.lineage(horizon, design), repair)


def _published(workspace: Workspace) -> Iterator[Finding]:
    """Whether the signal that the service answers with is the newest one that the tables have."""
    answered, root = newest_answer(workspace), workspace.home.mlflow_artifacts
    try:
        published = read_published_signal(root, workspace.universe.name)
        told = "is not there" if published is None else f"is of {published.signal.session}"
    except PublishedSignalError as error:
        published, told = None, f"cannot be read: {error}"
    if answered is not None and (published is None or published.signal.session < answered):
        remedy = f"materialize daily_signal of {answered} again; the next session's run replaces it as well"
        yield Finding("warning", f"published signal of {workspace.universe.name}", told, remedy)


def _ledger(workspace: Workspace, repair: bool) -> Iterator[Finding]:
    unknown = untried_designs(workspace)
    if not unknown:
        return
    subject, what = table_subject(workspace.home, ledger_database(workspace.home)), ledger_sentence(workspace, unknown)
    if not repair:
        yield Finding("fault", subject, what, ledger_remedy())
        return
    declare_again(workspace, unknown, clock.now())
    yield Finding("repaired", subject, f"{what}; they are written down as declared today, other tries stay forgotten")


def _bundle(workspace: Workspace, horizon: Horizon, stored: RegisteredBundle, alias: str, repair: bool) -> Finding:
    subject = f"{alias or 'a bundle'} of {stored.model_name}, version {stored.version}"
    try:
        verify_bundle(stored.path, stored.sha256)
    except BundleError as error:
        with rebuilt(workspace, horizon, stored) as sound:
            if sound is None:
                remedy = "roll back (`regime-assets roll-back`), or " if alias == "champion" else ""
                return Finding("fault" if alias else "warning", subject, str(error), f"{remedy}{RESTORE}")
            if not repair:
                remedy = "`regime-assets doctor --repair` makes it again of its session's models"
                return Finding("fault", subject, str(error), remedy)
            copy_bundle(sound, stored.path, stored.sha256)
        return Finding("repaired", subject, "was damaged; made again of its session's models, to the same bits")
    return Finding("ok", subject, f"bundle {stored.sha256[:12]} verifies")


def _models(workspace: Workspace, horizon: Horizon, lineage: Lineage, repair: bool) -> Iterator[Finding]:
    """The newest accepted model of each kind of a design: what its next session starts from."""
    for kind in KINDS:
        record = lineage.latest_accepted(kind, before=clock.today().replace(year=9999))
        if record is None:
            continue
        folder = workspace.home.model(workspace.universe.name, horizon, lineage.design, kind, record.session)
        subject = f"{kind} of {workspace.universe.name}/{horizon}, {record.session}, design {lineage.design[:8]}"
        try:
            read_artifact(folder, record.sha256)
        except ArtifactError as error:
            parts = _from_bundle(workspace, horizon, record)
            if parts is None:
                remedy = "nothing at once: the next session starts from an older one; or materialize that session again"
                yield Finding("warning", subject, str(error), remedy)
            elif repair:
                write_artifact(folder, parts)
                yield Finding("repaired", subject, "was damaged; taken from the session's bundle")
            else:
                yield Finding("fault", subject, str(error), "`regime-assets doctor --repair` takes it from its bundle")
        else:
            yield Finding("ok", subject, f"{record.sha256[:12]} verifies")


def _from_bundle(workspace: Workspace, horizon: Horizon, record: ModelRecord) -> Parts | None:
    """The model as it is inside a registered bundle of its session, if it is the very same."""
    from regime_assets.library.artifact import parts_hash

    for stored in workspace.registry.versions(model_name(workspace.universe.name, horizon)):
        if stored.session != record.session:
            continue
        try:
            bundle = load_bundle(stored.path, stored.sha256, workspace.universe.own_components)
            # As they lie there: what a bundle of an older format holds is converted when it is loaded.
            kept = [read_artifact(folder) for folder in sorted(stored.path.iterdir()) if folder.is_dir()]
        except (BundleError, ArtifactError):
            continue
        for parts in (*kept, bundle.regimes.to_parts(), referring_parts(bundle.regimes)):
            if parts_hash(parts) == record.sha256:
                return parts
    return None
