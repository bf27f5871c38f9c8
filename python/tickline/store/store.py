"""A store in a notebook: `tickline.access.Store`."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from tickline.errors import TicklineError, UsageError
from tickline.progress import cores
from tickline.store.folder import StoreFolder
from tickline.store.views import SUMMARY_VIEWS, summary_tables

if TYPE_CHECKING:
    import pyarrow

    from tickline.pipelines.access.compact import Report as CompactReport
    from tickline.pipelines.access.export.record import ExportReport
    from tickline.pipelines.access.forget import Forgotten
    from tickline.pipelines.access.ingest.options import IngestReport
    from tickline.pipelines.access.regions.regions import Report as RegionsReport
    from tickline.pipelines.access.summaries.summaries import Summaries
    from tickline.pipelines.access.vacuum import Report as VacuumReport
    from tickline.pipelines.access.verify.verify import Findings

__all__ = ["Store"]

Texts = str | Iterable[str]


class Store:
    """An access store: raw logs go in, exact numbers come out.

    Parameters
    ----------
    path : str or os.PathLike
        The folder of the store. `ingest` makes it where nothing is yet; all else wants one that exists.

    Examples
    --------
    >>> import tickline as tl
    >>> with tl.access.Store("store") as store:  # doctest: +SKIP
    ...     store.ingest("raw-logs", keys="dandi")
    ...     store.query("SELECT key, sum(bytes_sent) FROM daily GROUP BY key ORDER BY 2 DESC LIMIT 10")
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._open: StoreFolder | None = None
        self._connections: list[Any] = []
        self._summaries: Summaries | None = None

    @property
    def folder(self) -> StoreFolder:
        """The open folder; this belongs to the thread that used it first.

        Raises
        ------
        UsageError
            There is no store here (yet).
        TicklineError
            It was made by a newer version, or its ledger is missing, damaged or another store's.
        """
        if self._open is None:
            self._open = StoreFolder.open(self.path)
        return self._open

    def close(self) -> None:
        """Close all connections, and with them all relations; more than once is harmless."""
        while self._connections:
            self._connections.pop().close()
        if self._open is not None:
            self._open.close()
            self._open = None

    def interrupt(self) -> None:
        """End the queries under way; this may be called from any thread."""
        for connection in self._connections:
            connection.interrupt()

    def __enter__(self) -> "Store":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        try:
            snapshot = self.folder.ledger.snapshot()
        except TicklineError as error:
            return f"Store({str(self.path)!r}): {error.what}"
        sql = "SELECT count(*), coalesce(sum(accepted), 0) FROM sources WHERE state <> 'replaced'"
        sources, rows = self.folder.ledger.rows(sql)[0]
        months = sorted({part.month for part in snapshot.parts})
        span = f", {months[0]} to {months[-1]}" if months else ""
        return f"Store({str(self.path)!r}): rows {rows:,}, sources {sources:,}{span}"

    # ---- what goes in --------------------------------------------------------------------------------------

    def ingest(
        self,
        *raw: str | os.PathLike[str],
        threads: int | None = None,
        operation: Texts | None = None,
        status: Texts | int | Iterable[int] | None = None,
        keys: Texts | None = None,
        exclude_ip: Texts | None = None,
        exclude_ip_regex: str | None = None,
        addresses: bool | None = None,
        dedupe_lines: bool | None = None,
        settle_s: float = 60.0,
        form: str = "log",
    ) -> "IngestReport":
        """Take logs in, each line exactly once; what is there already is not read again.

        Parameters
        ----------
        raw : path or str
            Logs, folders of logs, ``s3://bucket/prefix``.
        threads : int, optional
            All cores by default.
        operation, status, keys, exclude_ip, exclude_ip_regex
            What is kept, as in `tickline.access.read`. It is fixed when the store is made (by default
            ``REST.GET.OBJECT`` and ``2xx``); a later call may leave it out or must say the same.
        addresses : bool, optional
            False: never write addresses; regions are looked up at once. Fixed when the store is made.
        dedupe_lines : bool, optional
            Drop whole lines that were delivered twice. Fixed when the store is made.
        settle_s : float
            A plain file younger than this, in seconds, may still grow: its last line waits for a newline.
        form : str
            ``"reduced"`` or ``"binned"``: RAW is such a tree of dandi_s3_log_parser.

        Returns
        -------
        IngestReport
            `problems` lists what could not be read; everything else was taken in.

        Raises
        ------
        UsageError
            An option differs from what the store was made with, or RAW does not exist.
        TicklineError
            Another run is writing, or the store is damaged or newer.
        """
        from tickline.pipelines.access.ingest.ingest import ingest
        from tickline.pipelines.access.ingest.options import IngestOptions
        from tickline.store.settings import WantedSettings

        wanted = WantedSettings.parse(
            operation,
            status,
            keys,
            exclude_ip,
            exclude_ip_regex,
            addresses=addresses,
            dedupe_lines=dedupe_lines,
        )
        options = IngestOptions(wanted, form, threads or cores(), settle_s=settle_s)
        self._summaries = None
        return ingest(str(self.path), [os.fspath(one) for one in raw], options)

    def update_regions(
        self,
        *sources: str | os.PathLike[str],
        order: str = "longest-prefix",
        address_hash: str | None = None,
    ) -> "RegionsReport":
        """Take files of networks in: from now on they decide the regions of new requesters.

        Parameters
        ----------
        sources : path or str
            ``FILE``, ``LABEL=FILE``, an ``https://`` address, or ``aws``, ``gcp``, ``github``, ``vpn``,
            ``ipinfo``; see `tickline.pipelines.access.regions.sources`.
        order : str
            ``"longest-prefix"`` or ``"first-wins"``, where several networks hold an address.
        address_hash : str, optional
            ``"sha1-salted"``: how addresses stand in an old cache among the sources (IP_HASH_SALT).

        Raises
        ------
        UsageError, SourceError
            A file cannot be used; nothing was changed then.
        """
        from tickline.pipelines.access.regions.regions import update_regions

        with self.folder.writing():
            texts = [os.fspath(one) for one in sources]
            return update_regions(self.folder, texts, order=order, address_hash=address_hash)

    # ---- what comes out ------------------------------------------------------------------------------------

    def summarize(
        self,
        catalog: str | os.PathLike[str] | None = None,
        *,
        shared_content: str = "all",
        restrict_to: Sequence[str] = (),
        exclude_datasets: Sequence[str] = (),
    ) -> "Summaries":
        """Bring the summaries up to date: only days that changed are added up again.

        Parameters
        ----------
        catalog : path, optional
            Which dataset owns what; without one, the first part of a key is its dataset.
        shared_content : str
            ``"all"``, ``"first"``, ``"split"`` or ``"undetermined"``: who counts content of several datasets.
        restrict_to, exclude_datasets : sequence of str
            Which datasets `export` writes.

        Returns
        -------
        Summaries
            `table(name, dataset=None)`, `totals(datasets)`, `datasets`. `query` then sees them as views.

        Raises
        ------
        UsageError
            The options contradict each other.
        TicklineError
            The catalog or a file of the store cannot be used.
        """
        from tickline.pipelines.access.summaries.summaries import summarize

        options = self._options(catalog, shared_content, restrict_to, exclude_datasets)
        self._summaries = summarize(self.folder, options)
        return self._summaries

    def export(
        self,
        out: str | os.PathLike[str],
        catalog: str | os.PathLike[str] | None = None,
        *,
        shared_content: str = "all",
        restrict_to: Sequence[str] = (),
        exclude_datasets: Sequence[str] = (),
    ) -> "ExportReport":
        """Write the native export: Parquet, TSV and JSON with their provenance.

        Parameters
        ----------
        out : path
            The folder to write into.
        catalog, shared_content, restrict_to, exclude_datasets
            As for `summarize`.

        Raises
        ------
        UsageError
            A dataset does not exist, or `out` lies within the store.
        TicklineError
            Another run is writing into `out`, or the disk is full.
        """
        from tickline.pipelines.access.export.native import export_native
        from tickline.pipelines.access.export.options import ExportOptions
        from tickline.pipelines.access.report import refresh_report
        from tickline.pipelines.access.summaries.summaries import summarize

        options = self._options(catalog, shared_content, restrict_to, exclude_datasets)
        self._summaries = summaries = summarize(self.folder, options)
        report = export_native(self.folder, summaries, ExportOptions(options), Path(out))
        refresh_report(Path(out), report.digest, only_existing=True)
        return report

    @staticmethod
    def _options(
        catalog: str | os.PathLike[str] | None,
        shared_content: str,
        restrict_to: Sequence[str],
        exclude_datasets: Sequence[str],
    ) -> Any:
        from tickline.pipelines.access.summaries.options import SummaryOptions

        place = None if catalog is None else Path(catalog)
        return SummaryOptions(place, shared_content, tuple(restrict_to), tuple(exclude_datasets))

    def relation(self, sql_or_view: str = "accesses") -> Any:
        """Return a DuckDB relation over the store as it is now; it is evaluated when it is used.

        Parameters
        ----------
        sql_or_view : str
            A view (``accesses``, ``daily``, ``sources``, ``rejects``, ``regions``, or one of `SUMMARY_VIEWS`)
            or a statement that reads.

        Returns
        -------
        duckdb.DuckDBPyRelation
            Good until `close`; the files it needs stay for a day after they are replaced. DuckDB's own
            `fetchall` wants pytz for times, `to_arrow_table` does not.

        Raises
        ------
        UsageError, TicklineError
            The statement is wrong, or wants more than to read the store; a file is gone or damaged.
        """
        from tickline.store.query import connect, register, run

        sql = f"FROM {sql_or_view}" if re.fullmatch(r"\w+", sql_or_view) else sql_or_view
        connection = connect(self.folder)
        try:
            if any(re.search(rf"\b{name}\b", sql, re.IGNORECASE) for name in SUMMARY_VIEWS):
                register(connection, summary_tables(self._summaries or self.summarize(), sql))
            found = run(connection, sql)
        except BaseException:
            connection.close()
            raise
        self._connections.append(connection)
        return found

    def query(self, sql: str) -> "pyarrow.Table":
        """Return the answer to a statement, as for `relation`; sums are exact decimals."""
        from tickline.store.query import running
        from tickline.store.stopping import stoppable

        found = self.relation(sql)
        try:
            with running():
                return stoppable(self, found.to_arrow_table)
        finally:
            self._connections.pop().close()

    def table(self, view: str = "accesses") -> "pyarrow.Table":
        """Return a whole view as an Arrow table: all requests of the store, by default."""
        if not re.fullmatch(r"\w+", view):
            raise UsageError(f"{view!r} is no view", where="view", hint="Use query for a statement.")
        return self.query(view)

    def accesses_of_key(self, key: str | None) -> "pyarrow.Table":
        """Return all requests for one key as logged, oldest first; compacted, one file a month is read."""
        from tickline.store.lookup import accesses_of_key

        return accesses_of_key(self.folder, key)

    # ---- care ----------------------------------------------------------------------------------------------

    def status(self, inventory: str | os.PathLike[str] | None = None) -> dict[str, Any]:
        """Tell what the store holds: sources, days, rows, sizes, rejected lines, lag.

        Parameters
        ----------
        inventory : path, optional
            An S3 Inventory list: how many percent of its logs are in the store.
        """
        from tickline.pipelines.access.status import status

        return status(self.folder, inventory)

    def verify(self, sample: int = 5, *, seed: int | None = None) -> "Findings":
        """Check every file, every row of the ledger, all sums, and a sample of sources by the slow reference.

        Parameters
        ----------
        sample, seed : int
            How many sources that still lie where they lay are read again; the same seed draws the same ones.

        Returns
        -------
        Findings
            `clean` if all is well; else `found` names each file or row.
        """
        from tickline.pipelines.access.verify.verify import verify

        return verify(self.folder, sample=sample, seed=seed)

    def compact(self, *, min_runs: int = 2, threads: int = 1) -> "CompactReport":
        """Merge the files of months that have at least `min_runs` runs; no number changes."""
        from tickline.pipelines.access.compact import compact

        return compact(self.folder, min_runs=min_runs, threads=threads)

    def vacuum(self, *, hours: float = 24.0) -> "VacuumReport":
        """Remove files that were replaced at least so many hours ago, and what killed runs left."""
        from tickline.pipelines.access.vacuum import vacuum

        return vacuum(self.folder, hours=hours)

    def forget_addresses(self) -> "Forgotten":
        """Give every requester its region, then delete all addresses for good."""
        from tickline.pipelines.access.forget import forget_addresses

        return forget_addresses(self.folder)
