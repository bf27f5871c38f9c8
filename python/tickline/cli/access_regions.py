"""``tickline access regions``: where requests come from."""

from typing import Annotated

import typer

from tickline.cli.access_options import Json, Relabel, StoreOption
from tickline.cli.common import Debug, Quiet, answering, console, plural, print_json
from tickline.errors import printable

__all__ = ["regions_app"]

regions_app = typer.Typer(
    help="Where requests come from: files of networks.", no_args_is_help=True, rich_markup_mode="markdown"
)

_REGIONS_EXAMPLES = """
The shape of a file tells what it is: Amazon's ip-ranges.json, Google's cloud.json, GitHub's meta, a GeoLite2
City or Country database (.mmdb), or a list with one network a line (and, behind a tab, its label). A list
without labels stands for VPNs, or for what is written in front: `datacenter=FILE`.

Example:

- `tickline access regions update --store store --source ip-ranges.json --source GeoLite2-City.mmdb`
"""


@regions_app.command("update", epilog=_REGIONS_EXAMPLES)
def update(
    store: StoreOption,
    source: Annotated[
        list[str],
        typer.Option("--source", metavar="[LABEL=]FILE", help="A file of networks; repeatable, in order."),
    ],
    order: Annotated[
        str,
        typer.Option(
            metavar="longest-prefix|first-wins", help="Which network decides where several hold an address."
        ),
    ] = "longest-prefix",
    relabel: Relabel = False,
    json_output: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Take files of networks into a store: from now on they decide the regions of new requesters.

    The files given now are the ones in use, in this order. A region that was given to a requester stays,
    unless --relabel says otherwise.
    """
    with answering(debug):
        from tickline.pipelines.access.regions import label_requesters, update_regions
        from tickline.store.folder import StoreFolder

        with StoreFolder.open(store) as folder, folder.writing():
            report = update_regions(folder, source, order=order)
            changed = label_requesters(folder, relabel=True).changed if relabel else 0
        if json_output:
            files = [
                {"kind": one.kind, "name": one.name, "label": one.label, "date": one.date, "sha256": one.hash,
                 "networks": networks}
                for one, networks in zip(report.snapshots, report.networks, strict=True)
            ]  # fmt: skip
            print_json({"snapshots": files, "order": report.order, "added": report.added, "changed": changed})
        elif not quiet:
            screen = console()
            for one, networks in zip(report.snapshots, report.networks, strict=True):
                held = plural(networks, "network") if networks else "a database"
                screen.print(
                    f"{printable(one.name)}: {one.kind}, {held}, {one.date or 'no date'}", markup=False
                )
            if relabel:
                screen.print(
                    f"{plural(changed, 'requester')} {'has' if changed == 1 else 'have'} another region now.",
                    markup=False,
                )
