"""Summaries of a store: who was asked for what, by day, week, region, asset, type and dataset.

All are made from ``daily/``. What was made is kept in ``store/cache``: only weeks with touched days are added
up again, whatever else the store holds.
"""

import hashlib
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import TicklineError, explain_os_error
from tickline.pipelines.access.catalog.catalog import Catalog
from tickline.pipelines.access.summaries.assets import Assets
from tickline.pipelines.access.summaries.cache import (
    FORMAT,
    Arrays,
    CacheFolder,
    DamagedCacheError,
    State,
    lock_cache,
)
from tickline.pipelines.access.summaries.groups import count_pairs, group
from tickline.pipelines.access.summaries.options import SummaryOptions
from tickline.pipelines.access.summaries.pairs import PairSet, distinct
from tickline.pipelines.access.summaries.rows import MEASURES, DailyRows, UnlabelledError
from tickline.pipelines.access.summaries.tables import Summaries
from tickline.pipelines.access.summaries.weeks import (
    LIMIT,
    WeekResult,
    WeekSums,
    changed_datasets,
    monday_of,
    too_large,
)
from tickline.store.folder import StoreFolder
from tickline.store.ledger import Snapshot
from tickline.store.parts import import_arrow

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Progress", "Summaries", "summarize"]

Progress = Callable[[int, int], None]
"""Called with the number of days that are done, and of all days to do."""

_SAVE_EVERY_S = 60.0
_ATTEMPTS = 3


def summarize(folder: StoreFolder, options: SummaryOptions, progress: Progress | None = None) -> Summaries:
    """Bring the summaries of a store up to date.

    Parameters
    ----------
    folder : StoreFolder
        An open store; the caller must not hold ``folder.writing()``, which is taken for requesters without a
        region. After that ingest may go on: the summaries hold what was there when they began.
    options : SummaryOptions
        Its catalog and its rule for shared content decide which summaries; the choice of datasets does not.
    progress : callable, optional
        Called with days done and days to do.

    Returns
    -------
    Summaries
        Exact, and the same whatever the order in which the store came to what it holds.

    Raises
    ------
    UsageError
        The options contradict each other, or the catalog does not exist.
    TicklineError
        The catalog, a file of the store or the ledger cannot be used, or a sum passes 2**64 - 1.
    """
    return _summarize(folder, options, progress, anew=False)


def _summarize(
    folder: StoreFolder, options: SummaryOptions, progress: Progress | None, *, anew: bool
) -> Summaries:
    options.check()
    import_arrow()
    catalog = _open_catalog(options.catalog, decode=options.decode_keys)
    for _ in range(_ATTEMPTS):
        if folder.ledger.unlabelled():
            _label(folder)
        found = _summarize_once(folder, catalog, options, progress, anew)
        if found is not None:
            return found
    what = "regions are being changed by another run"
    raise TicklineError(what, where=str(folder.path), hint="Wait until it ends, and run this again.")


def _label(folder: StoreFolder) -> None:
    from tickline.pipelines.access.regions.regions import label_requesters

    with folder.writing():
        label_requesters(folder)


def _open_catalog(path: Path | None, *, decode: bool) -> Catalog:
    """Return the catalog, the same one as long as its file is the one of the last call.

    A notebook that asks again and again does not read and hash a file of millions of lines each time.
    """
    if path is None:
        return Catalog(None, decode=decode)
    try:
        status = path.stat()
    except OSError:
        return Catalog(path)  # which says what is wrong with it
    return _opened(path, decode, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=1)
def _opened(path: Path, decode: bool, _identity: tuple[int, ...]) -> Catalog:
    return Catalog(path, decode=decode)


