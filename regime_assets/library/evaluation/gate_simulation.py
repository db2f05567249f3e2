"""What the gate's settings do: false promotions a year, and how soon a truly better challenger is found.

`python -m regime_assets.library.evaluation.gate_simulation` prints the frontier as Markdown. Daily returns are Student
t with five degrees of freedom, independent over sessions; challenger and champion are correlated; the champion's true
Sharpe ratio is 0.5. A slot is a place for one challenger: it leaves after three years without promotion, and another
one of no skill takes its place. Every promotion restarts all pairs against the new champion. The standard error of a
gain is the closed form of Jobson and Korkie with Memmel's correction (2003), to which the gate's bootstrap converges
when returns are independent.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from regime_assets.library.evaluation.track_record import SESSIONS_PER_YEAR, expected_maximum_sharpe
from regime_assets.library.universe.gate_settings import GateSettings

Array = NDArray[np.float64]

TAIL_FREEDOM = 5.0
CHAMPION_SHARPE = 0.5
PATIENCE = 3 * SESSIONS_PER_YEAR
GAINS = (0.3, 0.5)


@dataclass(frozen=True)
class SimulationSettings:
    """How the gate is simulated.

    Attributes:
        paths: simulated histories of each row.
        years: length of a history that counts false promotions.
        correlation: of challenger and champion, per session.
        earlier_trials: designs in the ledger before a challenger starts.
        seed: of everything.
    """

    paths: int = 1000
    years: int = 10
    correlation: float = 0.9
    earlier_trials: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Measured:
    """What one row of settings did.

    Attributes:
        promotions_per_year: mean over the paths.
        found: share of the paths with a promotion within `PATIENCE`.
        median_sessions: to the first promotion, over the paths that had one.
    """

    promotions_per_year: float
    found: float
    median_sessions: float | None


def challenge(gate: GateSettings, settings: SimulationSettings, gain: float, slots: int, sessions: int) -> Measured:
    """Run the challenge lane every night for `sessions` on challengers whose true Sharpe gain is `gain`."""
    generator = np.random.default_rng(settings.seed)
    shape = (settings.paths, slots)
    # The slots start apart, so that their quarterly looks do not fall on one night.
    age = np.broadcast_to(-np.arange(slots) * (gate.look_interval // slots), shape).copy()
    sums = np.zeros((5, *shape))
    since_look = np.full(shape, gate.look_interval)
    trials = np.full(settings.paths, settings.earlier_trials + slots)
    spent = np.zeros((SESSIONS_PER_YEAR, settings.paths))
    luck = luck_boundaries(settings.earlier_trials + slots * (2 + sessions))
    promotions, first = np.zeros(settings.paths), np.full(settings.paths, -1)
    for night in range(sessions):
        champion, challenger = draw_session(generator, shape, settings.correlation, gain)
        started = age >= 0
        sums += started * np.stack([champion, challenger, champion**2, challenger**2, champion * challenger])
        age += 1
        since_look += 1
        spent[night % SESSIONS_PER_YEAR] = 0.0
        due = (age >= gate.challenge_sessions) & (since_look >= gate.look_interval)
        if not due.any():
            continue
        due &= spent.sum(axis=0)[:, None] + np.cumsum(due, axis=1) * gate.look_alpha <= gate.alpha_per_year + 1e-12
        spent[night % SESSIONS_PER_YEAR] = due.sum(axis=1) * gate.look_alpha
        since_look[due] = 0
        boundary = np.maximum(gate.boundary_z, luck[trials] * (gate.deflated_minimum > 0))
        won = due & (gain_z(sums, age) >= boundary[:, None])
        promoted = won.any(axis=1)
        promotions += promoted
        first = np.where(promoted & (first < 0), night + 1, first)
        over = promoted[:, None] | (age >= PATIENCE)
        trials += np.where(promoted, 1, over.sum(axis=1))
        age[over], since_look[over] = 0, gate.look_interval
        sums[:, over] = 0.0
    waits = first[(first >= 0) & (first <= PATIENCE)]
    return Measured(
        promotions_per_year=float(promotions.mean() * SESSIONS_PER_YEAR / sessions),
        found=len(waits) / settings.paths,
        median_sessions=float(np.median(waits)) if len(waits) else None,
    )


def trailing_sharpe(settings: SimulationSettings, paths: int = 20) -> Measured:
    """No gate: every night a new challenger without skill replaces a champion of lower trailing one-year Sharpe.

    What the two share cancels, so only their own parts of the trailing year are drawn.
    """
    generator = np.random.default_rng(settings.seed)
    nights = 3 * SESSIONS_PER_YEAR
    trailing = generator.standard_normal((paths, SESSIONS_PER_YEAR))
    promotions = 0
    for _ in range(nights):
        trailing[:, :-1] = trailing[:, 1:]
        trailing[:, -1] = generator.standard_normal(paths)
        challenger = generator.standard_normal((paths, SESSIONS_PER_YEAR))
        better = challenger.sum(axis=1) > trailing.sum(axis=1)
        trailing[better] = challenger[better]
        promotions += int(better.sum())
    return Measured(promotions / paths / 3, 1.0, None)


def refresh_passes(
    gate: GateSettings, settings: SimulationSettings, loss: float, fresh: int, correlation: float
) -> float:
    """Share of refreshes that lost `loss` of true Sharpe ratio and pass non-inferiority on `fresh` sessions."""
    generator = np.random.default_rng(settings.seed)
    shape = (settings.paths, 1)
    sums = np.zeros((5, *shape))
    for _ in range(fresh):
        champion, refreshed = draw_session(generator, shape, correlation, -loss)
        sums += np.stack([champion, refreshed, champion**2, refreshed**2, champion * refreshed])
    age = np.full(shape, fresh)
    estimate, error = gain_and_error(sums, age)
    quantile = -_normal_quantile(gate.non_inferiority_confidence)
    return float(np.mean(estimate + quantile * error >= -gate.non_inferiority_margin))


def gain_z(sums: Array, sessions: NDArray[np.int64]) -> Array:
    """The gain in Sharpe ratio over its standard error, from the sums of c, d, c², d² and c·d."""
    estimate, error = gain_and_error(sums, sessions)
    return estimate / error


def luck_boundaries(count: int) -> Array:
    """(count + 1,) z that the best of n gains without skill is expected to show, by n."""
    return np.array([expected_maximum_sharpe(max(1, n), 1.0) for n in range(count + 1)])


def gain_and_error(sums: Array, sessions: NDArray[np.int64]) -> tuple[Array, Array]:
    """Annualised gain and its standard error; sessions that have not begun count as one."""
    n = np.maximum(sessions, 1)
    mean_c, mean_d = sums[0] / n, sums[1] / n
    sd_c = np.sqrt(np.maximum(sums[2] / n - mean_c**2, 1e-12))
    sd_d = np.sqrt(np.maximum(sums[3] / n - mean_d**2, 1e-12))
    rho = np.clip((sums[4] / n - mean_c * mean_d) / (sd_c * sd_d), -1.0, 1.0)
    c, d = mean_c / sd_c, mean_d / sd_d
    variance = (2.0 - 2.0 * rho + 0.5 * (c**2 + d**2 - 2.0 * c * d * rho**2)) / n
    error = np.sqrt(np.maximum(variance, 1e-12))
    return (d - c) * np.sqrt(SESSIONS_PER_YEAR), error * np.sqrt(SESSIONS_PER_YEAR)


def draw_session(
    generator: np.random.Generator, shape: tuple[int, int], correlation: float, gain: float
) -> tuple[Array, Array]:
    """One session's returns in units of their standard deviation; the slots of a path share its champion."""
    scale = np.sqrt((TAIL_FREEDOM - 2.0) / TAIL_FREEDOM)
    tail = scale / np.sqrt(generator.chisquare(TAIL_FREEDOM, (shape[0], 1)) / TAIL_FREEDOM)
    shared = generator.standard_normal((shape[0], 1))
    own = generator.standard_normal(shape)
    year = np.sqrt(SESSIONS_PER_YEAR)
    champion = np.broadcast_to(tail * shared, shape) + CHAMPION_SHARPE / year
    mixed = correlation * shared + np.sqrt(1.0 - correlation**2) * own
    return champion, tail * mixed + (CHAMPION_SHARPE + gain) / year


