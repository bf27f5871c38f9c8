"""``tickline access regions``: where requests come from."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tickline.cli.access_options import AddressHash, Json, OutOption, Relabel, StoreOption
from tickline.cli.common import Bar, Debug, Quiet, answering, console, plural, print_json, say_error
from tickline.errors import TicklineError, printable

if TYPE_CHECKING:
    from tickline.pipelines.access.regions.ipinfo import AskReport
    from tickline.pipelines.access.regions.regions import Report

__all__ = ["regions_app"]

regions_app = typer.Typer(
    help="Where requests come from: lists of networks, databases, services.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_UPDATE_EXAMPLES = """
The shape of a file tells what it is: Amazon's ip-ranges.json, Google's cloud.json, GitHub's meta, Azure's
Service Tags, a GeoLite2 City or Country database (.mmdb), a list with one network a line (and, behind a tab,
its label), a cache of an old program (.yaml). A list without labels stands for VPNs, or for what is written
in front: `datacenter=FILE`. Services are `aws`, `gcp`, `github`, `vpn`, any https:// address, and `ipinfo`,
which is asked for addresses that nothing else knows (token: IPINFO_CREDENTIALS or IPINFO_API_KEY).

Examples:

- `tickline access regions update --store store --source ip-ranges.json --source GeoLite2-City.mmdb`
- `tickline access regions update --store store --source github --source aws --source gcp --source ipinfo`
- `tickline access regions update --store store --source ip_hash_to_region.yaml --address-hash sha1-salted`
"""

_REFRESH_EXAMPLES = """
Example, once a day:

- `tickline access regions refresh --store store`
"""

_COORDINATES_EXAMPLES = """
Examples:

- `tickline access regions coordinates --store store --out public`
- `tickline access regions coordinates --store store --out public --form json`
"""


@regions_app.command("update", epilog=_UPDATE_EXAMPLES)
def update(
    store: StoreOption,
    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            metavar="[LABEL=]FILE|URL|SERVICE",
            help="A list of networks: a file, an address, or aws, gcp, github, vpn, ipinfo; repeatable.",
        ),
    ],
    order: Annotated[
        str,
        typer.Option(
            metavar="longest-prefix|first-wins", help="Which network decides where several hold an address."
        ),
    ] = "longest-prefix",
    address_hash: AddressHash = None,
    ipinfo_limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Ask ipinfo for at most N addresses now.")
    ] = None,
    relabel: Relabel = False,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Take lists of networks into a store: from now on they decide the regions of new requesters.

    The sources given now are the ones in use, in this order. A region that was given to a requester stays,
    unless --relabel says otherwise. Exit code: 0 done, 1 ipinfo was not asked for all (the next run goes on).
    """
    with answering(debug):
        from tickline.pipelines.access.regions.ipinfo import ask_ipinfo
        from tickline.pipelines.access.regions.regions import label_requesters, update_regions
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder, folder.writing():
            report = update_regions(folder, source, order=order, address_hash=address_hash)
            changed = label_requesters(folder, relabel=True).changed if relabel else 0
            with Bar(quiet, "asking ipinfo", "requesters") as bar:
                asked = ask_ipinfo(folder, limit=ipinfo_limit, progress=bar)
        if json_output:
            print_json(_update_json(report, asked, changed))
        elif not quiet:
            _tell_update(report, asked, changed, relabel=relabel)
        _tell_problem(asked.problem)


def _update_json(report: "Report", asked: "AskReport", changed: int) -> dict[str, Any]:
    files = [
        {
            "kind": one.kind,
            "name": one.name,
            "label": one.label,
            "date": one.date,
            "sha256": one.hash,
            "networks": networks,
        }
        for one, networks in zip(report.snapshots, report.networks, strict=True)
    ]
    names = ("asked", "placed", "unknown", "listed", "left")
    return {
        "snapshots": files,
        "order": report.order,
        "added": report.added,
        "changed": changed,
        "ipinfo": {name: getattr(asked, name) for name in names},
    }


def _tell_update(report: "Report", asked: "AskReport", changed: int, *, relabel: bool) -> None:
    screen = console()
    for one, networks in zip(report.snapshots, report.networks, strict=True):
        held = {"mmdb": "a database", "ipinfo": "a service"}.get(one.kind, plural(networks, "network"))
        screen.print(f"{printable(one.name)}: {one.kind}, {held}, {one.date or 'no date'}", markup=False)
    if relabel:
        verb = "has" if changed == 1 else "have"
        screen.print(f"{plural(changed, 'requester')} {verb} another region now.", markup=False)
    if asked.asked:
        known = f"{asked.placed:,} have a region now, {asked.unknown:,} have none"
        screen.print(f"{plural(asked.asked, 'address')} asked for: {known}.", markup=False)


def _tell_problem(problem: TicklineError | None) -> None:
    if problem is not None:
        say_error(str(problem))
        raise typer.Exit(1)


@regions_app.command("refresh", epilog=_REFRESH_EXAMPLES)
def refresh(
    store: StoreOption,
    cycle_days: Annotated[
        int, typer.Option(min=1, metavar="DAYS", help="Look at every requester once in so many days.")
    ] = 90,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Look up a part of all requesters anew, another one each day; changes are logged in the store.

    Published numbers may change where a region did. Exit code: 0 done, 1 ipinfo was not asked for all.
    """
    with answering(debug):
        from tickline.pipelines.access.regions.refresh import refresh_regions
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder, folder.writing():
            today = datetime.now(UTC).date()
            with Bar(quiet, "refreshing", "requesters") as bar:
                report = refresh_regions(folder, today=today, cycle_days=cycle_days, progress=bar)
        counts = {name: getattr(report, name) for name in ("looked_up", "asked", "changed")}
        if json_output:
            print_json({**counts, "log": None if report.log is None else str(report.log)})
        elif not quiet:
            text = f"{plural(report.looked_up, 'requester')} looked up, {report.changed:,} changed"
            log = "" if report.log is None else f": {printable(str(report.log))}"
            console().print(f"{text}{log}", markup=False)
        _tell_problem(report.problem)


@regions_app.command("coordinates", epilog=_COORDINATES_EXAMPLES)
def coordinates(
    store: StoreOption,
    out: OutOption,
    form: Annotated[
        str,
        typer.Option(
            metavar="yaml|json", help="yaml as s3-log-extraction has it, json as dandi_s3_log_parser."
        ),
    ] = "yaml",
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write where the regions of an export are: region_codes_to_coordinates and service_coordinates in O.

    From the store's MaxMind database and lists, and from OpenCage where OPENCAGE_API_KEY is set.
    """
    with answering(debug):
        from tickline.pipelines.access.regions.coordinates_export import export_coordinates
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder, Bar(quiet, "looking up", "regions") as bar:
            found, files = export_coordinates(folder, out, form=form, progress=bar)
        if json_output:
            print_json({"files": [str(path) for path in files], "unplaced": found.unplaced})
        elif not quiet:
            for path in files:
                typer.echo(printable(str(path)))
            if found.unplaced:
                some = ", ".join(map(printable, found.unplaced[:5]))
                typer.echo(f"without a place: {plural(len(found.unplaced), 'region')}, such as {some}")
