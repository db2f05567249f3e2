"""What a person sees of a session's run while it goes on: one line a stage, as the stage ends."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import INFO

import dagster as dg

POLL_SECONDS = 0.5
QUIET_SECONDS = 15.0  # after which what a running stage says is printed before it ends
STAGES = {
    "raw_prices": "prices",
    "corporate_actions": "prices",
    "macro": "prices",
    "fundamentals": "prices",
    "validated_window": "windows and features",
    "vae": "encoders (VAE)",
    "latents": "encoders (VAE)",
    "gmm": "regimes",
    "rl_policy": "policies",
    "backtest_report": "backtests",
    "promotion": "promotion",
    "daily_signal": "signal",
    "drift_report": "drift, live record",
    "live_performance": "drift, live record",
}
Say = Callable[[str], None]


class StageLog:
    """Follows a run's events and says a line when a stage's last step has ended, and in a long stage how far it is.

    Args:
        steps: the steps that the run will make.
        say: takes each line.
        now: seconds since the run began.
        width: columns of a line.
    """

    def __init__(self, steps: list[str], say: Say, now: Callable[[], float], width: int) -> None:
        self._open = Counter(stage_of(step) for step in steps)
        self._say, self._now, self._width = say, now, width
        self._heard: dict[str, list[str]] = {}
        self._last_line = 0.0

    def see(self, entry: dg.EventLogEntry) -> None:
        """Take one event in."""
        step = entry.step_key or ""
        if entry.dagster_event is None:
            if entry.level == INFO and step and entry.user_message:
                said = entry.user_message.splitlines()[0]
                self._heard.setdefault(stage_of(step), []).append(said)
                if self._now() - self._last_line >= QUIET_SECONDS:
                    self._line("", said)
            return
        kind = entry.dagster_event_type
        if kind == dg.DagsterEventType.STEP_FAILURE:
            self._line("FAILED", step.replace("__", "/"))
        if kind == dg.DagsterEventType.ENGINE_EVENT and "blocked" in (entry.dagster_event.message or ""):
            self._line("waits", f"{stage_of(step)}: another run of the universe holds its database")
        if kind in (
            dg.DagsterEventType.STEP_SUCCESS,
            dg.DagsterEventType.STEP_FAILURE,
            dg.DagsterEventType.STEP_SKIPPED,
        ):
            self._ended(stage_of(step), said=kind == dg.DagsterEventType.STEP_SUCCESS)

    def _ended(self, stage: str, said: bool) -> None:
        self._open[stage] -= 1
        if self._open[stage] == 0 and said:
            heard = self._heard.get(stage, [])
            self._line(stage, heard[-1] if heard else "")

    def _line(self, stage: str, note: str) -> None:
        self._last_line = self._now()
        line = f"{self._last_line:6.0f} s  {stage:<22}{note}".rstrip()
        self._say(line if len(line) <= self._width else f"{line[: self._width - 1]}…")


def stage_of(step: str) -> str:
    """The stage that a step belongs to; a step that is in none is a stage by itself."""
    asset = step.rsplit("__", 1)[-1].removesuffix("_checks")
    return STAGES.get(asset, step.replace("__", "/"))


@contextmanager
def told(instance: dg.DagsterInstance, run_id: str, steps: list[str], say: Say, width: int) -> Iterator[None]:
    """Say the stages of a run from its event log while the block makes it."""
    started, done, failed = time.monotonic(), threading.Event(), list[Exception]()
    log = StageLog(steps, say, lambda: time.monotonic() - started, width)

    def watch() -> None:
        try:
            follow()
        except Exception as error:  # an event log that cannot be read; the run itself may say so first
            failed.append(error)

    def follow() -> None:
        cursor: str | None = None
        while True:
            finished = done.wait(POLL_SECONDS)
            seen = instance.get_records_for_run(run_id, cursor)
            cursor = seen.cursor
            for record in seen.records:
                log.see(record.event_log_entry)
            if finished and not seen.has_more:
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if failed:
        raise failed[0]