def _normal_quantile(probability: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def frontier(base: GateSettings) -> list[tuple[str, GateSettings]]:
    """The settings compared, with a name each; the first ones neither deflate nor keep a budget."""
    free = replace(base, alpha_per_year=1e9)
    plain = replace(free, deflated_minimum=0.0)
    return [
        ("nightly looks, z 1.64, uncorrected", replace(plain, look_interval=1, boundary_z=1.64)),
        ("nightly looks, z 2.5", replace(plain, look_interval=1, boundary_z=2.5)),
        ("quarterly looks, z 1.28", replace(plain, boundary_z=1.28)),
        ("quarterly looks, z 1.64", replace(plain, boundary_z=1.64)),
        ("quarterly looks, z 2.07", replace(plain, boundary_z=2.07)),
        ("z 1.64, deflated", replace(free, boundary_z=1.64)),
        ("z 1.64, deflated, from one year", replace(free, boundary_z=1.64, challenge_sessions=252)),
        ("z 1.75, deflated", replace(free, boundary_z=1.75)),
        ("z 1.85, deflated", replace(free, boundary_z=1.85)),
        ("z 2.07, deflated", replace(free, boundary_z=2.07)),
        ("z 2.07, deflated, from one year", replace(free, boundary_z=2.07, challenge_sessions=252)),
        ("z 2.07, deflated, budget .10", replace(base, boundary_z=2.07, alpha_per_year=0.10)),
        (f"**default: z {base.boundary_z:g}, deflated, budget {base.alpha_per_year:g}**", base),
    ]


def render(settings: SimulationSettings) -> str:
    """The frontier and the refresh lane as Markdown."""
    base = GateSettings()
    lines = [
        f"{settings.paths} paths a cell, correlation {settings.correlation:g}, {settings.earlier_trials} earlier "
        "trials; false promotions a year with challengers that have no skill.",
        "",
        "| challenge lane | false a year, 1 slot | 5 slots | 20 slots "
        "| +0.3 found in 3 years | +0.5 found in 3 years | median sessions, +0.5 |",
        "|---|---|---|---|---|---|---|",
        f"| no gate: higher trailing Sharpe, nightly | {trailing_sharpe(settings).promotions_per_year:.1f} | | | | | |",
    ]
    nights = settings.years * SESSIONS_PER_YEAR
    for name, gate in frontier(base):
        false = [challenge(gate, settings, 0.0, slots, nights).promotions_per_year for slots in (1, 5, 20)]
        small, large = (challenge(gate, settings, gain, 1, PATIENCE) for gain in GAINS)
        wait = "" if large.median_sessions is None else f"{large.median_sessions:.0f}"
        rates = " | ".join(f"{rate:.2f}" for rate in false)
        lines.append(f"| {name} | {rates} | {small.found:.2f} | {large.found:.2f} | {wait} |")
    lines += [
        "",
        "| refresh lane: passes non-inferiority, correlation .97 | 126 fresh sessions | 252 | 504 |",
        "|---|---|---|---|",
    ]
    for loss in (0.0, 0.5, 1.0):
        shares = [refresh_passes(base, settings, loss, fresh, 0.97) for fresh in (126, 252, 504)]
        lines.append(f"| true loss of {loss:g} | " + " | ".join(f"{share:.2f}" for share in shares) + " |")
    nightly = replace(
        base, look_interval=1, boundary_z=base.serving_boundary_z, alpha_per_year=1e9, deflated_minimum=0.0
    )
    lines += ["", "| serving choice: policy served within 3 years, nightly looks | share of paths |", "|---|---|"]
    for gain in (0.0, *GAINS):
        lines.append(f"| true gain {gain:g} | {challenge(nightly, settings, gain, 1, PATIENCE).found:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the frontier."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--paths", type=int, default=SimulationSettings().paths, help="histories a cell")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.process_time()
    print(render(SimulationSettings(paths=arguments.paths, seed=arguments.seed)))
    print(f"\n{time.process_time() - start:.0f} s of CPU.")


if __name__ == "__main__":
    main()
