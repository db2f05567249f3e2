"""Equal inputs, equal bits: seeds derived from names, and one thread while something is fitted.

One and two threads sum in different orders and give different weights, so every fit runs inside `deterministic`.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np


def derive_seed(*parts: str) -> int:
    """A 31-bit seed that depends on every part and on their order.

    Args:
        parts: what identifies the fit, such as universe, horizon, partition and asset.

    Raises:
        ValueError: no part was given, so that every caller would share one seed.
    """
    if not parts:
        raise ValueError("a seed is derived from at least one name")
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


_limited_with: ContextVar[int] = ContextVar("limited_with", default=-1)
"""How many modules were loaded when the limits in force were set; -1 while there are none."""

_PROCESS = {"limited_with": -1}
"""The same of limits that hold to the end of the process."""


def stay_single_threaded() -> None:
    """One BLAS and OpenMP thread in this process from here on, also in libraries that were loaded since the last call.

    A run's matrices are small: a second thread waits for the first one at full speed, which takes four times the CPU
    and on a busy machine longer. What is computed beside the fits has the same bits on every number of processors then.
    """
    if _PROCESS["limited_with"] != len(sys.modules):
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits=1)
        _PROCESS["limited_with"] = len(sys.modules)


@contextmanager
def single_threaded() -> Generator[None]:
    """One BLAS and OpenMP thread inside the block; the former limits afterwards.

    Inside another such block there is nothing to do, unless a library may have been loaded since.
    """
    if len(sys.modules) in (_limited_with.get(), _PROCESS["limited_with"]):
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        before = _limited_with.set(len(sys.modules))
        try:
            yield
        finally:
            _limited_with.reset(before)


@contextmanager
def deterministic(seed: int) -> Generator[None]:
    """Seed torch, NumPy and `random`, and compute on one thread; all of it is put back afterwards.

    Fits should still pass the seed on explicitly (`torch.Generator`, `numpy.random.default_rng`, `random_state`):
    the global seeds are for libraries that offer no such argument.
    """
    import torch

    threads = torch.get_num_threads()
    torch_state, numpy_state, python_state = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    try:
        with single_threaded():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(torch_state)
        np.random.set_state(numpy_state)
        random.setstate(python_state)
