"""Whether what was promoted earns what was shown: the gate promotes, a year passes, and its Sharpe ratio is looked up.

    python benchmarks/promotion_coverage.py [--paths 4000] [--seed 0]

Designs are tried, declared and judged as in `gate_simulation`; the year after each promotion is drawn from the same
truth and was seen by nobody. Prints the table as Markdown.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from gate_simulation import PATIENCE, REPLAY, Simulation, chunks, score
from gate_worlds import simulated_pairs
from numpy.typing import NDArray
from scipy.special import ndtri

from regime_assets.library.evaluation.gate import GateSettings
from regime_assets.library.evaluation.live_interval import AHEAD, half_width, shrunk_gain
from regime_assets.library.evaluation.paired_test import paired_statistics
from regime_assets.library.evaluation.tiers import combined_score, deflated_score
from regime_assets.library.evaluation.track_record import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]

PATHS = 4000
CASES = ((1, 0.0), (1, 0.3), (1, 0.5), (20, 0.0), (20, 0.5))
"""Designs tried, and the true gain of one of them."""


@dataclass(frozen=True)
class Coverage:
    """How promises were kept, over the designs that were promoted.

    Attributes:
        promoted: how many of all researchers' designs.
        recorded: mean Sharpe ratio of the records that were promoted.
        expected: mean of what was promised of them.
        live: mean Sharpe ratio of the year after.
        record_interval: share of those years inside the 95 % interval of the record's ratio itself.
        unshrunk: share inside an interval that adds the year's own luck, around the record's ratio.
        shown: share inside the interval that is shown.
    """

    promoted: int
    recorded: float
    expected: float
    live: float
    record_interval: float
    unshrunk: float
    shown: float


def coverage(gate: GateSettings, settings: Simulation, designs: int, gain: float) -> Coverage:
    """Promote designs, one of which truly gains `gain`, and look at the year after."""
    generator = np.random.default_rng(settings.seed)
    rows = [_promoted(gate, settings, generator, count, designs, gain) for count in chunks(settings.paths, designs)]
    record, won_by, error, sessions, live = np.concatenate(rows, axis=1)
    if not len(record):
        raise ValueError("nothing was promoted; simulate more paths")
    record_error = np.sqrt((1.0 + record**2 / (2.0 * SESSIONS_PER_YEAR)) * SESSIONS_PER_YEAR / sessions)
    expected = record - (won_by - shrunk_gain(won_by, error))
    width = half_width(record_error, sessions, AHEAD)
    return Coverage(
        promoted=len(record),
        recorded=float(record.mean()),
        expected=float(expected.mean()),
        live=float(live.mean()),
        record_interval=float(np.mean(np.abs(live - record) <= 1.96 * record_error)),
        unshrunk=float(np.mean(np.abs(live - record) <= width)),
        shown=float(np.mean(np.abs(live - expected) <= width)),
    )


def _promoted(
    gate: GateSettings, settings: Simulation, generator: np.random.Generator, paths: int, designs: int, gain: float
) -> Floats:
    """(5, promoted) record's ratio, its gain, the gain's error, its sessions, the ratio of the year after."""
    total = REPLAY + PATIENCE + AHEAD
    champion, tried = simulated_pairs(generator, paths, designs, total, settings.correlation, gain=gain)
    before = tried[:, :, :REPLAY].reshape(paths * designs, REPLAY)
    replay = score(before, np.repeat(champion[:, :REPLAY], designs, axis=0)).reshape(paths, designs)
    ours, deflated = tried[np.arange(paths), replay.argmax(axis=1)], deflated_score(replay.max(axis=1), designs)
    found: list[Floats] = []
    waiting = np.ones(paths, bool)
    for look in range(gate.live_sessions, PATIENCE + 1, gate.look_interval):
        end = REPLAY + look
        live = score(ours[:, REPLAY:end], champion[:, REPLAY:end])
        together = combined_score(live, look, deflated, REPLAY)
        won = waiting & (together >= gate.boundary_z) & (live >= ndtri(gate.live_confidence))
        waiting &= ~won
        estimate, error, _ = paired_statistics(ours[won, :end], champion[won, :end])
        year = np.sqrt(SESSIONS_PER_YEAR)
        sharpe, after = (_sharpe(part[won]) for part in (ours[:, :end], ours[:, end : end + AHEAD]))
        found.append(np.stack([sharpe, estimate * year, error * year, np.full(int(won.sum()), float(end)), after]))
    return np.concatenate(found, axis=1)


def _sharpe(returns: Floats) -> Floats:
    return returns.mean(axis=1) / returns.std(axis=1, ddof=1) * np.sqrt(SESSIONS_PER_YEAR)


def render(settings: Simulation) -> str:
    """The table as Markdown."""
    lines = [
        f"{settings.paths} researchers a row (a quarter of them where 20 designs are tried), correlation "
        f"{settings.correlation:g}; nominal coverage .95.",
        "",
        "| designs tried | true gain of one | promoted | Sharpe ratio of the record | promised | lived, the year after "
        "| inside the record's own interval | inside, unshrunk | inside the shown interval |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for designs, gain in CASES:
        paths = settings.paths if designs == 1 else settings.paths // 4
        row = coverage(GateSettings(), replace(settings, paths=paths), designs, gain)
        lines.append(
            f"| {designs} | {gain:g} | {row.promoted} | {row.recorded:.2f} | {row.expected:.2f} | {row.live:.2f} "
            f"| {row.record_interval:.3f} | {row.unshrunk:.3f} | **{row.shown:.3f}** |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--paths", type=int, default=PATHS, help="researchers a row")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.process_time()
    print(render(Simulation(paths=arguments.paths, seed=arguments.seed)))
    print(f"\n{time.process_time() - start:.0f} s of CPU.")


if __name__ == "__main__":
    main()
