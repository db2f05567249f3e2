"""Root as any other user: a process without the capability to write where a file's mode forbids it."""

import ctypes
import os
import tempfile
from pathlib import Path

CAP_DAC_OVERRIDE = 1
VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Set(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def bow_to_modes() -> None:
    """Give up writing where modes forbid it, for the rest of this process, and make sure that it is so."""
    libc, header, sets = ctypes.CDLL(None, use_errno=True), _Header(VERSION_3, 0), (_Set * 2)()
    if libc.capget(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0].effective &= ~(1 << CAP_DAC_OVERRIDE)
    sets[0].permitted &= ~(1 << CAP_DAC_OVERRIDE)
    if libc.capset(ctypes.byref(header), sets):
        raise OSError(ctypes.get_errno(), "capset")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o500)
        try:
            Path(folder, "file").touch()
        except PermissionError:
            return
    raise RuntimeError("this process writes where it may not")
