"""What all settings classes share: typed, frozen, and a word that they do not know is refused.

A settings class is a dataclass of pydantic: `@dataclass(frozen=True, config=STRICT)`. It checks its values whether they
come from a YAML file, from a stored model or from code. Its module imports neither NumPy nor torch, because the code
location reads every universe's settings when it loads.
"""

from __future__ import annotations

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid")
"""Refuse unknown words."""
