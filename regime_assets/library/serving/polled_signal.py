"""The newest published signal on a shared storage, asked for in the background: a request waits for no network."""

from __future__ import annotations

import threading
from pathlib import Path

from regime_assets.library.serving.published_signal import (
    PublishedSignal,
    PublishedSignalError,
    read_published_signal,
)
from regime_assets.library.shared_files import SharedFilesError


class PolledSignal:
    """Gives the signal as it was at the last look.

    Args:
        artifact_root: where it is published.
        universe: whose.
        poll_seconds: between two looks.
    """

    def __init__(self, artifact_root: Path, universe: str, poll_seconds: float) -> None:
        self._artifact_root = artifact_root
        self._universe = universe
        self._poll_seconds = poll_seconds
        self._seen: PublishedSignal | None = None
        self._failure: Exception | None = None
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self) -> PublishedSignal | None:
        """The signal; None when there is none.

        Raises:
            PublishedSignalError: at the last look the storage did not answer, or the file was not one.
        """
        with self._guard:
            if self._thread is None:
                self._look()
                self._thread = threading.Thread(target=self._poll, name="signal-poll", daemon=True)
                self._thread.start()
        failure = self._failure
        if failure is not None:
            raise PublishedSignalError(str(failure)) from failure
        return self._seen

    def _poll(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._poll_seconds):
            self._look()

    def _look(self) -> None:
        try:
            self._seen = read_published_signal(self._artifact_root, self._universe)
            self._failure = None
        except (PublishedSignalError, SharedFilesError) as error:
            self._failure = error
