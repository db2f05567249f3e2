"""One clock for the whole package, which can be set to any evening."""

import ast
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

import regime_assets
from regime_assets.library.clock import NOW_VARIABLE, Clock, ClockError, clock

EVENING = datetime.fromisoformat("2024-06-28T18:30-04:00")
PACKAGE = Path(regime_assets.__file__).parent
READS_THE_SYSTEM = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("Timestamp", "now"),
    ("Timestamp", "utcnow"),
    ("Timestamp", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "gmtime"),
    ("time", "localtime"),
}


def test_the_clock_shows_the_machines_time_until_it_is_set() -> None:
    assert abs(Clock().now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert not Clock().is_set


def test_a_set_clock_goes_on_from_the_moment_it_was_set_to() -> None:
    with clock.at(EVENING):
        first, second = clock.now(), clock.now()
        assert clock.is_set
        assert EVENING <= first < second < EVENING + timedelta(seconds=5)
        assert clock.today("America/New_York") == date(2024, 6, 28)
        assert clock.today("Asia/Tokyo") == date(2024, 6, 29)
        assert abs(clock.shown_at(datetime.now(UTC) + timedelta(hours=1)) - EVENING) > timedelta(minutes=59)
    assert not clock.is_set
    assert NOW_VARIABLE not in os.environ


def test_processes_that_are_started_live_at_the_same_time() -> None:
    show = "from regime_assets.library.clock import clock; print(clock.now().isoformat())"
    with clock.at(EVENING):
        shown = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout
        assert EVENING <= datetime.fromisoformat(shown.strip()) <= clock.now()


@pytest.mark.parametrize("text", ["yesterday", "2024-06-28T18:30"])
def test_a_moment_that_is_none_or_has_no_time_zone_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NOW_VARIABLE, text)
    with pytest.raises(ClockError, match="write"):
        Clock().now()


def test_nothing_else_asks_the_machine_for_its_time() -> None:
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == PACKAGE / "library" / "clock.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
                if (owner, node.attr) in READS_THE_SYSTEM:
                    found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {owner}.{node.attr}")
    assert found == [], "ask regime_assets.library.clock"
