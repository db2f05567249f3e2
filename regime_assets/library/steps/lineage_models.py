"""The fitted models of one horizon on the disk, as the recipe asks for them.

A model that cannot be read is passed over like one that was refused: an older accepted one is the ancestor then, and
the fit says so.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from regime_assets.library.artifact import ArtifactError, Parts, parts_hash
from regime_assets.library.encoders.alignment import Alignment
from regime_assets.library.encoders.encoding import Encoder
from regime_assets.library.encoders.fitted_encoder import FittedEncoder
from regime_assets.library.model_kinds import KINDS, Kind
from regime_assets.library.policies.own_policy import stored_policy
from regime_assets.library.production.code_version import code_version
from regime_assets.library.production.lineage import Lineage, LineageError, ModelRecord
from regime_assets.library.recipe import Ancestor, Fitted, FittedModels, NotAcceptedError
from regime_assets.library.regimes.regime_model import RegimeModel, RegimePath

ENCODER = "encoder"
"""In the document of regimes that refer to their encoder: its hashes by kind."""


class LineageModels:
    """A `ModelStore` over a lineage.

    Attributes:
        kept: the records of what was kept, by kind.
    """

    def __init__(self, lineage: Lineage) -> None:
        self._lineage = lineage
        self.kept: dict[Kind, ModelRecord] = {}

    def read_ahead(self, kind: Kind, session: date) -> None:
        """Read the records that a fit looks up, which the database then remembers: one operation instead of some."""
        self._lineage.of_session(session)
        ancestor = self._lineage.latest_accepted(kind, session)
        if ancestor is not None:
            self._lineage.of_session(ancestor.session)
        if kind == "rl_policy":
            self._lineage.find_path(session)

    def ancestor(self, kind: Kind, before: date) -> tuple[Ancestor | None, tuple[str, ...]]:
        """The newest accepted model of an earlier session that can be read."""
        notes: list[str] = []
        while (record := self._lineage.latest_accepted(kind, before)) is not None:
            try:
                model = self._load(kind, record)
            except (ArtifactError, NotAcceptedError) as error:
                notes.append(
                    f"{kind} of {record.session} is passed over as an ancestor: {error}; `regime-assets doctor "
                    "--repair` takes a damaged model from its session's bundle: the session can be run again then"
                )
                before = record.session
            else:
                return Ancestor(record.session, model, record.sha256), tuple(notes)
        return None, tuple(notes)

    def accepted(self, kind: Kind, session: date) -> Any:
        """The session's own model."""
        return self._load(kind, self._require(kind, session))

    def path(self, session: date) -> RegimePath:
        """What the session's own regimes say of its window."""
        self._require("gmm", session)
        return self._lineage.path(session)

    def complete(self, as_of: date) -> tuple[date, FittedModels] | None:
        """The models that decide as of a session: those of the newest one up to it whose models were all accepted."""
        while (record := self._lineage.latest_accepted("rl_policy", as_of + timedelta(days=1))) is not None:
            as_of = record.session
            try:
                models = self.deciding(as_of)
            except (ArtifactError, NotAcceptedError):
                as_of -= timedelta(days=1)
            else:
                return as_of, models
        return None

    def deciding(self, session: date) -> FittedModels:
        """The session's own models that decide.

        Raises:
            NotAcceptedError: one of the session's models was not accepted.
            ArtifactError: one cannot be read.
        """
        try:
            records = self._lineage.required(KINDS, session)
        except LineageError as error:
            raise NotAcceptedError(str(error)) from error
        return FittedModels(self._load("gmm", records["gmm"]), self._load("rl_policy", records["rl_policy"]))

    def keep(self, fitted: Fitted[Any]) -> None:
        """Store a model with its record, the outcomes of its rules and its curves."""
        record = ModelRecord(
            kind=fitted.kind,
            session=fitted.session,
            sha256="",
            parent=fitted.parent.sha256 if fitted.parent else "",
            warm_started=fitted.parent is not None,
            seed=fitted.seed,
            data_hash=fitted.training.data_hash,
            code_version=code_version(),
            figures=fitted.fit.figures,
            accepted=False,
            refusal="",
        )
        curves = getattr(fitted.fit, "curves", None)
        parts = self._parts(fitted)
        with self._lineage.as_one(fitted.kind):
            self.kept[fitted.kind] = self._lineage.record(record, parts, fitted.outcomes)
            if curves is not None:
                self._lineage.record_curves(fitted.kind, fitted.session, curves)
            if fitted.kind == "gmm" and fitted.path is not None:
                self._lineage.record_path(fitted.session, fitted.path)

    def _parts(self, fitted: Fitted[Any]) -> Parts:
        """What is stored of a model. Regimes refer to their session's encoder, unless they kept their predecessor's."""
        model = fitted.fit.model
        if fitted.kind != "gmm":
            return model.to_parts()
        wanted = encoder_hashes(model)
        stored = {kind: self._lineage.find(kind, fitted.session) for kind in wanted}
        beside = all((record := stored[kind]) and record.sha256 == wanted[kind] for kind in wanted)
        return referring_parts(model) if beside else model.to_parts()

    def _regimes(self, record: ModelRecord, parts: Parts) -> RegimeModel:
        """The regimes of a session with the encoder that they carry or refer to.

        Raises:
            ArtifactError: the encoder that they were fitted on was replaced by another one.
        """
        wanted = parts.document.get(ENCODER)
        if wanted is None:
            return RegimeModel.from_parts(parts)
        found: dict[str, Parts] = {}
        for kind, sha256 in wanted.items():
            stored = self._require(kind, record.session)
            if stored.sha256 != sha256:
                raise ArtifactError(
                    f"the regimes of {record.session} stand on {kind} {sha256[:12]}, and now {stored.sha256[:12]} is "
                    "stored: fit the session's regimes again"
                )
            found[kind] = self._lineage.load(stored)
        encoder = Encoder(FittedEncoder.from_parts(found["vae"]), Alignment.from_parts(found["latents"]))
        return RegimeModel.from_named(encoder, parts)

    def _require(self, kind: Kind, session: date) -> ModelRecord:
        try:
            return self._lineage.require(kind, session)
        except LineageError as error:
            raise NotAcceptedError(str(error)) from error

    def _load(self, kind: Kind, record: ModelRecord) -> Any:
        parts = self._lineage.load(record)
        if kind == "latents":
            return Encoder(self.accepted("vae", record.session), Alignment.from_parts(parts))
        if kind == "gmm":
            return self._regimes(record, parts)
        return FittedEncoder.from_parts(parts) if kind == "vae" else stored_policy(parts)


def encoder_hashes(model: RegimeModel) -> dict[Kind, str]:
    """The hashes under which a model's encoder is stored, by kind."""
    return {"vae": parts_hash(model.vae.to_parts()), "latents": parts_hash(model.alignment.to_parts())}


def referring_parts(model: RegimeModel) -> Parts:
    """The regimes alone, with the hashes of the encoder that is stored beside them."""
    parts = model.named_parts()
    return Parts(parts.arrays, {**parts.document, ENCODER: encoder_hashes(model)})
