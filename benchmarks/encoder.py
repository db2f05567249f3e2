"""Encoders of the library beside one another: held-out error, agreement of regimes between seeds, CPU seconds.

Every encoder is trained by the library itself, from scratch, on the long window of the S&P 500 at the given years.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import regimes as walked  # the benchmark beside this one

from regime_assets.library.components import BUILT_IN, settings_class
from regime_assets.library.encoders.training import fit_encoder
from regime_assets.library.regimes.jump_regimes import fit_jump_regimes
from regime_assets.library.regimes.settings import JumpSettings


def states(decoded: np.ndarray, returns: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The library's regimes of decoded features (T,)."""
    mixture, persistence = fit_jump_regimes(decoded, returns, weights, JumpSettings(), previous=None)
    return persistence.model.filter(mixture.model.log_likelihoods(decoded)).states


def main() -> None:
    """Train and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    arguments.add_argument("--years", type=int, nargs="+", default=[2012, 2018])
    years = arguments.parse_args().years
    market = walked.read_market()
    starts = [next(walked.segments(market, year, 300))[0] for year in years]
    print("| encoder | held-out error | active latents | agreement of two seeds | CPU, from scratch, warm |")
    print("|---|---|---|---|---|")
    for use in BUILT_IN["encoders"]:
        settings = settings_class("encoders", use)()
        errors, active, cold, warm, agreements = [], [], [], [], []
        for row in starts:
            features, returns, weights = market.window(row, "long")
            paths = []
            for seed in (1, 2):
                begin = time.process_time()
                fit = fit_encoder(features, weights, use, settings, seed, None, full_retrain=True)
                between = time.process_time()
                fit_encoder(features, weights, use, settings, seed, fit.model, full_retrain=False)
                cold.append(between - begin)
                warm.append(time.process_time() - between)
                errors.append(fit.figures["validation_reconstruction"])
                active.append(fit.figures["active_units"])
                paths.append(states(fit.model.denoise(features), returns, weights)[-walked.COMPARED_SESSIONS :])
            agreements.append(float((paths[0] == paths[1]).mean()))
        agreed = f"{np.mean(agreements):.3f} ({min(agreements):.2f})"
        seconds = f"{np.median(cold):.1f} s, {np.median(warm):.2f} s"
        print(f"| {use} | {np.mean(errors):.3f} | {np.mean(active):.1f} | {agreed} | {seconds} |", flush=True)


if __name__ == "__main__":
    main()
