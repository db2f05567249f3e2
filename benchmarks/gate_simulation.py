"""What the gate's rules do: false promotions a year for a researcher who tries many designs, and power.

    python benchmarks/gate_simulation.py [--paths 1000] [--seed 0]

A researcher tries N designs on one history of two years, declares the one with the best replay, and the gate looks
at it every quarter for three years; then the next N designs follow. False promotions a year are promotions of
designs without skill over the years that were waited. The markets are those of `gate_worlds`: simulated pairs with
clustered volatility and fat tails, and real on/off pairs as they were or in blocks of half a year. Their
strategies are fewer than 100, so that the last column tries all of them there.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from gate_worlds import real_strategies, simulated_pairs, windows, without_difference
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from regime_assets.library.evaluation.gate import GateSettings
from regime_assets.library.evaluation.paired_test import FREQUENCIES, paired_statistics
from regime_assets.library.evaluation.tiers import combined_score, deflated_score
from regime_assets.library.evaluation.track_record import SESSIONS_PER_YEAR

Floats = NDArray[np.float64]

REPLAY = 504
PATIENCE = 3 * SESSIONS_PER_YEAR
DESIGNS = (1, 20, 100)
GAINS = (0.3, 0.5, 1.0)
WORLDS = {
    "GJR-GARCH, t": "simulated",
    "on/off pairs as they were": "stretches",
    "on/off pairs, blocks of 126": "blocks",
}
CHUNK = 3000
"""Designs that are simulated at once."""


@dataclass(frozen=True)
class Simulation:
    """How the gate is simulated.

    Attributes:
        paths: researchers.
        correlation: of challenger and champion, per session, in the simulated world.
        world: "simulated", "stretches" or "blocks".
        seed: of everything.
    """

    paths: int = 1000
    correlation: float = 0.9
    world: str = "simulated"
    seed: int = 0


@dataclass(frozen=True)
class Declared:
    """What became of each researcher's best design, before any rule is applied.

    Attributes:
        replay: (P,) normal scores of the best replays.
        live: (P, L) normal scores on the live sessions at each look.
        looks: (L,) live sessions at each look.
        skilled: (P,) whether the declared design is the truly better one.
    """

    replay: Floats
    live: Floats
    looks: NDArray[np.int64]
    skilled: NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """What a set of rules did.

    Attributes:
        a_year: promotions a year of waiting.
        a_look: share of the first looks that promoted.
        found: share of the researchers whose truly better design was promoted within `PATIENCE`.
        median_sessions: live sessions until then; None when none was.
    """

    a_year: float
    a_look: float
    found: float
    median_sessions: float | None


def declare(gate: GateSettings, settings: Simulation, designs: int, gain: float = 0.0) -> Declared:
    """Let each researcher try `designs` designs, the first of which is better by `gain`, and declare the best."""
    generator = np.random.default_rng(settings.seed)
    looks = np.arange(gate.live_sessions, PATIENCE + 1, gate.look_interval)
    parts: list[Declared] = []
    for count in chunks(settings.paths, designs):
        champion, challengers = _draw(generator, settings, count, designs, gain)
        paths, tried, _ = challengers.shape
        before = challengers[:, :, :REPLAY].reshape(paths * tried, REPLAY)
        replay = score(before, np.repeat(champion[:, :REPLAY], tried, axis=0)).reshape(paths, tried)
        best = replay.argmax(axis=1)
        after, theirs = challengers[np.arange(paths), best, REPLAY:], champion[:, REPLAY:]
        live = np.stack([score(after[:, :look], theirs[:, :look]) for look in looks], axis=1)
        parts.append(Declared(replay.max(axis=1), live, looks, best == 0))
    return Declared(
        np.concatenate([part.replay for part in parts]),
        np.concatenate([part.live for part in parts]),
        looks,
        np.concatenate([part.skilled for part in parts]),
    )


def judge(gate: GateSettings, declared: Declared, trials: int) -> Measured:
    """Apply the challenge lane's rules when the ledger knows of `trials`."""
    deflated = deflated_score(declared.replay, trials)
    together = np.stack(
        [combined_score(declared.live[:, k], int(n), deflated, REPLAY) for k, n in enumerate(declared.looks)], axis=1
    )
    enough = REPLAY + declared.looks >= gate.challenge_sessions
    passed = (together >= gate.boundary_z) & (declared.live >= ndtri(gate.live_confidence)) & enough
    promoted = passed.any(axis=1)
    waited = np.where(promoted, declared.looks[passed.argmax(axis=1)], PATIENCE)
    right = promoted & declared.skilled
    return Measured(
        a_year=float(promoted.sum() * SESSIONS_PER_YEAR / waited.sum()),
        a_look=float(passed[:, 0].mean()),
        found=float(right.mean()),
        median_sessions=float(np.median(waited[right])) if right.any() else None,
    )


