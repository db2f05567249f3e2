"""The training window of one session, which all designs share: read as it was known then, featured, and stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from regime_assets.library.features.training_set import TrainingSet
from regime_assets.library.market.window import Window
from regime_assets.library.steps.admission import require_admitted
from regime_assets.library.universe import Horizon
from regime_assets.library.workspace import WINDOWS_TABLE, Workspace


@dataclass(frozen=True)
class ValidatedWindow:
    """A window, and what models are fitted on."""

    window: Window
    training: TrainingSet


def validate_window(workspace: Workspace, horizon: Horizon, session: date) -> ValidatedWindow:
    """Read, feature and store the window of one session.

    Raises:
        NotAdmittedError: a feature or an encoder of the user's own breaks a promise.
        WindowError: the stored prices do not make a whole window.
        FactFeatureError: a fact that is a feature is not known from the window's start on.
    """
    with workspace.database.at_once():
        require_admitted(workspace, session)
        window = workspace.read_window(horizon, session)
    training = workspace.featured(window)
    rows = training.to_frame().assign(features=workspace.design.features_hash)
    workspace.database.replace_partition(WINDOWS_TABLE, workspace.key(horizon, session), rows)
    return ValidatedWindow(window, training)
