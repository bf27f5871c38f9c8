"""Asking ipinfo for addresses that no list, cache or database knows.

Who is not asked yet, because there was no time, no network or no quota, is ``undetermined``, and is asked by
the next run. What was answered stays; `tickline.pipelines.access.regions.refresh` asks again after 90 days.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from tickline.errors import TicklineError
from tickline.pipelines.access.regions.labels import (
    BOGON,
    RESERVED,
    UNDETERMINED,
    UNKNOWN,
    clean_label,
    joined_label,
)
from tickline.pipelines.access.regions.requesters import Requester, requesters, write_labels
from tickline.pipelines.access.regions.sources import IPINFO
from tickline.progress import Progress

if TYPE_CHECKING:
    from tickline.clients.ipinfo import Ipinfo, Place
    from tickline.pipelines.access.regions.lookup import Labeler
    from tickline.store.folder import StoreFolder

__all__ = ["AskReport", "Asking", "ask_ipinfo", "asks_ipinfo"]

_WAITING = "label IS NULL OR label = ?"


@dataclass(slots=True)
class AskReport:
    """What `ask_ipinfo` did, in numbers of requesters.

    Attributes
    ----------
    asked : int
        Addresses that were sent.
    placed, unknown : int
        Of those, the ones that have a region now, and the ones that ipinfo knows nothing about.
    listed : int
        Got their label without being asked: a list, cache or database knows them.
    left : int
        Are ``undetermined``, or not looked up yet; the next run asks for them.
    problem : TicklineError or None
        Why no more were asked: there is no token, the service failed, or its quota is used up. What was
        answered before stays.
    """

    asked: int = 0
    placed: int = 0
    unknown: int = 0
    listed: int = 0
    left: int = 0
    problem: TicklineError | None = None


def asks_ipinfo(folder: "StoreFolder") -> int | None:
    """Return the id of the source ``ipinfo`` if it is in use, and there are addresses to ask for."""
    if not folder.keeps_addresses():
        return None
    return next((shot.id for shot in folder.ledger.snapshots() if shot.kind == IPINFO), None)


class Asking:
    """Asks in batches, until the service fails or enough was asked; makes a client when one is needed."""

    def __init__(self, client: "Ipinfo | None", limit: int | None) -> None:
        self._client = client
        self._limit = limit
        self.asked = 0
        self.problem: TicklineError | None = None

    def batches(self, waiting: Sequence[tuple[Requester, str]]) -> Iterator[list[tuple[Requester, str]]]:
        """Yield requesters and their labels by ipinfo, a request at a time; given are their addresses."""
        from tickline.clients.ipinfo import MOST_ADDRESSES, Ipinfo

        left = iter(waiting)
        while self.problem is None:
            most = MOST_ADDRESSES if self._limit is None else min(MOST_ADDRESSES, self._limit - self.asked)
            if not (batch := list(islice(left, max(0, most)))):
                return
            try:
                self._client = self._client or Ipinfo.from_environment()
                found = self._client.ask([address for _, address in batch])
            except TicklineError as error:
                self.problem = error
                return
            self.asked += len(batch)
            yield [(one, _label(found[address])) for one, address in batch if address in found]


def _label(place: "Place") -> str:
    """Return ``CC/Region``, the one of the two that there is, or a word for none."""
    if place.bogon:
        return BOGON
    country, region = place.country or "", place.region or ""
    label = joined_label(country, region) or clean_label(region.replace("/", "-"))
    return label if label and label not in RESERVED else UNKNOWN


def ask_ipinfo(
    folder: "StoreFolder",
    *,
    client: "Ipinfo | None" = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> AskReport:
    """Ask ipinfo for all requesters that nobody has placed yet; the caller holds ``folder.writing()``.

    Each answer of up to 100 addresses is in the ledger before the next 100 are asked for, so that a run that
    is killed wastes no quota. Does nothing where ipinfo is not among the sources of the store.

    Parameters
    ----------
    folder : StoreFolder
        An open store.
    client : Ipinfo, optional
        Asks; without one, one with the token of the environment does.
    limit : int, optional
        Ask for no more addresses than this.
    progress : Progress, optional
        Told how many are done, in requesters.

    Raises
    ------
    TicklineError
        A region snapshot is missing. That there is no token or that the service fails is no error:
        `AskReport.problem` says it, and the next run goes on.
    """
    report = AskReport()
    source = asks_ipinfo(folder)
    total = _count_waiting(folder) if source is not None else 0
    if source is None or not total:
        return report
    from tickline.pipelines.access.regions.lookup import Labeler

    asking = Asking(client, limit)
    done = 0
    with Labeler(folder) as labeler:
        for some in requesters(folder, _WAITING, [UNDETERMINED]):
            waiting = _look_up(folder, labeler, some, report)
            done += len(some) - len(waiting)
            for answers in asking.batches(waiting):
                with folder.ledger.transaction():
                    write_labels(folder, ((one, label, source) for one, label in answers))
                unknown = sum(label == UNKNOWN for _, label in answers)
                report.unknown += unknown
                report.placed += len(answers) - unknown
                done += len(answers)
                (progress or Progress()).reach(done, total)
    report.asked, report.problem = asking.asked, asking.problem
    report.left = _count_waiting(folder)
    return report


def _count_waiting(folder: "StoreFolder") -> int:
    sql = f"SELECT count(*) FROM requesters WHERE {_WAITING}"  # noqa: S608 (our own words)
    return int(folder.ledger.rows(sql, [UNDETERMINED])[0][0])


def _look_up(
    folder: "StoreFolder", labeler: "Labeler", some: Sequence[Requester], report: AskReport
) -> list[tuple[Requester, str]]:
    """Label whom the sources of today know, and return the others with their addresses."""
    addresses = folder.pseudonyms().addresses([one.id for one in some])
    labels, snapshots = labeler.labels(addresses)
    rows = list(zip(some, addresses, labels, snapshots, strict=True))
    found = [
        (one, label, snapshot)
        for one, address, label, snapshot in rows
        # An address that is lost by now leaves what is known of it.
        if label != UNDETERMINED and (address is not None or one.label is None)
    ]
    with folder.ledger.transaction():
        write_labels(folder, found)
    report.listed += len(found)
    return [
        (one, address) for one, address, label, _ in rows if label == UNDETERMINED and address is not None
    ]
