"""TimeSync's search for a file that tells how late it is at least."""

from collections.abc import Iterable
from pathlib import Path

from tickline import ntp
from tickline.arguments import items
from tickline.compat.timesync.times import NS_PER_S
from tickline.ntp.lower_bound import ROOTS

__all__ = ["TargetedFileScanner"]


class TargetedFileScanner:
    """Looks at files that only the system writes. See `tickline.ntp.lower_bound`.

    Parameters
    ----------
    max_files : int, default 100
        So many files are looked at in each place.
    max_depth : int, default 2
        1: the files in each place; 2: those in the folders there, too.
    """

    def __init__(self, max_files: int = 100, max_depth: int = 2) -> None:
        self._max_files = max_files
        self._max_depth = max_depth

    def get_recent_file_time(self, additional_paths: Iterable[str] | None = None) -> float | None:
        """Return a time that has passed, by files of the system, in seconds since 1970, or None.

        Parameters
        ----------
        additional_paths : iterable of str, optional
            Further folders, or one path; what others than root may write in them does not count.
        """
        given = items(additional_paths or (), "additional_paths", paths=True)
        more = [Path(path).resolve() for path in given]
        bound = ntp.lower_bound([*ROOTS, *more], max_depth=self._max_depth, max_files=self._max_files)
        times = [one.at_least_ns for one in bound.evidence if one.path is not None]
        return max(times) / NS_PER_S if times else None