def live_only(gate: GateSettings, declared: Declared) -> Measured:
    """The lane without a replay: two years after the declaration pass before the first look."""
    waiting = replace(declared, replay=np.full_like(declared.replay, -np.inf))
    late = declared.looks >= gate.challenge_sessions
    passed = (waiting.live >= gate.boundary_z) & late
    promoted = passed.any(axis=1)
    waited = np.where(promoted, declared.looks[passed.argmax(axis=1)], PATIENCE)
    right = promoted & declared.skilled
    return Measured(
        float(promoted.sum() * SESSIONS_PER_YEAR / waited.sum()),
        float(passed[:, late.argmax()].mean()),
        float(right.mean()),
        float(np.median(waited[right])) if right.any() else None,
    )


def chunks(paths: int, designs: int) -> list[int]:
    """How many researchers to simulate at once."""
    size = max(1, min(paths, CHUNK // designs))
    return [min(size, paths - start) for start in range(0, paths, size)]


def score(challengers: Floats, champions: Floats) -> Floats:
    """(P,) normal scores; minus infinity where the gate measures nothing: a pair is equal, or one never moved."""
    moving = np.minimum(challengers.std(axis=1), champions.std(axis=1)) > 1e-6
    moving &= np.abs(challengers - champions).max(axis=1) > 1e-12
    found = np.full(len(challengers), -np.inf)
    if moving.any():
        found[moving] = paired_statistics(challengers[moving], champions[moving])[2]
    return found


def trailing_sharpe(settings: Simulation, paths: int = 20) -> float:
    """Promotions a year without a gate: every night a challenger without skill replaces a champion of lower trailing
    one-year Sharpe ratio. What the two share cancels, so only their own parts of the trailing year are drawn.
    """
    generator = np.random.default_rng(settings.seed)
    trailing = generator.standard_normal((paths, SESSIONS_PER_YEAR))
    promotions = 0
    for _ in range(3 * SESSIONS_PER_YEAR):
        trailing = np.concatenate([trailing[:, 1:], generator.standard_normal((paths, 1))], axis=1)
        challenger = generator.standard_normal((paths, SESSIONS_PER_YEAR))
        better = challenger.sum(axis=1) > trailing.sum(axis=1)
        trailing[better] = challenger[better]
        promotions += int(better.sum())
    return promotions / paths / 3


def refresh_passes(gate: GateSettings, settings: Simulation, loss: float, fresh: int) -> float:
    """Share of refreshes, correlation .97, that lost `loss` of true Sharpe ratio and pass on `fresh` sessions."""
    generator = np.random.default_rng(settings.seed)
    champion, refreshed = simulated_pairs(generator, settings.paths, 1, fresh, 0.97, gain=-loss)
    gain, error, _ = paired_statistics(refreshed[:, 0], champion)
    low = gain - stdtrit(FREQUENCIES, gate.non_inferiority_confidence) * error
    return float(np.mean(low * np.sqrt(SESSIONS_PER_YEAR) >= -gate.non_inferiority_margin))


def policy_serves(gate: GateSettings, settings: Simulation, gain: float) -> float:
    """Share of paths on which the learned policy serves on some night within three years."""
    generator = np.random.default_rng(settings.seed)
    rule, policy = simulated_pairs(generator, settings.paths, 1, PATIENCE, settings.correlation, gain=gain)
    served = np.zeros(settings.paths, bool)
    for night in range(gate.challenge_sessions, PATIENCE + 1):
        served |= paired_statistics(policy[:, 0, :night], rule[:, :night])[2] >= gate.serving_boundary_z
    return float(served.mean())


def _draw(
    generator: np.random.Generator, settings: Simulation, paths: int, designs: int, gain: float
) -> tuple[Floats, Floats]:
    sessions = REPLAY + PATIENCE
    if settings.world == "simulated":
        return simulated_pairs(generator, paths, designs, sessions, settings.correlation, gain=gain)
    strategies = real_strategies()[int(generator.integers(len(real_strategies())))]
    total, length = strategies.net.shape
    days = windows(generator, length, sessions, paths, 126 if settings.world == "blocks" else None)
    champions, challengers = [], []
    for path in range(paths):
        first, *others = generator.permutation(total)[: designs + 1]
        ours, theirs = without_difference(strategies, int(first), np.array(others))
        champions.append(ours[days[path]])
        challengers.append(theirs[:, days[path]])
    return np.stack(champions), np.stack(challengers)


def render(settings: Simulation) -> str:
    """All tables as Markdown."""
    gate = GateSettings()
    columns = " | ".join(f"{count} tried" for count in DESIGNS)
    lines = [
        f"{settings.paths} researchers a cell. False promotions a year; at most .5 is the aim. Without a gate, a "
        f"nightly choice by trailing Sharpe ratio promotes {trailing_sharpe(settings):.1f} times a year.",
        "",
        f"| challenge lane | {columns} | 20, not recorded | 100, not recorded | a look, 1 tried |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, world in WORLDS.items():
        tried = [declare(gate, replace(settings, world=world), count) for count in DESIGNS]
        known = [judge(gate, one, count) for one, count in zip(tried, DESIGNS, strict=True)]
        cells = [f"{one.a_year:.2f}" for one in known]
        cells += [f"{judge(gate, one, 1).a_year:.2f}" for one in tried[1:]]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {known[0].a_look:.3f} |")
        if world == "simulated":
            cells = [f"{live_only(gate, one).a_year:.2f}" for one in tried]
            lines.append("| the same, live sessions only, from 504 on | " + " | ".join(cells) + " | | | |")
    lines += [
        "",
        f"| a truly better design among those tried, promoted within 3 years (median sessions) | {columns} "
        "| 1 tried, live sessions only |",
        "|---|---|---|---|---|",
    ]
    for gain in GAINS:
        better = [declare(gate, settings, count, gain) for count in DESIGNS]
        cells = [_found(judge(gate, one, count)) for one, count in zip(better, DESIGNS, strict=True)]
        lines.append(f"| +{gain:g} | " + " | ".join(cells) + f" | {_found(live_only(gate, better[0]))} |")
    lines += [
        "",
        "| refresh lane: passes non-inferiority, correlation .97 | 126 fresh sessions | 252 | 504 |",
        "|---|---|---|---|",
    ]
    for loss in (0.0, 0.5, 1.0):
        shares = [refresh_passes(gate, settings, loss, fresh) for fresh in (126, 252, 504)]
        lines.append(f"| true loss of {loss:g} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    lines += [
        "",
        "| serving choice by paired sessions alone: served within 3 years, nightly looks | share of paths |",
        "|---|---|",
    ]
    lines += [f"| true gain {gain:g} | {policy_serves(gate, settings, gain):.2f} |" for gain in (0.0, *GAINS)]
    return "\n".join(lines)


def _found(measured: Measured) -> str:
    median = measured.median_sessions
    return f"{measured.found:.2f}" + ("" if median is None else f" ({median:.0f})")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--paths", type=int, default=Simulation().paths, help="researchers a cell")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.process_time()
    print(render(Simulation(paths=arguments.paths, seed=arguments.seed)))
    print(f"\n{time.process_time() - start:.0f} s of CPU.")


if __name__ == "__main__":
    main()
