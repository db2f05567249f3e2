"""The components of docs/extending.md are fitted, stored and continued, in a package outside the repository."""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from regime_assets.library.alerts.alert import Alert
from regime_assets.library.alerts.channels import channels
from regime_assets.library.home import Home
from regime_assets.library.market.sources import create_source
from regime_assets.library.market.sources.sample import SampleSource
from regime_assets.library.model_kinds import KINDS
from regime_assets.library.policies.own_policy import OwnPolicy
from regime_assets.library.steps.facts import refresh_facts
from regime_assets.library.steps.fits import StoredFit, fit
from regime_assets.library.steps.lineage_models import LineageModels
from regime_assets.library.steps.validated_window import validate_window
from regime_assets.library.universe import load_universe
from regime_assets.library.workspace import Workspace

DOCUMENT = Path(__file__).parent.parent / "docs" / "extending.md"
FILE = re.compile(r'^```(?:python|yaml) title="([^"]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SESSIONS = (date(2016, 6, 29), date(2016, 6, 30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with every file that the document names."""
    folder = tmp_path_factory.mktemp("extending")
    (folder / "my_models").mkdir()
    (folder / "my_models" / "__init__.py").write_text("")
    for name, content in FILE.findall(DOCUMENT.read_text()):
        (folder / name).write_text(content)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def workspace(folder: Path) -> Workspace:
    opened = Workspace(load_universe(folder / "mine.yaml"), Home(folder / "data"))
    fetched = SampleSource().fetch(opened.universe.instruments, opened.universe.history_start, SESSIONS[-1])
    opened.market.ingest(fetched, "sample", datetime(2023, 1, 1, tzinfo=UTC), opened.calendar)
    assert opened.universe.macro is not None
    refresh_facts(opened, opened.universe.macro, SESSIONS, lambda _: None)
    return opened


def test_a_universe_of_ones_own_components_is_fitted_stored_and_continued(workspace: Workspace) -> None:
    for session in SESSIONS:
        training = validate_window(workspace, "short", session).training
        assert list(training.features.columns[-2:]) == ["term_structure", "macro_MOOD"]
        assert training.features["macro_MOOD"].iloc[-1] == 50.0 + 5, "May's, published on the tenth of June"
        done = [fit(workspace, "short", session, kind) for kind in KINDS]
        assert [one.record.refusal if isinstance(one, StoredFit) else one.reason for one in done] == [""] * len(KINDS)
    models = LineageModels(workspace.lineage("short")).deciding(SESSIONS[-1])
    assert (models.regimes.vae.use, models.regimes.use) == (
        "my_models.encoders:LinearVae",
        "my_models.regimes:Threshold",
    )
    assert isinstance(models.policy, OwnPolicy)
    path = models.regimes.infer(workspace.training_set("short", SESSIONS[-1]).features)
    weights = models.policy.decide(np.zeros((len(path.states), 1), np.float32), path.rule_exposure)
    np.testing.assert_array_equal(weights[:, 0], np.maximum(path.rule_exposure, 0.2))


def test_a_source_and_a_channel_of_ones_own_are_named_in_the_file(folder: Path, workspace: Workspace) -> None:
    fetched = create_source("my_models.prices:Warehouse", {}).fetch(["A"], date(2020, 1, 1), date(2020, 1, 10))
    assert len(fetched.bars) == 8
    assert workspace.universe.alerts is not None
    (send,) = channels(workspace.universe.alerts.model_copy(deep=True)).values()
    alert = Alert("1", "decision", "mine", "2020-01-01T00:00:00Z", "mine/short/promotion", "", "", "hold", "why", "")
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as context:
        context.chdir(folder)
        send(alert)
    assert (folder / "alerts.log").read_text() == "2020-01-01T00:00:00Z mine: decision: why\n"
