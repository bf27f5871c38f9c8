"""report.html: one page that shows an export, and needs nothing but itself.

`write_report` reads the export's Parquet and JSON files (export.py), puts them into words and tables
(content.py, words.py, rules.py) and charts (days.py, bins.py, figures.py), and page.html lays them out,
with page.css and page.js within it. The same export gives the same bytes. The page loads nothing from
anywhere: its Content-Security-Policy allows its own two blocks, by their hashes, and nothing else.
"""

import base64
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from tickline.errors import TicklineError, explain_os_error
from tickline.files import write_whole
from tickline.pipelines.access.state import FOLDER

__all__ = ["check_jinja2", "refresh_report", "write_report"]

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

    html = _render(content(read_export(out)))
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


def check_jinja2() -> None:
    """Say which extra brings jinja2 if it is not installed; it is not imported, which takes its time."""
    if importlib.util.find_spec("jinja2") is None:
        what = "the page is laid out by jinja2, which is not installed"
        raise TicklineError(what, hint="Install it with: pip install 'tickline[report]'.")


def _render(variables: dict[str, Any]) -> str:
    check_jinja2()
    import jinja2
    from markupsafe import Markup

    from tickline.pipelines.access.report.words import exact, human_bytes, pieces

    style, script = _file("page.css").strip(), _file("page.js").strip()
    loader = jinja2.DictLoader({"page.html": _file("page.html")})
    # trim_blocks and lstrip_blocks: thousands of rows without the template's indentation.
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"exact": exact, "human": human_bytes, "pieces": pieces, "figure": Markup}
    word = variables["rule"].word
    environment.filters["count"] = lambda number: word if number is None else exact(number)
    page: str = environment.get_template("page.html").render(
        variables,
        style=Markup(style),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
    )
    return page


def _file(name: str) -> str:
    from importlib import resources

    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """Return the source expression by which a Content-Security-Policy allows exactly this block."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
