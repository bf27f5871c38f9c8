"""What the old binning and mapping do, in terms of a store: ``BINNED/.tickline/store``.

The store lies with the binned logs and not with the mapped ones: both of the former hold addresses, and the
latter are published.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.pipelines.access.state import FOLDER
from tickline.progress import Progress
from tickline.store.folder import StoreFolder

if TYPE_CHECKING:
    from tickline.pipelines.access.ingest.options import IngestReport
    from tickline.pipelines.access.trees.tree import TreeReport

__all__ = ["Done", "MapOptions", "bin_tree", "map_tree", "old_caches", "store_of"]

_OLD_LISTS = ("binned_log_file_paths_started.txt", "binned_log_file_paths_completed.txt")
_LISTS = ("github", "aws", "gcp", "vpn")
_IPINFO = "ipinfo"
_IPINFO_VARIABLES = ("IPINFO_CREDENTIALS", "IPINFO_API_KEY")
_OLD_CACHES = ("ip_hash_to_region.yaml", "ip_hash_not_in_services.yaml")
_SALT = "IP_HASH_SALT"
# What the old program made of a file: YYYY/MM/DD.tsv below its folder.
_NAME_PARTS = 3

Phase = Callable[[str], Progress]


@dataclass(slots=True)
class Done:
    """What a command did, in sentences; `problems` is empty if it did everything."""

    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[TicklineError] = field(default_factory=list)

    def add_ingest(self, report: "IngestReport") -> None:
        """Say what went into the store."""
        states = [f"{count:,} {state}" for state, count in sorted(report.states.items()) if count]
        self.lines.append(f"tables: {', '.join(states) or 'none'}; {report.rows:,} rows added")
        self.problems += report.problems

    def add_export(self, report: "TreeReport") -> None:
        """Say what came out of it."""
        counts = f"{report.written:,} written, {report.unchanged:,} unchanged"
        self.lines.append(f"files: {counts}, {report.removed:,} removed")


def store_of(binned: Path) -> Path:
    """Return where the store of a binned tree lies."""
    return binned / FOLDER / "store"


def _check_apart(out: Path, what: str, source: Path) -> None:
    """Refuse trees that lie within one another: each would be taken for a part of the other."""
    place, other = out.resolve(), source.resolve()
    if place == other or place in other.parents or other in place.parents:
        where = "is the folder of" if place == other else "lies within the folder of or holds"
        raise UsageError(f"{where} {what}", where=str(out), hint="Choose a folder outside of it.")


# ---- binning -----------------------------------------------------------------------------------------------


def bin_tree(reduced: Path, binned: Path, *, limit: int | None, phase: Phase) -> Done:
    """Take new reduced logs into the store, and write the tables of the keys that they hold.

    Parameters
    ----------
    reduced, binned : Path
        The folders of both trees.
    limit : int, optional
        Take so many new tables at most, in natural order of their names.
    phase : callable
        Is given the name of each phase; returns where its progress is told.

    Raises
    ------
    UsageError
        The folders do not fit together, or BINNED holds what the old program made of logs that are gone.
    TicklineError
        The store or the tree cannot be written.
    """
    from tickline.pipelines.access.trees.reduced import export_binned

    _check_apart(binned, "the reduced logs", reduced)
    store = store_of(binned)
    if "binned" in _forms(store):
        what = "holds tables of the old program, which are in its store already (they were mapped)"
        hint = "Name an empty folder: all reduced logs are binned into it."
        raise UsageError(what, where=str(binned), hint=hint)
    if not _forms(store):
        _check_old_tree(reduced, binned)
    done = Done()
    done.add_ingest(_ingest(store, "reduced", _wanted(reduced, store, limit), phase("reading")))
    with StoreFolder.open(store) as folder:
        done.add_export(export_binned(folder, binned, compat="strict", progress=phase("writing")))
    return done


def _ingest(store: Path, form: str, raws: list[str], progress: Progress) -> "IngestReport":
    from tickline.pipelines.access.ingest.ingest import ingest
    from tickline.pipelines.access.ingest.options import IngestOptions
    from tickline.progress import cores

    return ingest(str(store), raws, IngestOptions(form=form, threads=cores()), progress)


def _forms(store: Path) -> set[str]:
    """Return what forms the sources of a store have; none if there is no store yet."""
    if not (store / "store.toml").is_file():
        return set()
    from tickline.pipelines.access.ingest.forms import forms_of

    with StoreFolder.open(store) as folder:
        return set(forms_of(folder.ledger))


def _wanted(reduced: Path, store: Path, limit: int | None) -> list[str]:
    """Return the folder of all tables, or the first new ones of them."""
    if limit is None:
        return [str(reduced)]
    from tickline.pipelines.access.ingest.claims import stored_name
    from tickline.pipelines.access.ingest.inputs import find_inputs

    known: set[str] = set()
    if (store / "store.toml").is_file():
        with StoreFolder.open(store) as folder:
            known = {row["name"] for row in folder.ledger.rows("SELECT name FROM names")}
    with find_inputs([str(reduced)], form="reduced") as found:
        new = (item.name for item in found.inputs if stored_name(item.name) not in known)
        # Without any new ones, those that changed have their turn.
        return list(islice(new, limit)) or [str(reduced)]


def _check_old_tree(reduced: Path, binned: Path) -> None:
    """Refuse to bin anew over tables of the old program, if what they were made of is not all there.

    Raises
    ------
    UsageError
        A reduced log that it has binned is gone, or nothing says what the tables were made of.
    """
    if not _has_tables(binned):
        return
    hint = "Name an empty folder as BINNED, and map this one as it is: map_binned_s3_logs_to_dandisets."
    listed = [binned / name for name in _OLD_LISTS if (binned / name).is_file()]
    if not listed:
        what = "holds tables, and nothing tells which reduced logs they were made of"
        raise UsageError(what, where=str(binned), hint=hint)
    gone = [name for name in _listed_names(listed) if not _is_there(name, reduced)]
    if gone:
        what = f"was made of reduced logs that are gone ({len(gone):,} of them, such as {gone[0]})"
        raise UsageError(what, where=str(binned), hint=hint)


def _has_tables(binned: Path) -> bool:
    return binned.is_dir() and any(
        name.endswith(".tsv") and not name.startswith(".")
        for folder, _, names in os.walk(binned)
        if FOLDER not in Path(folder).relative_to(binned).parts
        for name in names
    )


def _listed_names(lists: list[Path]) -> list[str]:
    try:
        lines = [line for path in lists for line in path.read_text(errors="surrogateescape").splitlines()]
    except OSError as error:
        raise explain_os_error(error, lists[0]) from error
    return list(dict.fromkeys(line for line in lines if line.strip()))


def _is_there(name: str, reduced: Path) -> bool:
    """Tell whether a reduced log is below the folder: at its place there, or under its name of then."""
    path = Path(name)
    if reduced.joinpath(*path.parts[-_NAME_PARTS:]).is_file():
        return True
    return path.is_file() and reduced.resolve() in path.resolve().parents


# ---- mapping -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MapOptions:
    """How to map.

    Attributes
    ----------
    excluded, restrict_to : tuple of str
        Dandisets that are left out, or the only ones that are taken.
    limit : int or None
        Of those, the first so many by name.
    catalog : str
        As `tickline.pipelines.access.catalog.sources.resolve_catalog` takes it.
    regions : tuple of str
        As `tickline.pipelines.access.regions.regions.update_regions` takes them; none: the lists of the old
        program, its caches, and ipinfo, where the environment has what they need.
    """

    excluded: tuple[str, ...] = ()
    restrict_to: tuple[str, ...] = ()
    limit: int | None = None
    catalog: str = "dandi"
    regions: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        UsageError
            Some dandisets are named to be left out, and others to be taken.
        """
        if self.excluded and self.restrict_to:
            what = "cannot be used together with --excluded_dandisets"
            raise UsageError(what, where="restrict_to_dandisets", hint="Leave one of them out.")


