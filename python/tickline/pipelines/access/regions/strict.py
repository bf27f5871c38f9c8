"""Labels of requesters as the old programs gave them, for ``--compat strict``.

| | dandi-s3-log-parser | s3-log-extraction |
|---|---|---|
| first | caches | the same |
| then | GitHub, AWS, Google, other lists: the first network that holds it, IPv4 only | the same; bogons |
| then | databases of MaxMind, and what ipinfo answered | the same |
| nothing found | ``unknown`` | ``unknown`` |
| not asked yet | ``unknown`` | ``undetermined`` |
| no sources at all | ``unknown`` | ``missing`` |
| no address | ``unknown`` | ``missing`` |

Where the address is not known any more, the label of the ledger stands in for all that.
"""

import json
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from tickline.errors import UsageError
from tickline.pipelines.access.regions.labels import BOGON, MISSING, UNDETERMINED, UNKNOWN
from tickline.pipelines.access.regions.lookup import Labeler
from tickline.pipelines.access.regions.requesters import answered
from tickline.pipelines.access.regions.sources import IPINFO
from tickline.store.ledger import signed

if TYPE_CHECKING:
    from tickline.store.folder import StoreFolder

__all__ = ["PROFILES", "StrictLabels"]

PROFILES = ("dandi-s3-log-parser", "s3-log-extraction")
_IDS_PER_QUERY = 50_000


class StrictLabels:
    """Labels of requesters as one of the old programs gave them; close it, or use it with ``with``.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    profile : str
        One of `PROFILES`.

    Raises
    ------
    UsageError
        There is no such profile.
    TicklineError
        As of `Labeler`.
    """

    def __init__(self, folder: "StoreFolder", profile: str) -> None:
        if profile not in PROFILES:
            raise UsageError(
                f"{profile!r} is none", where="profile", hint=f"Choose from: {', '.join(PROFILES)}."
            )
        parser = profile == PROFILES[0]
        self._folder = folder
        self._answered = answered(folder, [IPINFO])
        self._words = {MISSING: UNKNOWN, UNDETERMINED: UNKNOWN, BOGON: UNKNOWN} if parser else {}
        self._nowhere = UNKNOWN if parser or folder.ledger.snapshots() else MISSING
        self._labeler = Labeler(folder, strict=True, bogons=not parser)

    def of(self, ids: Sequence[int]) -> list[str]:
        """Return the label of each requester, given by its unsigned id.

        Notes
        -----
        For hundreds of thousands at once; a batch holds some hundred bytes each.
        """
        labels: list[str] = []
        for begin in range(0, len(ids), _IDS_PER_QUERY):
            labels += self._some([int(number) for number in ids[begin : begin + _IDS_PER_QUERY]])
        return labels

    def _some(self, ids: list[int]) -> list[str]:
        sql = "SELECT id, label, snapshot FROM requesters WHERE id IN (SELECT value FROM json_each(?))"
        rows = self._folder.ledger.rows(sql, [json.dumps([signed(number) for number in ids])])
        known = {row[0]: (row[1], row[2]) for row in rows}
        addresses = self._folder.pseudonyms().addresses(ids)
        found, _ = self._labeler.labels(addresses)
        return [
            self._one(address, label, *known.get(signed(number), (None, None)))
            for number, address, label in zip(ids, addresses, found, strict=True)
        ]

    def _one(self, address: str | None, found: str, stored: str | None, snapshot: int | None) -> str:
        if address is None:
            label = stored or MISSING
        elif found in (UNKNOWN, UNDETERMINED) and stored is not None and snapshot in self._answered:
            label = stored
        else:
            label = self._nowhere if found == UNKNOWN else found
        return self._words.get(label, label)

    def close(self) -> None:
        """Close the databases; more than once is harmless."""
        self._labeler.close()

    def __enter__(self) -> "StrictLabels":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
