"""What the rules on bars catch, and how often they are wrong: planted faults, and real bars that are right.

    python benchmarks/data_rules.py [--plants 20] [--folder BARS]

The first table plants faults into simulated bars. The second counts the findings on real bars: closes of 20 US shares,
1995 to 2022 (skfolio), and bars of five, 2000 to 2013 (bokeh_sampledata), whose splits are declared and then are not.
With `--folder`, also on the bars of a folder of CSV files, one a symbol, with the columns date (or session), open,
high, low, close and volume, adjusted for splits.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import files
from pathlib import Path

import pandas as pd

from regime_assets.library.market.quality import NO_ACTIONS, RULES, check_bars
from regime_assets.library.market.sources.sample import FIRST_DATE, LAST_SESSION, SampleSource
from regime_assets_tests.library.market.planted_faults import ALL_FIELDS, CLOSE_ONLY, FAULTS, check, simulate

SHARES = (
    *("AAPL", "AMD", "BAC", "BBY", "CVX", "GE", "HD", "JNJ", "JPM", "KO"),
    *("LLY", "MRK", "MSFT", "PEP", "PFE", "PG", "RRC", "UNH", "WMT", "XOM"),
)
SPLITS = (("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18"))
"""Each two for one; the splits within the bars of bokeh_sampledata."""


def detection_table(plants: int) -> pd.DataFrame:
    """For each fault and set of fields, the share of plants that was blocked, warned of only, and missed.

    A clean sample's own findings (outliers of the simulation) do not count for the fault.
    """
    rows: list[dict[str, object]] = []
    for fault, plant in FAULTS.items():
        row: dict[str, object] = {"planted": fault}
        for fields, label in ((ALL_FIELDS, "all fields"), (CLOSE_ONLY, "close only")):
            outcome, rules = Counter[str](), Counter[str]()
            for seed in range(plants):
                clean = simulate(seed)
                known = {(f.rule, f.symbol, f.session, f.severity) for f in check(clean, fields)}
                caught = [
                    f for f in check(plant(clean), fields) if (f.rule, f.symbol, f.session, f.severity) not in known
                ]
                severities = {finding.severity for finding in caught}
                outcome["error" if "error" in severities else "warn" if severities else "missed"] += 1
                rules.update(sorted({finding.rule for finding in caught}, key=list(RULES).index))
            for name in ("error", "warn", "missed"):
                row[f"{label}: {name}"] = f"{outcome[name] / plants:.0%}"
            named = [f"{rule} {count / plants:.0%}" for rule, count in rules.most_common(3)]
            row[f"{label}: by"] = ", ".join(named)
        rows.append(row)
    return pd.DataFrame(rows)


def false_alarms(label: str, bars: pd.DataFrame, fields: Sequence[str], actions: pd.DataFrame) -> pd.DataFrame:
    """Findings by rule on bars that are taken as right, each rule's blocks by name."""
    symbols = sorted(bars["symbol"].unique())
    days = [day.date() for day in sorted(bars["session"].unique())]
    findings = [found for found in check_bars(bars, symbols, days, fields, actions=actions) if found.rule != "complete"]
    rows: list[dict[str, object]] = []
    for rule in RULES:
        of_rule = [found for found in findings if found.rule == rule]
        blocks = [found for found in of_rule if found.severity == "error"]
        named = ", ".join(f"{found.symbol} {found.session}" for found in blocks[:12])
        row = {"bars": f"{label}, {', '.join(fields)}", "rule": rule, "real bars": f"{len(bars):,}"}
        rows.append(row | {"blocks": len(blocks), "warns": len(of_rule) - len(blocks), "which": named})
    return pd.DataFrame([row for row in rows if row["blocks"] or row["warns"]])


def shares() -> pd.DataFrame:
    """Closes of the sample source."""
    return SampleSource().fetch(SHARES, FIRST_DATE, LAST_SESSION).bars


def bars_as_traded() -> pd.DataFrame:
    """The bars of bokeh_sampledata."""
    (path,) = (file for file in files("bokeh_sampledata") or () if file.name == "stocks.csv.gz")
    frame = pd.read_csv(str(path.locate())).rename(columns=str.lower)
    frame = frame.rename(columns={"ticker": "symbol", "date": "session"})
    return frame.assign(session=pd.to_datetime(frame["session"]))


def bars_of(folder: Path) -> pd.DataFrame:
    """The bars of a folder of CSV files."""
    frames: list[pd.DataFrame] = []
    for path in sorted(folder.glob("*.csv")):
        frame = pd.read_csv(path).rename(columns=str.lower).rename(columns={"date": "session"})
        if {"session", *ALL_FIELDS} <= set(frame.columns):
            days = pd.to_datetime(frame["session"].astype(str).str[:10])
            frames.append(frame[list(ALL_FIELDS)].assign(symbol=path.stem, session=days))
    return pd.concat(frames, ignore_index=True)


def markdown(table: pd.DataFrame) -> str:
    """The table as markdown."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description="What the data checks catch, and how often they are wrong.")
    parser.add_argument("--plants", type=int, default=20, help="places at which each fault is planted")
    parser.add_argument("--folder", type=Path, help="further real bars: a folder of CSV files, adjusted for splits")
    parser.add_argument("--since", default="1990-01-01", help="the first session of them that counts")
    arguments = parser.parse_args()
    print(markdown(detection_table(arguments.plants)))
    traded = bars_as_traded()
    splits = pd.DataFrame(SPLITS, columns=["symbol", "ex_session"]).assign(kind="split", value=2.0)
    splits["ex_session"] = pd.to_datetime(splits["ex_session"])
    counted = [
        false_alarms("skfolio", shares(), CLOSE_ONLY, NO_ACTIONS),
        false_alarms("bokeh_sampledata", traded, ALL_FIELDS, splits),
        false_alarms("bokeh_sampledata", traded, CLOSE_ONLY, splits),
        false_alarms("bokeh_sampledata, splits not declared", traded, ALL_FIELDS, NO_ACTIONS),
        false_alarms("bokeh_sampledata, splits not declared", traded, CLOSE_ONLY, NO_ACTIONS),
    ]
    if arguments.folder:
        more = bars_of(arguments.folder)
        more = more[more["session"] >= pd.Timestamp(arguments.since)]
        counted += [
            false_alarms(arguments.folder.name, more, fields, NO_ACTIONS) for fields in (ALL_FIELDS, CLOSE_ONLY)
        ]
    print()
    print(markdown(pd.concat(counted, ignore_index=True)))


if __name__ == "__main__":
    main()
