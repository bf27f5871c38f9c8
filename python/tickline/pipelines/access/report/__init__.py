"""report.html: one page that shows an export, and needs nothing but itself.

`write_report` reads the export's Parquet and JSON files (export.py), puts them into words and tables
(content.py, words.py, rules.py) and charts (days.py, bins.py, figures.py), and page.html lays them out,
with page.css and page.js within it (`tickline.page`). The same export gives the same bytes.
"""

from pathlib import Path

from tickline.errors import explain_os_error
from tickline.files import write_whole
from tickline.page import render
from tickline.page.words import exact
from tickline.pipelines.access.state import FOLDER

__all__ = ["refresh_report", "write_report"]

_PAGE = "report.html"
# Beside the record of the export: of which files the page was made.
_MADE_OF = "report"


def write_report(out: Path) -> Path:
    """Write ``report.html`` into an export folder.

    Parameters
    ----------
    out : Path
        An export folder (``--profile native``).

    Returns
    -------
    Path
        The page; it appears whole.

    Raises
    ------
    TicklineError
        A file of the export is missing or damaged, or jinja2 is not installed.
    """
    page = out / _PAGE
    from tickline.pipelines.access.report.content import content
    from tickline.pipelines.access.report.export import read_export
    from tickline.pipelines.access.report.words import human_bytes

    variables = content(read_export(out))
    word = variables["rule"].word
    filters = {"human": human_bytes, "count": lambda number: word if number is None else exact(number)}
    html = render(__package__, variables, filters)
    try:
        write_whole(page, html.encode("utf-8"))
    except OSError as error:
        raise explain_os_error(error, page) from error
    return page


def refresh_report(out: Path, digest: str, *, only_existing: bool = False) -> Path:
    """Write ``report.html`` unless the one that is there was made of the same files.

    Parameters
    ----------
    out : Path
        An export folder.
    digest : str
        The hash of its files (`ExportReport.digest`). What the last run wrote does not tell: one that was
        killed before its page, or an `export` without one, leaves an older page beside newer numbers.
    only_existing : bool
        Write no page where none was made yet.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    TicklineError
        As `write_report`.
    """
    page, made_of = out / _PAGE, out / FOLDER / _MADE_OF
    known = made_of.read_bytes() if made_of.is_file() else b""
    wanted = page.is_file() and bool(known) if only_existing else True
    if wanted and not (page.is_file() and known == digest.encode()):
        write_report(out)
        try:
            write_whole(made_of, digest.encode())
        except OSError as error:
            raise explain_os_error(error, made_of) from error
    return page