def _summarize_once(
    folder: StoreFolder, catalog: Catalog, options: SummaryOptions, progress: Progress | None, anew: bool
) -> Summaries | None:
    """Return the summaries, or None if requesters or labels were changed meanwhile."""
    root = folder.path / "cache"
    try:
        with lock_cache(root):
            snapshot = folder.ledger.snapshot()
            key: tuple[object, ...] = (FORMAT, catalog.sha256, options.shared_content, snapshot.epoch)
            key += () if catalog.decode else ("as logged",)
            name = hashlib.blake2b(repr(key).encode(), digest_size=8).hexdigest()
            cache = CacheFolder(root / name)
            state = None if anew else _usable(cache, folder, snapshot)
            try:
                state = _updated(folder, cache, state, snapshot, catalog, options, progress)
            except DamagedCacheError:
                cache.clear()
                state = _updated(folder, cache, None, snapshot, catalog, options, progress)
            if int(folder.ledger.meta("epoch")) != snapshot.epoch:
                return None
            cache.forget_others(snapshot.epoch)
    except UnlabelledError:
        return None
    except OSError as error:
        if isinstance(error, TicklineError):
            raise
        raise explain_os_error(error, root) from error
    return Summaries(cache, state, catalog, lambda: _summarize(folder, options, None, anew=True))


def _usable(cache: CacheFolder, folder: StoreFolder, snapshot: Snapshot) -> State | None:
    """Return the state of an earlier run if it belongs to this ledger and its past."""
    state = cache.load()
    if state is None or state.epoch != snapshot.epoch or state.commit > snapshot.commit:
        return None
    return state if state.mark == _mark(folder, state.commit) else None


def _mark(folder: StoreFolder, commit: int) -> int:
    rows = folder.ledger.rows("SELECT made_ms FROM commits WHERE id = ?", [commit])
    return int(rows[0][0]) if rows else 0


def _updated(
    folder: StoreFolder,
    cache: CacheFolder,
    state: State | None,
    snapshot: Snapshot,
    catalog: Catalog,
    options: SummaryOptions,
    progress: Progress | None,
) -> State:
    if state is None:
        state = State(epoch=snapshot.epoch, catalog_entries=catalog.entries)
        days = {day for file in snapshot.daily for day in range(file.first_day, file.last_day + 1)}
    else:
        days = folder.ledger.days_since(state.commit) | set(state.pending)
        if state.commit == snapshot.commit and not days:
            cache.touch()
            return state
    state.serial += 1
    state.commit, state.mark = snapshot.commit, _mark(folder, snapshot.commit)
    if days:
        _Update(folder, cache, state, snapshot, catalog, options.shared_content).run(days, progress)
    else:
        cache.save(state)
    return state


