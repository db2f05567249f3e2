"""The machine and the environment: versions, disk, clock, calendars."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from regime_assets.library.clock import clock
from regime_assets.library.home import Home
from regime_assets.library.market.calendar import CalendarError
from regime_assets.library.market.universe_calendar import universe_calendar
from regime_assets.library.open_database import universe_database
from regime_assets.library.production.environment import LOCK_FILE
from regime_assets.library.universe import Universe
from regime_assets.library.upkeep.findings import Finding

SCARCE_BYTES, TOO_FEW_BYTES = 5_000_000_000, 500_000_000
CALENDAR_DAYS = 45
CLOCK_TOLERANCE = timedelta(minutes=10)


def machine_findings(home: Home, universes: Sequence[Universe]) -> Iterator[Finding]:
    """Look at environment, disk, folder and calendars."""
    yield _environment(LOCK_FILE)
    yield _disk(home)
    yield _writable(home)
    for universe in universes:
        yield _calendar(home, universe)


def _environment(lock_file: Path) -> Finding:
    subject = f"Python {platform.python_version()}"
    if not lock_file.exists():
        return Finding("ok", subject, "installed without requirements.lock: versions are not compared")
    differing: list[str] = []
    for line in lock_file.read_text().splitlines():
        name, _, locked = line.partition("==")
        if locked and not line.startswith("#"):
            try:
                found = version(name.strip())
            except PackageNotFoundError:
                continue  # an extra that is not installed
            if found.partition("+")[0] != locked.split(";")[0].strip().partition("+")[0]:  # "+cpu" is a build
                differing.append(f"{name.strip()} {found} instead of {locked.strip()}")
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        remedy = "pip install -c requirements.lock -e . ; other versions may give other bits"
        return Finding("warning", subject, f"{', '.join(differing[:5])}{more}", remedy)
    return Finding("ok", subject, f"packages are those of {lock_file.name}")


def _disk(home: Home) -> Finding:
    free = shutil.disk_usage(home.root).free
    subject, what = f"disk of {home.root}", f"{free / 1e9:.1f} GB free"
    remedy = "make room: `regime-assets retention --dry-run` shows what can go"
    if free < TOO_FEW_BYTES:
        return Finding("fault", subject, what, remedy)
    return Finding("warning", subject, what, remedy) if free < SCARCE_BYTES else Finding("ok", subject, what)


def _writable(home: Home) -> Finding:
    refused = [path for path in (home.root, *home.root.iterdir()) if not os.access(path, os.W_OK)]
    if refused:
        names = ", ".join(str(path) for path in refused[:3])
        return Finding("fault", str(home.root), f"not writable: {names}", "let this user write there")
    return Finding("ok", str(home.root), "writable")


def clock_finding(home: Home, universes: Sequence[Universe]) -> Finding:
    """A clock that went back is behind what was recorded in the tables of some universes."""
    newest: datetime | None = None
    for universe in universes:
        database = universe_database(home, universe.name)
        if database.exists() and database.has_table("deployments"):
            ((latest,),) = database.rows("SELECT max(decided_at) FROM deployments")
            newest = max((at for at in (newest, latest) if at is not None), default=None)
    now = clock.now().replace(tzinfo=None)
    if newest is not None and newest > now + CLOCK_TOLERANCE:
        what = f"shows {now:%Y-%m-%d %H:%M} UTC, and an answer was given at {newest:%Y-%m-%d %H:%M}"
        return Finding("fault", "clock", what, "set the machine's clock; unset REGIME_ASSETS_NOW if it is not meant")
    if clock.is_set:
        return Finding("warning", "clock", f"set to {now:%Y-%m-%d %H:%M} UTC by REGIME_ASSETS_NOW or --now")
    return Finding("ok", "clock", f"{now:%Y-%m-%d %H:%M} UTC")


def _calendar(home: Home, universe: Universe) -> Finding:
    subject = f"calendar {universe.calendar} of {universe.name}"
    try:
        calendar = universe_calendar(universe, home.calendars)
    except CalendarError as error:
        return Finding("fault", subject, str(error), "correct `calendar` or `history_start` in the universe's file")
    last = calendar.all_sessions[-1]
    if universe.last_partition is None and (last - clock.today()).days < CALENDAR_DAYS:
        remedy = "install a newer exchange_calendars: pip install -U exchange_calendars"
        return Finding("warning", subject, f"ends on {last}", remedy)
    return Finding("ok", subject, f"known up to {last}")
