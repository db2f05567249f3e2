"""A bundle: everything that turns a window's features into weights, stored, hashed and promoted as one.

On disk a bundle is a folder with a `manifest.json` and one pickle-free artifact per fitted component. The bundle's
hash covers the manifest, the feature settings and the hash of each component. It does not cover the time of creation,
so that two fits of the same partition to the same bits are one bundle. Loading needs NumPy only.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regime_assets.library.artifact import (
    ARRAYS_FILE,
    DOCUMENT_FILE,
    ArtifactError,
    Parts,
    parts_hash,
    read_artifact,
    write_artifact,
)
from regime_assets.library.atomic_files import staging_folder, write_file_atomically, writing
from regime_assets.library.clock import clock
from regime_assets.library.components import Slot, is_built_in
from regime_assets.library.packed_folders import publish_folder
from regime_assets.library.production import bundle_format_1
from regime_assets.library.production.manifest import Manifest
from regime_assets.library.shared_files import is_shared, read_file, write_file

if TYPE_CHECKING:
    from regime_assets.library.policies.policy import Policy
    from regime_assets.library.regimes.regime_model import RegimeModel

MANIFEST_FILE = "manifest.json"
COMPONENTS = ("vae", "alignment", "regimes", "policy")
_FORMAT = 2
_COMPONENTS_BY_FORMAT = {1: bundle_format_1.COMPONENTS, 2: COMPONENTS}


class BundleError(ArtifactError):
    """A stored bundle is not what its hash, its manifest or its format say."""


@dataclass(frozen=True)
class Bundle:
    """One servable model.

    Attributes:
        manifest: origin and judgement.
        features: the components that compute what it reads, each by class, version and settings.
        regimes: encoder with its scaler, alignment, and regimes.
        policy: what sets the weights from regimes; the rule stays available beside it (`manifest.serves`).
        stored_sha256: the hash of the files it was read from, which an older format may have; empty when it was not.
    """

    manifest: Manifest
    features: tuple[Mapping[str, Any], ...]
    regimes: RegimeModel
    policy: Policy
    stored_sha256: str = field(default="", compare=False)

    def parts(self) -> dict[str, Parts]:
        """The fitted components taken apart, by name."""
        return bundle_parts(self.regimes, self.policy)

    def sha256(self) -> str:
        """The hash that identifies the bundle wherever it is stored."""
        if self.stored_sha256:
            return self.stored_sha256
        return _content_hash(_content(self, {name: parts_hash(parts) for name, parts in self.parts().items()}))


def bundle_parts(regimes: RegimeModel, policy: Policy) -> dict[str, Parts]:
    """Fitted models as a bundle holds them: its components taken apart, by name."""
    return {
        "vae": regimes.vae.to_parts(),
        "alignment": regimes.alignment.to_parts(),
        "regimes": regimes.named_parts(),
        "policy": policy.to_parts(),
    }


def save_bundle(bundle: Bundle, folder: Path) -> str:
    """Write `bundle` to `folder`; return its hash.

    The manifest is written last: a folder whose writer was killed has no manifest and is no bundle.

    Raises:
        ValueError: a figure of the manifest is NaN or infinite.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST_FILE).unlink(missing_ok=True)
    hashes = {name: write_artifact(folder / name, parts) for name, parts in bundle.parts().items()}
    content = _content(bundle, hashes)
    sha256 = _content_hash(content)
    envelope = {
        "format": _FORMAT,
        "sha256": sha256,
        "created_at": clock.now().isoformat(timespec="seconds"),
        "content": content,
    }
    text = json.dumps(envelope, sort_keys=True, indent=1, allow_nan=False)
    write_file_atomically(folder / MANIFEST_FILE, text.encode())
    return sha256