class _Update:
    """Adds up weeks anew, and puts them in the place of what they were in the sums over all time."""

    def __init__(
        self,
        folder: StoreFolder,
        cache: CacheFolder,
        state: State,
        snapshot: Snapshot,
        catalog: Catalog,
        shared_content: str,
    ) -> None:
        import numpy as np

        self._cache, self._state = cache, state
        self._shares = shared_content == "split"
        self._assets = Assets(cache, state, catalog, shared_content)
        self._labels = {label: number for number, label in enumerate(state.labels)}
        self._rows = DailyRows(folder, snapshot.daily, self._assets, self._label)
        self._asset_pairs = PairSet(cache, state, "assets")
        self._dataset_pairs = PairSet(cache, state, "datasets")
        if state.totals is None:
            self._by_asset: NDArray[np.uint64] = np.zeros((len(MEASURES) + 1, 0), np.uint64)
            self._label_codes: NDArray[np.int64] = np.zeros(0, np.int64)
            self._by_label: NDArray[np.uint64] = np.zeros((len(MEASURES) + 1, 0), np.uint64)
        else:
            totals = cache.read(state, state.totals)
            self._by_asset = totals["asset_sums"]
            self._label_codes, self._by_label = totals["label"], totals["label_sums"]
        self._saved = time.monotonic()

    def _label(self, name: str) -> int:
        number = self._labels.get(name)
        if number is None:
            number = self._labels[name] = len(self._state.labels)
            self._state.labels.append(name)
        return number

    def run(self, days: set[int], progress: Progress | None) -> None:
        """Add up the weeks of these days, and save the state: at the end, and now and then before it."""
        left = set(days)
        for monday in sorted(set(map(monday_of, days))):
            if progress is not None:
                progress(len(days) - len(left), len(days))
            sums = WeekSums(monday, left, self._assets, shares=self._shares)
            for rows in self._rows.between(monday, monday + 6):
                sums.add(rows)
            self._replace(monday, sums.finish())
            left.difference_update(range(monday, monday + 7))
            if time.monotonic() - self._saved > _SAVE_EVERY_S and left:
                self._save(left)
                self._state.serial += 1
        self._save(left)
        if progress is not None:
            progress(len(days), len(days))

    def _replace(self, monday: int, result: WeekResult) -> None:
        state, name = self._state, str(monday)
        self._check(name, result)
        old = self._cache.read(state, state.weeks[name]) if name in state.weeks else None
        self._replace_assets(old, result)
        self._replace_labels(old, result)
        if result.days:
            state.sums[name] = result.sums
            state.weeks[name] = self._cache.write(state, f"week-{monday}", result.arrays)
        else:
            state.sums.pop(name, None)
            state.weeks.pop(name, None)
        for dataset in changed_datasets(old, result.arrays, self._assets.datasets).tolist():
            state.changed[dataset] = state.serial

    def _check(self, name: str, result: WeekResult) -> None:
        """Refuse sums over all time that have no room in 64 bits."""
        for place, measure in enumerate(MEASURES):
            total = sum(sums[place] for week, sums in self._state.sums.items() if week != name)
            for day in sorted(result.days):
                total += result.days[day][place]
                if total >= LIMIT:
                    raise too_large(day, measure)

    def _replace_assets(self, old: Arrays | None, result: WeekResult) -> None:
        import numpy as np

        more = len(self._assets) - self._by_asset.shape[1]
        if more:
            self._by_asset = np.pad(self._by_asset, ((0, 0), (0, more)))
        # Unsigned numbers wrap both ways: what is taken away was added before.
        if old is not None:
            self._by_asset[:-1, old["asset"]] -= old["asset_sums"][:-1]
        self._by_asset[:-1, result.arrays["asset"]] += result.arrays["asset_sums"][:-1]
        fresh = self._asset_pairs.add(result.fresh)
        self._by_asset[-1] += count_pairs(np.arange(self._by_asset.shape[1]), fresh)

    def _replace_labels(self, old: Arrays | None, result: WeekResult) -> None:
        import numpy as np

        low, high = np.uint64(0xFFFFFFFF), np.uint64(32)
        dataset = self._assets.datasets[(result.fresh >> high).astype(np.int64)].astype(np.uint64)
        pairs = np.concatenate([dataset << high | (result.fresh & low), result.fresh & low])
        fresh = self._dataset_pairs.add(distinct(pairs))
        label = self._rows.regions[(fresh & low).astype(np.int64)]
        people = (fresh >> high).astype(np.int64) << 32 | label
        codes, sums = (
            [self._label_codes, result.arrays["label"], people],
            [
                self._by_label,
                np.pad(result.arrays["label_sums"], ((0, 1), (0, 0))),
                np.pad(np.ones((1, len(people)), np.uint64), ((len(MEASURES), 0), (0, 0))),
            ],
        )
        if old is not None:
            codes.append(old["label"])
            sums.append(np.pad(np.negative(old["label_sums"]), ((0, 1), (0, 0))))
        size = len(self._state.datasets) << 32
        self._label_codes, self._by_label = group(
            np.concatenate(codes), size, list(np.concatenate(sums, axis=1))
        )

    def _save(self, left: set[int]) -> None:
        state = self._state
        self._assets.save()
        self._asset_pairs.save()
        self._dataset_pairs.save()
        totals = {"asset_sums": self._by_asset, "label": self._label_codes, "label_sums": self._by_label}
        state.totals = self._cache.write(state, "totals", totals)
        state.pending = sorted(left)
        self._cache.save(state)
        self._saved = time.monotonic()
