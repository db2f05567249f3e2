"""What may serve: which promotions and roll-backs are refused, since when a move holds, what a roll-back leads to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from regime_assets.library.production.mlflow_client import RegistryError
from regime_assets.library.production.promotion_journal import Move
from regime_assets.library.production.registry_store import PROMOTION_TAG, ROLLED_BACK_TAG, RegisteredBundle

NO_CHAMPION = 0  # what a verdict was judged against when nothing served yet; MLflow numbers versions from 1


class PromotionRefusedError(RegistryError):
    """The promotion would replace a newer champion, or one that its verdict did not judge."""


def refuse_unless_judged(wanted: RegisteredBundle, champion: int | None, judged_against: int | None) -> None:
    """Refuse a verdict that compared with another champion than the one that serves."""
    if judged_against is not None and judged_against != (champion or NO_CHAMPION):
        raise PromotionRefusedError(
            f"{wanted.model_name} {wanted.version} was judged against version {judged_against}, but {champion} "
            "serves by now: judge it again"
        )


def refuse_unless_fresh(wanted: RegisteredBundle, served: RegisteredBundle | None) -> None:
    """Refuse a version that was rolled back, or that is of an older session than the champion."""
    name = f"{wanted.model_name} {wanted.version}"
    if ROLLED_BACK_TAG in wanted.tags:
        raise PromotionRefusedError(
            f"{name} was rolled back ({wanted.tags[ROLLED_BACK_TAG]}): reinstate it explicitly, or "
            "register a new bundle"
        )
    if served is not None and served.session > wanted.session:
        raise PromotionRefusedError(
            f"{name} is of {wanted.session}; the champion {served.version} is of {served.session} and newer"
        )


def refuse_unless_served(wanted: RegisteredBundle, champion: int) -> None:
    """Refuse to roll back to the champion itself, or to a version that never served or was rolled back."""
    name = f"{wanted.model_name} {wanted.version}"
    if wanted.version == champion:
        raise RegistryError(f"{name} is the champion: there is nothing to roll back")
    if PROMOTION_TAG not in wanted.tags or ROLLED_BACK_TAG in wanted.tags:
        raise RegistryError(f"{name} never served, or was rolled back: promote it by hand")


def effective_from(moves: Sequence[Move], session: date) -> date:
    """The session as of which a move may hold: `session`, or that of the last move when it is later.

    What served a session that is past stays as it was, even when a human lets an old version serve again.
    """
    return max([session, *(move.session for move in moves[-1:])])


def replaced_by(
    wanted: RegisteredBundle, leaving: int, versions: Iterable[RegisteredBundle], moves: Sequence[Move]
) -> int | None:
    """The champion that `wanted` replaced when it was promoted, if it still exists and was never rolled back."""
    usable = {stored.version for stored in versions if ROLLED_BACK_TAG not in stored.tags} - {leaving, wanted.version}
    replacer = wanted.version
    for move in reversed(moves):
        if move.kind != "promotion" or move.after.champion != replacer:
            continue
        if move.before.champion is None or move.before.champion in usable:
            return move.before.champion
        replacer = move.before.champion
    return None
