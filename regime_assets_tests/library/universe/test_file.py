"""A universe file says what is wrong with it, and on which line."""

from datetime import date
from pathlib import Path

import pytest

from regime_assets.definitions import SHIPPED_UNIVERSES
from regime_assets.library.universe import UniverseError, load_universe, load_universes

VALID = """\
name: tiny
source:
  kind: sample
history_start: 2000-01-03
first_partition: 2005-01-03
symbols: [AAPL, MSFT]
traded: [SP500]
cost_bp: 5
"""


def written(folder: Path, text: str, name: str = "tiny.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_valid_file_becomes_a_universe(tmp_path: Path) -> None:
    universe = load_universe(written(tmp_path, VALID))
    assert universe.instruments == ("AAPL", "MSFT", "SP500")
    assert universe.held == ("SP500",)
    assert universe.cost == pytest.approx(0.0005)


def test_without_traded_instruments_the_symbols_are_held(tmp_path: Path) -> None:
    universe = load_universe(written(tmp_path, VALID.replace("traded: [SP500]\n", "")))
    assert universe.held == ("AAPL", "MSFT")


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ("", 252),
        ("calendar: 24/7\n", 365),
        ("calendar: XLON\n", 252),
        ("calendar: XLON\nsessions_per_year: 253\n", 253),
    ],
)
def test_the_sessions_of_a_year_are_the_calendars_unless_the_file_says(tmp_path: Path, lines: str, count: int) -> None:
    assert load_universe(written(tmp_path, VALID + lines)).sessions_per_year == count


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("kind: sample", "kind: nowhere"), 3, "source.kind"),
        (("cost_bp: 5", "cost_bp: -5"), 8, "cost_bp"),
        (("cost_bp: 5", "costs: 5"), 8, "costs"),
        (("[AAPL, MSFT]", "[AAPL, <script>]"), 6, "symbols.1"),
        (("name: tiny", "name: ../tiny"), 1, "name"),
        (("cost_bp: 5", "refit: {every: hourly}"), 8, "refit.every"),
        (("cost_bp: 5", "refit: {every: {short: hourly}}"), 8, "refit.every.short"),
    ],
)
def test_every_broken_rule_points_to_its_line(tmp_path: Path, change: tuple[str, str], line: int, words: str) -> None:
    path = written(tmp_path, VALID.replace(*change))
    with pytest.raises(UniverseError, match=rf"tiny.yaml:{line}: {words}"):
        load_universe(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("first_partition: 2005-01-03", "first_partition: 1999-01-04"), "after history_start"),
        (("[AAPL, MSFT]", "[AAPL, AAPL]"), "symbols names AAPL more than once"),
        (("[AAPL, MSFT]", "[AAPL, aapl]"), "AAPL differ in upper and lower case only"),
        (("traded: [SP500]", "traded: []"), "tiny.yaml:7: traded: names nothing"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(UniverseError, match=words):
        load_universe(written(tmp_path, VALID.replace(*change)))


def test_a_date_of_another_form_is_told_how_dates_are_written(tmp_path: Path) -> None:
    changed = VALID.replace("first_partition: 2005-01-03", "first_partition: 03/01/2005")
    with pytest.raises(UniverseError, match=r"tiny.yaml:5: first_partition: 03/01/2005 is no date; write YYYY-MM-DD"):
        load_universe(written(tmp_path, changed))


def test_a_folder_of_prices_that_is_not_there_is_told_with_its_line_and_the_universe_still_loads(
    tmp_path: Path,
) -> None:
    source = f"source: {{kind: files, options: {{folder: {tmp_path}/prices}}}}"
    path = written(tmp_path, VALID.replace("source:\n  kind: sample", source))
    found = load_universes([tmp_path])
    assert [universe.name for universe in found.loaded] == ["tiny"]
    (told,) = found.warnings
    assert told.startswith(f"{path}:2: source.options.folder: {tmp_path}/prices does not exist")


def test_text_that_is_no_yaml_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UniverseError, match="mapping"):
        load_universe(written(tmp_path, "- just\n- a list\n"))


def test_two_files_cannot_share_a_name(tmp_path: Path) -> None:
    written(tmp_path, VALID, "a.yaml")
    for name in ("tiny", "TINY"):
        written(tmp_path, VALID.replace("name: tiny", f"name: {name}"), "b.yaml")
        universes = load_universes([tmp_path])
        assert len(universes.loaded) == 1
        assert [broken.name for broken in universes.broken] == ["b"]
        with pytest.raises(UniverseError, match="already taken"):
            universes.named("b")


def test_a_file_that_does_not_load_is_told_and_the_others_work(tmp_path: Path) -> None:
    written(tmp_path, VALID, "good.yaml")
    written(tmp_path, VALID.replace("first_partition", "frist_partition"), "asia.yaml")
    universes = load_universes([tmp_path])
    assert universes.named("tiny") is universes.loaded[0]
    with pytest.raises(UniverseError, match=r"(?s)asia does not load: .*asia.yaml:\d+: frist_partition"):
        universes.named("asia")
    with pytest.raises(UniverseError, match=r"(?s)there is no universe nine.*asia does not load"):
        universes.named("nine")


def test_the_shipped_universes_are_valid() -> None:
    assert "us_large_cap" in [universe.name for universe in load_universes([SHIPPED_UNIVERSES]).loaded]