def old_caches() -> tuple[list[str], list[str]]:
    """Return the caches of regions that the old program left, and what is to be said about them."""
    found = [str(path) for name in _OLD_CACHES if (path := _old_folder() / name).is_file()]
    if found and not os.environ.get(_SALT):
        note = f"{found[0]} is not used: {_SALT} is not set (tickline access salt RAW makes it)."
        return [], [note]
    return found, []


def _old_folder() -> Path:
    return Path.home() / ".dandi_s3_log_parser"


def map_tree(binned: Path, mapped: Path, options: MapOptions, *, phase: Phase) -> Done:
    """Write the tables of dandisets, with regions in place of addresses.

    A tree of the old program goes into the store first; one that `bin_tree` made is in it already.

    Parameters
    ----------
    binned, mapped : Path
        The folders of both trees.
    options : MapOptions
        How.
    phase : callable
        As for `bin_tree`.

    Raises
    ------
    UsageError
        The folders do not fit together.
    TicklineError
        The catalog or a list of networks could not be had, or the tree cannot be written. What was written
        before stays.
    """
    _check_apart(mapped, "the binned logs", binned)
    store = store_of(binned)
    done = Done()
    if "reduced" not in _forms(store):
        done.add_ingest(_ingest(store, "binned", [str(binned)], phase("reading")))
        if done.problems:
            done.notes.append("nothing was mapped, because not all of the binned logs could be read.")
            return done
    from tickline.pipelines.access.catalog.catalog import Catalog
    from tickline.pipelines.access.catalog.sources import resolve_catalog
    from tickline.pipelines.access.mapped.export import export_mapped
    from tickline.pipelines.access.summaries.options import SummaryOptions

    catalog = resolve_catalog(options.catalog, store, phase("asking for dandisets"))
    # Before anybody is asked for networks: a wrong name shall not wait for that.
    content = Catalog(catalog, versions=True, decode=False)
    restrict_to = _restricted({dataset for dataset, _ in content.order_of_versions()}, options)
    chosen = SummaryOptions(
        catalog, restrict_to=restrict_to, exclude_datasets=() if restrict_to else options.excluded
    )
    with StoreFolder.open(store) as folder:
        _label(folder, options.regions, done)
        progress = phase("writing")
        done.add_export(export_mapped(folder, content, chosen, mapped, compat="strict", progress=progress))
    return done