def load_bundle(folder: Path, expected_sha256: str, allowed: Container[str] = ()) -> Bundle:
    """Read a bundle and verify that it is the one expected, manifest and arrays.

    Args:
        folder: where `save_bundle` wrote it.
        expected_sha256: the hash that the registry or the store has recorded.
        allowed: components besides the built-in ones that may be imported: those that the universe names.

    Raises:
        BundleError: a file is missing, truncated, tampered with or of a foreign format; the message names it.
    """
    try:
        content, parts = _read_verified(folder, expected_sha256)
    except BundleError as error:
        raise BundleError(
            f"{error}; `regime-assets doctor --repair` makes it again of its session's models, or says what else to do"
        ) from error
    from regime_assets.library.encoders.alignment import Alignment
    from regime_assets.library.encoders.encoding import Encoder
    from regime_assets.library.encoders.fitted_encoder import FittedEncoder
    from regime_assets.library.policies.own_policy import stored_policy
    from regime_assets.library.regimes.regime_model import RegimeModel

    try:
        _require_named(folder, parts, allowed)
        encoder = Encoder(FittedEncoder.from_parts(parts["vae"]), Alignment.from_parts(parts["alignment"]))
        return Bundle(
            manifest=Manifest.from_document(content["manifest"]),
            features=tuple(content["features"]),
            regimes=RegimeModel.from_named(encoder, parts["regimes"]),
            policy=stored_policy(parts["policy"]),
            stored_sha256=expected_sha256,
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise BundleError(f"{folder}: of a format that this version does not read ({error!r})") from error


def verify_bundle(folder: Path, expected_sha256: str) -> Manifest:
    """Verify a stored bundle's hashes, without building its models; return its manifest.

    Raises:
        BundleError: as `load_bundle`.
    """
    content, _ = _read_verified(folder, expected_sha256)
    try:
        return Manifest.from_document(content["manifest"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{folder / MANIFEST_FILE}: not a manifest of this version ({error!r})") from error


def copy_bundle(folder: Path, target: Path, expected_sha256: str) -> None:
    """Copy a bundle's files to `target` in one rename; a sound copy that is there already stays untouched.

    Raises:
        BundleError: the bundle in `folder` is not the one expected.
    """
    try:
        verify_bundle(target, expected_sha256)
        return
    except BundleError:
        verify_bundle(folder, expected_sha256)
    with staging_folder(target) as staging:
        for name in _files(folder):
            write_file_atomically(staging / name, (folder / name).read_bytes())
        if target.exists():  # a damaged copy: a folder cannot be renamed over
            shutil.rmtree(target)
        staging.rename(target)
    _publish(target)


def _read_verified(folder: Path, expected_sha256: str) -> tuple[dict[str, Any], dict[str, Parts]]:
    path = folder / MANIFEST_FILE
    try:
        envelope = json.loads(read_file(path))
        written_format, recorded, content = envelope["format"], envelope["sha256"], envelope["content"]
        names = _COMPONENTS_BY_FORMAT.get(written_format, ())
        hashes = {name: content["components"][name] for name in names}
        actual = _content_hash(content)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{path}: not a bundle's manifest ({type(error).__name__}: {error})") from error
    if written_format not in _COMPONENTS_BY_FORMAT:
        raise BundleError(f"{path}: format {written_format!r}, this version reads 1 to {_FORMAT}")
    if actual != recorded or actual != expected_sha256:
        raise BundleError(f"{path}: content has hash {actual[:12]}…, expected {expected_sha256[:12]}…")
    try:
        parts = {name: read_artifact(folder / name, expected) for name, expected in hashes.items()}
    except ArtifactError as error:
        raise BundleError(f"bundle {expected_sha256[:12]}…: {error}") from error
    if written_format == 1:
        features = bundle_format_1.features_today(content["features"])
        return content | {"features": features}, bundle_format_1.parts_today(parts)
    return content, parts


def _publish(folder: Path) -> None:
    """Put a bundle's components into the shared storage where there is one, the manifest last."""
    if is_shared(folder):
        manifest = (folder / MANIFEST_FILE).read_bytes()
        for name, sha256 in json.loads(manifest)["content"]["components"].items():
            publish_folder(folder / name, sha256)
        write_file(folder / MANIFEST_FILE, manifest)


def _files(folder: Path) -> list[str]:
    """The files of a verified bundle."""
    names = json.loads((folder / MANIFEST_FILE).read_bytes())["content"]["components"]
    return [MANIFEST_FILE, *(f"{name}/{file}" for name in sorted(names) for file in (ARRAYS_FILE, DOCUMENT_FILE))]


def _content(bundle: Bundle, component_hashes: Mapping[str, str]) -> dict[str, Any]:
    content = {
        "manifest": bundle.manifest.to_document(),
        "features": list(bundle.features),
        "components": dict(component_hashes),
    }
    return json.loads(json.dumps(content, allow_nan=False))


def _content_hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    ).hexdigest()


def _require_named(folder: Path, parts: Mapping[str, Parts], allowed: Container[str]) -> None:
    """Refuse a class that is neither built in nor named by the universe: a file decides on no import."""
    slots: tuple[tuple[Slot, str], ...] = (("encoders", "vae"), ("regimes", "regimes"), ("policies", "policy"))
    for slot, name in slots:
        use = str(parts[name].document.get("use", "tilts"))  # a built-in policy does not say which one it is
        if not is_built_in(slot, use) and use not in allowed:
            raise BundleError(
                f"{folder}: made with {use}, which the universe does not name; name it in `design` or among the "
                "`challengers` to load it"
            )