FACTS = f"""{VALID}macro:
  kind: fred
  series: [UNRATE, DGS10]
  features: [UNRATE]
fundamentals:
  kind: sec
  features: ["us-gaap:Assets USD"]
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            ("features: [UNRATE]", "features: [UNRATE, GDP]"),
            "tiny.yaml:12: macro.features.1: .*GDP is none",
        ),
        (("features: [UNRATE]", "features: [UNRATE, UNRATE]"), "tiny.yaml:12: macro.features.1: .*more than once"),
        (("us-gaap:Assets USD", "Assets"), "tiny.yaml:15: fundamentals.features.0"),
    ],
)
def test_features_that_no_source_gives_are_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    assert load_universe(written(tmp_path, FACTS)).macro is not None
    with pytest.raises(UniverseError, match=words):
        load_universe(written(tmp_path, FACTS.replace(*change)))


LEAVING = VALID.replace("[AAPL, MSFT]", "[AAPL, MSFT, KO, {symbol: GE, to: 2010-06-30}]")


def test_a_symbol_is_a_member_up_to_the_day_on_which_it_leaves(tmp_path: Path) -> None:
    universe = load_universe(written(tmp_path, LEAVING))
    assert universe.symbols == ("AAPL", "MSFT", "KO", "GE")
    assert universe.members(date(2010, 6, 30)) == ("AAPL", "MSFT", "KO", "GE")
    assert universe.members(date(2010, 7, 1)) == ("AAPL", "MSFT", "KO")
    assert universe.instruments_on(date(2010, 7, 1)) == ("AAPL", "MSFT", "KO", "SP500")


def test_a_symbol_is_a_member_from_the_day_on_which_it_joins(tmp_path: Path) -> None:
    universe = load_universe(written(tmp_path, LEAVING.replace("to: 2010-06-30", "from: 2008-06-30, to: 2010-06-30")))
    assert universe.members(date(2008, 6, 29)) == ("AAPL", "MSFT", "KO")
    assert universe.members(date(2008, 6, 30)) == ("AAPL", "MSFT", "KO", "GE")
    assert universe.members(date(2010, 7, 1)) == ("AAPL", "MSFT", "KO")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("to: 2010-06-30", "to: June"), r"tiny.yaml:6: symbols.3.to"),
        (("to: 2010-06-30", "until: 2010-06-30"), r"tiny.yaml:6: symbols.3.until"),
        (("symbol: GE", 'symbol: "<GE>"'), r"tiny.yaml:6: symbols.3.symbol"),
        (("to: 2010-06-30", "from: soon"), r"tiny.yaml:6: symbols.3.from"),
        (("traded: [SP500]", "traded: [SP500, GE]"), "tiny.yaml:6: symbols.3: .*GE cannot leave"),
        (("traded: [SP500]\n", ""), "GE cannot leave"),
        (("to: 2010-06-30}]\ntraded: [SP500]", "from: 2010-06-30}]"), "GE cannot join"),
        (("KO, ", ""), "tiny.yaml:6: symbols: .*at least 3 of the symbols must always be members"),
        (("2010-06-30", "1999-06-30"), "tiny.yaml:6: symbols.3.to: .*GE leaves before history_start"),
        (("to: 2010-06-30", "from: 2010-07-01, to: 2010-06-30"), "tiny.yaml:6: symbols.3.to: .*leaves before it joins"),
        (
            ("to: 2010-06-30}]", "from: 2012-01-03}]\nlast_partition: 2011-12-30"),
            "tiny.yaml:6: symbols.3.from: .*GE joins after last_partition",
        ),
    ],
)
def test_a_membership_that_cannot_be_kept_is_refused(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    with pytest.raises(UniverseError, match=words):
        load_universe(written(tmp_path, LEAVING.replace(*change)))


def test_the_bounds_of_gate_and_stability_are_set_in_the_file(tmp_path: Path) -> None:
    bounds = "gate: {minimum_fresh_sessions: 60}\nstability: {agreement_warn: 0.9}\n"
    universe = load_universe(written(tmp_path, VALID + bounds))
    assert (universe.gate.minimum_fresh_sessions, universe.gate.challenge_sessions) == (60, 504)
    assert (universe.stability.agreement_warn, universe.stability.agreement_block) == (0.9, 0.95)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("gate:\n  turnover: 3\n", "gate.turnover"),
        ("gate:\n  boundary_z: often\n", "gate.boundary_z"),
        ("stability:\n  agreement: 1\n", "stability.agreement"),
    ],
)
def test_a_bound_that_does_not_exist_or_is_no_number_points_to_its_line(
    tmp_path: Path, section: str, words: str
) -> None:
    with pytest.raises(UniverseError, match=rf"tiny.yaml:10: {words}"):
        load_universe(written(tmp_path, VALID + section))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("source: {kind: files}", r"u\.yaml:2: .*files needs options: \{folder: \.\.\.\}"),
        ("source: {kind: files, options: {foldr: x}}", r"u\.yaml:2: .*foldr is no option of files, which takes folder"),
        ("source: {kind: sample, options: {folder: x}}", r"folder is no option of sample, which takes none"),
        ("first_partition: 2199-01-02", r"u\.yaml:2: .*2199-01-02 has not come yet"),
    ],
)
def test_what_no_run_could_mend_is_found_when_the_file_is_loaded(tmp_path: Path, line: str, words: str) -> None:
    given = line.split(":", maxsplit=1)[0]
    others = {
        "source": "source: {kind: sample}",
        "history_start": "history_start: 2015-01-02",
        "first_partition": "first_partition: 2018-01-02",
        "symbols": "symbols: [AAPL, JPM, KO]",
    }
    rest = [text for name, text in others.items() if name != given]
    (tmp_path / "u.yaml").write_text("\n".join(["name: u", line, *rest]))
    with pytest.raises(UniverseError, match=words):
        load_universe(tmp_path / "u.yaml")