def _label(folder: StoreFolder, regions: tuple[str, ...], done: Done) -> None:
    """Give each requester a region, by the order of the old program: the first that knows one decides."""
    from tickline.pipelines.access.regions.ipinfo import ask_ipinfo
    from tickline.pipelines.access.regions.regions import label_requesters, update_regions

    sources = list(regions)
    caches: list[str] = []
    if not sources:
        caches, notes = old_caches()
        done.notes += notes
        asked = [_IPINFO] if any(os.environ.get(name) for name in _IPINFO_VARIABLES) else []
        sources = [*caches, *_LISTS, *asked]
        if not asked:
            done.notes.append(f"{_IPINFO_VARIABLES[0]} is not set: whom no list knows is from nowhere known.")
    address_hash = "sha1-salted" if caches else None
    with folder.writing():
        update_regions(folder, sources, order="first-wins", address_hash=address_hash)
        answers = ask_ipinfo(folder)
        label_requesters(folder)
    if answers.problem is not None:
        done.notes.append(f"{answers.left:,} requesters are from nowhere known until ipinfo answers.")
        done.notes.append(str(answers.problem))


def _restricted(known: set[str], options: MapOptions) -> tuple[str, ...]:
    """Return the only dandisets to map; none where all but the excluded ones are.

    Raises
    ------
    UsageError
        One is named that the catalog does not know.
    """
    for option, names in (
        ("excluded_dandisets", options.excluded),
        ("restrict_to_dandisets", options.restrict_to),
    ):
        for name in names:
            if name not in known:
                hint = f"There are {len(known):,}, such as {', '.join(sorted(known)[:3])}."
                raise UsageError(f"there is no dandiset {name[:80]!r}", where=option, hint=hint)
    if options.limit is None:
        return options.restrict_to
    return tuple(sorted(set(options.restrict_to or known) - set(options.excluded))[: options.limit])
