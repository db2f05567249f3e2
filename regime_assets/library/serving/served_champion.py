"""The champion in the serving process: loaded once, swapped in one assignment when the pointer moves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path

from regime_assets.library.production.bundle import Bundle, load_bundle
from regime_assets.library.production.champion_pointer import ChampionPointer, read_pointer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedChampion:
    """A champion in memory: which version it is, and the verified bundle."""

    pointer: ChampionPointer
    bundle: Bundle


class PointedChampion:
    """Loads what the champion pointer names, and loads it again only when the pointer names something else.

    Args:
        artifact_root: folder of bundles and pointers.
        model_name: the registered model.
        prepare: what is done to a bundle before it serves; nothing unless another runtime evaluates its networks.
        allowed: components besides the built-in ones that a bundle may be made with.
    """

    def __init__(
        self,
        artifact_root: Path,
        model_name: str,
        prepare: Callable[[Bundle], Bundle] = lambda bundle: bundle,
        allowed: Container[str] = (),
    ) -> None:
        self._artifact_root = artifact_root
        self._model_name = model_name
        self._prepare = prepare
        self._allowed = allowed
        self._loaded: LoadedChampion | None = None

    def __call__(self) -> LoadedChampion | None:
        """The champion; None when none was ever promoted.

        Raises:
            PointerError, BundleError: the pointer or the bundle that it names is not sound.
        """
        pointer = read_pointer(self._artifact_root, self._model_name)
        if pointer is None:
            return None
        if self._loaded is None or self._loaded.pointer != pointer:
            bundle = load_bundle(pointer.folder(self._artifact_root), pointer.sha256, self._allowed)
            self._loaded = LoadedChampion(pointer, self._prepare(bundle))
        return self._loaded


class ServedChampion:
    """What requests are answered with. A champion that cannot be loaded leaves the one before it in place.

    Args:
        load: gives the present champion; cheap when it has not moved.
        poll_seconds: between two looks.
    """

    def __init__(self, load: Callable[[], LoadedChampion | None], poll_seconds: float) -> None:
        self._load = load
        self._poll_seconds = poll_seconds
        self._current: LoadedChampion | None = None
        self._last_failure = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.reloads = 0
        self.failures = 0

    @property
    def current(self) -> LoadedChampion | None:
        """The champion now. A request takes it once and keeps it until it has answered."""
        return self._current

    def start(self) -> None:
        """Load the champion, and look for another one in the background from now on."""
        self.refresh()
        self._thread = threading.Thread(target=self._poll, name="champion-poll", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the background look."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self) -> None:
        """Take the present champion over, if it is another one and sound."""
        try:
            loaded = self._load()
        except Exception as error:  # whatever is wrong with the new champion, the old one answers on
            self.failures += 1
            if str(error) != self._last_failure:
                _log.error("the champion is not taken over: %s", error)
            self._last_failure = str(error)
            return
        self._last_failure = ""
        if loaded is not None and loaded is not self._current:
            self._current = loaded
            self.reloads += 1
            _log.info("serving %s version %s", loaded.pointer.model_name, loaded.pointer.version)

    def _poll(self) -> None:
        while not self._stopping.wait(self._poll_seconds):
            self.refresh()
