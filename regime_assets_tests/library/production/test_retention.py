from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from regime_assets.library.production.retention import StoredVersion, kept_versions

DAYS = st.integers(0, 400).map(lambda n: date(2021, 1, 1) + timedelta(days=n))
VERSIONS = st.lists(DAYS, max_size=60).map(lambda days: [StoredVersion(n + 1, d) for n, d in enumerate(days)])


@given(VERSIONS, st.sets(st.integers(1, 60)), st.integers(0, 70))
def test_it_keeps_aliases_the_newest_and_each_months_first(
    versions: list[StoredVersion], aliased: set[int], keep_last: int
) -> None:
    kept = kept_versions(versions, aliased, keep_last)
    newest = sorted(versions, key=lambda v: (v.session, v.version), reverse=True)[:keep_last]
    assert {v.version for v in newest} <= kept
    assert aliased & {v.version for v in versions} <= kept
    months = {(v.session.year, v.session.month) for v in versions}
    assert months == {(v.session.year, v.session.month) for v in versions if v.version in kept}
    assert len(kept) <= len(aliased) + keep_last + len(months)


def test_what_neither_rule_names_goes() -> None:
    versions = [StoredVersion(day, date(2022, 3, day)) for day in range(1, 11)]
    assert kept_versions(versions, {5}, keep_last=2) == {1, 5, 9, 10}
