"""What is withheld or rounded before numbers are published: the rules ``exact``, ``fixed`` and ``strict``.

``strict`` is the rule of s3-log-extraction: a count below 50 becomes ``<50``, any other the nearest multiple
of 20, halves the even multiple (50 becomes 40, 70 and 90 become 80). Every count is treated alone, and bytes
are exact: whoever adds up a table learns what ``<50`` hides.

``fixed`` withholds the counts of every cell with fewer distinct requesters than a threshold (10), and of as
many others as it takes that none of them can be computed. What is left is rounded half up to multiples of 20;
requests and requesters to at least one multiple, while 0 downloads means fewer than half of one. In tables by
region the rows of withheld cells are pooled into one, ``other``, with their bytes. A count that is withheld
reads ``hidden``. Tables by week give bytes alone.

Which sums link the published tables
------------------------------------
For requests, for downloads, and in 6 to 8 for bytes too, anybody can write down:

1. of a dataset: its days add up to its total;
2. of a day: the cells of all datasets add up to the archive's;
3. the archive's days add up to the archive's total;
4. the datasets' totals (``totals.json``, ``by_dataset``) add up to the archive's total;
5. of a dataset: its assets add up to its total;
6. of a dataset: its regions, with ``other``, add up to its total;
7. of a region: the cells of all datasets add up to the archive's;
8. the archive's regions, with ``other``, add up to the archive's total.

Where content counts for several datasets (`SummaryOptions.shared_content` is ``all``) 2, 4 and 7 need not
hold; cells are chosen as if they did. Every requester has one region, so the requesters of 6 and 8 add up as
well. Along other lines they do not, and are bounded only: by the margin, and by the sum of all members.
Tables by week would add lines of four more kinds (weeks by assets against days, assets, types and the
archive's types): that is why they hold no counts. How cells are chosen, and what can then not be computed,
says `tickline.pipelines.access.privacy.lines`.

What this does not protect: bytes of days, weeks and assets are exact, as the pages that show them need them,
and whoever knows the size of an asset can divide. Two exports of one store with other thresholds, catalogs or
rules for shared content, or of two days, are two sets of tables: their differences were not looked at.
"""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tickline.errors import UsageError
from tickline.pipelines.access.export.options import PRIVACY
from tickline.pipelines.access.regions.labels import OTHER
from tickline.pipelines.access.summaries.frames import Coded, Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

__all__ = ["HIDDEN", "Count", "Privacy", "Withheld", "published_count", "strict_count"]

HIDDEN = "hidden"
"""What stands in the place of a count that is withheld (``fixed``)."""

_STRICT_LEAST = 50
_STRICT_STEP = 20

Count = int | str
"""A count as it is published: a number, or a word in its place."""

_LEAST_THRESHOLD = 3


def strict_count(count: int) -> Count:
    """Round as s3-log-extraction does: ``<50``, or the nearest multiple of 20, halves to even."""
    if count < _STRICT_LEAST:
        return f"<{_STRICT_LEAST}"
    return round(count / _STRICT_STEP) * _STRICT_STEP


