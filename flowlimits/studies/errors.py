"""These errors end a study that cannot go on or was interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.threads import OneLine

if TYPE_CHECKING:
    import xarray as xr


class StudyError(RuntimeError):
    """A study that cannot go on; the points finished so far stay in its folder."""


class StudyInterrupted(OneLine, KeyboardInterrupt):
    """A study ended by Ctrl-C; `partial` is the Dataset of the points finished so far (None if there are none)."""

    def __init__(self, message: str, partial: xr.Dataset | None):
        super().__init__(message)
        self.partial = partial
