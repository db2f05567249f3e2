"""Whether what was promoted earns what was shown: the gate promotes, a year passes, and its Sharpe ratio is looked up.

`python -m regime_assets.library.evaluation.promotion_coverage` prints the table as Markdown. Challengers are judged as
in `gate_simulation`, one beside each champion, over three years of quarterly looks; the year after each promotion is
drawn from the same truth and was seen by nobody.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.evaluation.gate_simulation import (
    PATIENCE,
    SimulationSettings,
    draw_session,
    gain_and_error,
    luck_boundaries,
)
from regime_assets.library.evaluation.live_interval import AHEAD, half_width, shrunk_gain
from regime_assets.library.evaluation.track_record import SESSIONS_PER_YEAR
from regime_assets.library.universe.gate_settings import GateSettings

Array = NDArray[np.float64]

PATHS = 20_000
TRUE_GAINS = (0.0, 0.3, 0.5)


@dataclass(frozen=True)
class Coverage:
    """How promises were kept, over the challengers of one true gain that were promoted.

    Attributes:
        promoted: how many of all paths.
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


def coverage(gate: GateSettings, settings: SimulationSettings, gain: float) -> Coverage:
    """Promote challengers whose true gain is `gain`, and look at the year after."""
    generator = np.random.default_rng(settings.seed)
    shape = (settings.paths, 1)
    sums, later = np.zeros((5, settings.paths)), np.zeros((2, settings.paths))
    record, won_by, error = (np.zeros(settings.paths) for _ in range(3))
    sessions = np.zeros(settings.paths)
    boundary = max(gate.boundary_z, float(luck_boundaries(settings.earlier_trials + 1)[-1]))
    for night in range(1, PATIENCE + AHEAD + 1):
        champion, challenger = (column[:, 0] for column in draw_session(generator, shape, settings.correlation, gain))
        ahead = (sessions > 0) & (night <= sessions + AHEAD)
        later += ahead * np.stack([challenger, challenger**2])
        sums += np.stack([champion, challenger, champion**2, challenger**2, champion * challenger])
        age = night - gate.challenge_sessions
        if age < 0 or age % gate.look_interval or night > PATIENCE:
            continue
        estimate, spread = gain_and_error(sums, np.full(settings.paths, night))
        won = (sessions == 0) & (estimate / spread >= boundary)
        record[won] = _sharpe(sums[1], sums[3], night)[won]
        won_by[won], error[won], sessions[won] = estimate[won], spread[won], night
    promoted = sessions > 0
    live = _sharpe(later[0], later[1], AHEAD)
    return _compared(*(column[promoted] for column in (record, won_by, error, sessions, live)))


def _compared(record: Array, won_by: Array, error: Array, sessions: Array, live: Array) -> Coverage:
    if not len(record):
        raise ValueError("no challenger was promoted; simulate more paths")
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


def _sharpe(total: Array, squares: Array, sessions: int) -> Array:
    mean = total / sessions
    deviation = np.sqrt(np.maximum(squares / sessions - mean**2, 1e-12))
    return mean / deviation * np.sqrt(SESSIONS_PER_YEAR)


def render(settings: SimulationSettings) -> str:
    """The table as Markdown."""
    lines = [
        f"{settings.paths} challengers a row, correlation {settings.correlation:g}; nominal coverage .95.",
        "",
        "| true gain | promoted | Sharpe ratio of the record | promised | lived, the year after "
        "| inside the record's own interval | inside, unshrunk | inside the shown interval |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for gain in TRUE_GAINS:
        row = coverage(GateSettings(), settings, gain)
        lines.append(
            f"| {gain:g} | {row.promoted} | {row.recorded:.2f} | {row.expected:.2f} | {row.live:.2f} "
            f"| {row.record_interval:.3f} | {row.unshrunk:.3f} | **{row.shown:.3f}** |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--paths", type=int, default=PATHS, help="challengers a row")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.process_time()
    print(render(SimulationSettings(paths=arguments.paths, seed=arguments.seed)))
    print(f"\n{time.process_time() - start:.0f} s of CPU.")


if __name__ == "__main__":
    main()