def published_count(count: int, rounding: int) -> int:
    """Round a count of requests or requesters half up, to at least one multiple."""
    return max((count + rounding // 2) // rounding, 1) * rounding


@dataclass(frozen=True)
class Withheld:
    """Which counts of a dataset, or of the archive, are withheld.

    Attributes
    ----------
    total : bool
        Those of the whole.
    day, asset : ndarray of bool
        Of the rows of ``by_day`` and ``by_asset``, in the order of the tables.
    pooled : ndarray of bool
        Rows of ``by_region`` that become one.
    """

    total: bool
    day: "Flags"
    pooled: "Flags"
    asset: "Flags"


@dataclass(frozen=True)
class Privacy:
    """A rule, and what it makes of numbers.

    Attributes
    ----------
    rule : str
        One of `tickline.pipelines.access.export.options.PRIVACY`.
    threshold, rounding : int
        Of ``fixed``.
    withheld : dict
        For ``fixed``: what is withheld of each dataset, and under None of the archive; see
        `tickline.pipelines.access.privacy.plan.plan`.
    """

    rule: str
    threshold: int = 10
    rounding: int = 20
    withheld: "dict[str | None, Withheld]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rule not in PRIVACY:
            raise UsageError(f"{self.rule!r} is none of {', '.join(PRIVACY)}", where="privacy")
        for name, number in (("threshold", self.threshold), ("rounding", self.rounding)):
            if number < 1:
                raise UsageError(f"{number} is less than 1", where=f"privacy-{name}")
        if self.rule == "fixed" and self.threshold < _LEAST_THRESHOLD:
            what = f"{self.threshold} protects nobody: of two requesters each can take away its own part"
            raise UsageError(what, where="privacy-threshold", hint=f"Give {_LEAST_THRESHOLD} or more.")

    @property
    def word(self) -> str:
        """What a table as text has for a null among the counts."""
        return f"<{_STRICT_LEAST}" if self.rule == "strict" else HIDDEN

    def digest(self, dataset: str | None) -> str:
        """Return a word that changes when other counts of a dataset (None: of the archive) are withheld."""
        if self.rule != "fixed":
            return self.rule
        own = self.withheld[dataset]
        rows = b"".join(flags.tobytes() for flags in (own.day, own.pooled, own.asset))
        return hashlib.blake2b(rows + bytes([own.total]), digest_size=8).hexdigest()

    def about(self) -> str:
        """Say in one sentence what was done to the numbers; for the provenance of an export."""
        if self.rule == "exact":
            return "exact: nothing is rounded or left out"
        if self.rule == "strict":
            return (
                f"strict: counts below {_STRICT_LEAST} are withheld, others are rounded to multiples of "
                f"{_STRICT_STEP}, halves to even"
            )
        return (
            f"fixed: counts of cells with fewer than {self.threshold} requesters, and of those by which they "
            f"could be computed, are withheld or pooled; others are rounded half up to multiples of "
            f"{self.rounding}"
        )

    def totals(self, dataset: str | None, totals: dict[str, int]) -> "dict[str, Count]":
        """Return the totals of a dataset (None: of the archive) as they may be published.

        Parameters
        ----------
        totals : dict
            As `Summaries.totals` returns them.
        """
        counts = ("number_of_requests", "number_of_downloads", "number_of_requesters")
        shown: dict[str, Count] = dict(totals)
        if self.rule == "strict":
            return shown | {name: strict_count(totals[name]) for name in counts}
        if self.rule == "fixed":
            if self.withheld[dataset].total:
                return shown | dict.fromkeys(counts, HIDDEN)
            shown |= {name: published_count(totals[name], self.rounding) for name in counts}
            shown[counts[1]] = (totals[counts[1]] + self.rounding // 2) // self.rounding * self.rounding
        return shown

    def apply(
        self, table: str, dataset: str | None, frame: Frame, begin: int = 0
    ) -> "tuple[Frame, NDArray[np.bool_]]":
        """Return a table as it may be published, and which of its counts are not.

        Parameters
        ----------
        table : str
            One of `DATASET_TABLES`, or of `ARCHIVE_TABLES` for the archive.
        dataset : str or None
            None is the archive.
        frame : Frame
            Rows of the table, in its order.
        begin : int
            How many rows of the table came before these.

        Returns
        -------
        (Frame, ndarray of bool of shape (4, rows))
            Bytes, requests, downloads, requesters; True where the number is to be left out (`word`).
        """
        import numpy as np

        if self.rule == "exact":
            return frame, np.zeros(frame.sums.shape, bool)
        if self.rule == "strict":
            return _strict(frame)
        return self._fixed(table, dataset, frame, begin)

    def _fixed(
        self, table: str, dataset: str | None, frame: Frame, begin: int
    ) -> "tuple[Frame, NDArray[np.bool_]]":
        import numpy as np

        if table == "by_region":
            frame, hidden = self._pooled(dataset, frame)
        elif table == "by_dataset":
            names = frame.columns["dataset"]
            texts = names.values.to_pylist()
            hidden = np.array([self.withheld[texts[code]].total for code in names.codes.tolist()], bool)
        elif table in ("by_day", "by_asset"):
            own = self.withheld[dataset]
            whole = own.day if table == "by_day" else own.asset
            hidden = whole[begin : begin + len(frame)]
        else:
            hidden = np.ones(len(frame), bool)
        step = np.uint64(self.rounding)
        sums = frame.sums.copy()
        sums[1:] = (sums[1:] + step // np.uint64(2)) // step * step
        sums[[1, 3]] = np.maximum(sums[[1, 3]], step)
        sums[1:, hidden] = 0
        mask = np.zeros(sums.shape, bool)
        mask[1:] = hidden
        return Frame(frame.columns, sums), mask

    def _pooled(self, dataset: str | None, frame: Frame) -> "tuple[Frame, Flags]":
        """Put the rows that are pooled into one behind the others."""
        import numpy as np
        import pyarrow as pa

        own = self.withheld[dataset]
        shown = frame.take(np.flatnonzero(~own.pooled))
        hidden = np.zeros(len(shown), bool)
        if own.pooled.any():
            regions = shown.columns["region"]
            values = pa.concat_arrays([regions.values, pa.array([OTHER], regions.values.type)])
            codes = np.append(regions.codes, len(values) - 1)
            pool = frame.sums[:, own.pooled].sum(axis=1, dtype=np.uint64)
            shown = Frame({"region": Coded(values, codes)}, np.column_stack([shown.sums, pool]))
            hidden = np.append(hidden, own.total)
        return shown, hidden


def _strict(frame: Frame) -> "tuple[Frame, NDArray[np.bool_]]":
    import numpy as np

    sums = frame.sums.copy()
    few = sums < _STRICT_LEAST
    few[0] = False
    halves = np.uint64(_STRICT_STEP // 2)
    below = sums[1:] // np.uint64(_STRICT_STEP)
    over = sums[1:] - below * np.uint64(_STRICT_STEP)
    below += (over > halves) | ((over == halves) & (below % np.uint64(2) == 1))
    sums[1:] = below * np.uint64(_STRICT_STEP)
    sums[few] = 0
    return Frame(frame.columns, sums), few
