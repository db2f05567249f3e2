"""Which test of two Sharpe ratios keeps its size on the pairs that a gate sees, and what it finds.

    python benchmarks/paired_tests.py [--paths 2000] [--seed 0]

Prints two Markdown tables: how often a test passes z 1.75 (nominal .040) where the truth is no difference, and how
often where it is +.5. The tests: the closed form for independent sessions (Memmel 2003); the lag-window form of the
stationary bootstrap at a mean block of 20 sessions, which is about what the automatic choice takes; batch means with
Student's t (Ibragimov, Müller 2010); cosine projections with Student's t at several numbers of cosines. The one with 8
cosines is the gate's, `evaluation/paired_test.py`.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from gate_worlds import real_strategies, simulated_pairs, windows, without_difference
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr

from regime_assets.library.evaluation.paired_test import paired_statistics

Floats = NDArray[np.float64]

BOUNDARY = 1.75
BLOCK = 20
NAMES = ("independent", "bootstrap", "8 batches", "cosines 6", "**cosines 8**", "cosines 12", "cosines 24")
SHARES = ((0.02, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.6))
SMALLEST_DEVIATION = 1e-3


def scores(challengers: Floats, champions: Floats) -> Floats:
    """(tests, P) normal scores of every test on (P, T) pairs."""
    first, ours = _influence(challengers)
    second, theirs = _influence(champions)
    gain, difference = ours - theirs, first - second
    sessions = difference.shape[1]
    centred = difference - difference.mean(axis=1, keepdims=True)
    independent = gain / np.sqrt((centred**2).mean(axis=1) / sessions)
    rows = [independent, gain / np.sqrt(_bootstrap_variance(centred) / sessions), _batches(difference, gain, 8)]
    rows += [_cosines(difference, gain, count) for count in (6, 8, 12, 24)]
    return np.stack(rows)


def _influence(returns: Floats) -> tuple[Floats, Floats]:
    mean, deviation = returns.mean(axis=1, keepdims=True), returns.std(axis=1, ddof=1, keepdims=True)
    standard, ratio = (returns - mean) / deviation, mean / deviation
    return standard - 0.5 * ratio * (standard**2 - 1.0), ratio[:, 0]


def _bootstrap_variance(centred: Floats) -> Floats:
    """Long-run variance as the stationary bootstrap has it (Politis, Romano 1994, lemma 1)."""
    sessions = centred.shape[1]
    total = (centred**2).mean(axis=1)
    for lag in range(1, 5 * BLOCK):
        near, far = (1 - 1 / BLOCK) ** lag, (1 - 1 / BLOCK) ** (sessions - lag)
        weight = (1 - lag / sessions) * near + lag / sessions * far
        total = total + 2.0 * weight * (centred[:, lag:] * centred[:, :-lag]).sum(axis=1) / sessions
    return np.maximum(total, 1e-12)


def _batches(difference: Floats, gain: Floats, count: int) -> Floats:
    length = difference.shape[1] // count
    means = difference[:, -count * length :].reshape(len(difference), count, length).mean(axis=2)
    return _score(gain / (means.std(axis=1, ddof=1) / np.sqrt(count)), count - 1)


def _cosines(difference: Floats, gain: Floats, count: int) -> Floats:
    sessions = difference.shape[1]
    at = (np.arange(sessions) + 0.5) / sessions
    projected = difference @ (np.sqrt(2.0 / sessions) * np.cos(np.pi * np.outer(at, np.arange(1, count + 1))))
    return _score(gain / np.sqrt((projected**2).mean(axis=1) / sessions), count)


def _score(t: Floats, freedom: int) -> Floats:
    return -np.sign(t) * ndtri(stdtr(freedom, -np.abs(t)))


def real_scores(generator: np.random.Generator, count: int, block: int | None, sessions: int) -> tuple[Floats, Floats]:
    """(tests, P) scores and (P,) shares of sessions on which the two of a real pair hold different positions."""
    found: list[Floats] = []
    shares: list[Floats] = []
    for strategies in real_strategies():
        total, length = strategies.net.shape
        each = -(-count // total)
        for first in range(total):
            others = generator.integers(total, size=each)
            ours, theirs = without_difference(strategies, first, others)
            days = windows(generator, length, sessions, each, block)
            champions, challengers = ours[days], np.take_along_axis(theirs, days, axis=1)
            differs = strategies.held[others] != strategies.held[first]
            share = np.take_along_axis(differs, days, axis=1).mean(axis=1)
            moves = np.minimum(champions.std(axis=1), challengers.std(axis=1)) > SMALLEST_DEVIATION
            usable = moves & (share > SHARES[0][0])
            found.append(scores(challengers[usable], champions[usable]))
            shares.append(share[usable])
    return np.concatenate(found, axis=1), np.concatenate(shares)


def render(paths: int, seed: int) -> str:
    """Both tables as Markdown."""
    generator = np.random.default_rng(seed)
    head = ["| pairs, 504 sessions | " + " | ".join(NAMES) + " |", "|---" * (1 + len(NAMES)) + "|"]
    lines = [f"Share of looks that pass z {BOUNDARY} although the truth is no difference; nominal .040.", "", *head]
    for correlation in (0.7, 0.9, 0.97):
        for autocorrelation in (0.0, 0.2):
            champion, drawn = simulated_pairs(generator, paths, 1, 504, correlation, autocorrelation=autocorrelation)
            name = f"GJR-GARCH, t, correlation {correlation:g}, autocorrelation {autocorrelation:g}"
            lines.append(_row(name, scores(drawn[:, 0], champion)))
    for name, block in (("on/off pairs as they were", None), ("on/off pairs, blocks of 126", 126)):
        found, share = real_scores(generator, 2 * paths, block, 504)
        lines.append(_row(f"{name}, all", found))
        for low, high in SHARES:
            inside = (share > low) & (share <= high)
            lines.append(_row(f"{name}, differing on {low:.0%} to {high:.0%}", found[:, inside]))
    lines += ["", "Share of looks that find a true difference of +.5 (GJR-GARCH, t).", "", *head]
    for correlation in (0.7, 0.9, 0.97):
        champion, drawn = simulated_pairs(generator, paths, 1, 504, correlation, gain=0.5)
        lines.append(_row(f"correlation {correlation:g}", scores(drawn[:, 0], champion)))
    check = scores(drawn[:, 0], champion)[NAMES.index("**cosines 8**")]
    assert np.allclose(check, paired_statistics(drawn[:, 0], champion)[2], atol=1e-6), "the table's test is the gate's"
    return "\n".join(lines)


def _row(name: str, found: Floats) -> str:
    shares = (found > BOUNDARY).mean(axis=1)
    return f"| {name} | " + " | ".join(f"{share:.3f}".lstrip("0") for share in shares) + " |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--paths", type=int, default=2000, help="pairs a row; twice as many real ones an index")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    start = time.process_time()
    print(render(arguments.paths, arguments.seed))
    print(f"\n{time.process_time() - start:.0f} s of CPU.")


if __name__ == "__main__":
    main()
