"""Pages that need nothing but themselves: what the report of accesses and that on clocks have in common.

A page is a template beside its own style (and script, if it has one). `render` puts base.css and base.js
before them, and writes a Content-Security-Policy that allows these two blocks, by their hashes, and nothing
else: the page loads nothing from anywhere, and what stands in a name is text.
"""

import base64
import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from tickline.errors import TicklineError

__all__ = ["check_jinja2", "render"]


def check_jinja2() -> None:
    """Say which extra brings jinja2 if it is not installed; it is not imported, which takes its time."""
    if importlib.util.find_spec("jinja2") is None:
        what = "the page is laid out by jinja2, which is not installed"
        raise TicklineError(what, hint="Install it with: pip install 'tickline[report]'.")


def render(package: str, variables: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]]) -> str:
    """Lay out the page of a package.

    Parameters
    ----------
    package : str
        Where ``page.html`` and ``page.css`` lie, and ``page.js`` if there is one.
    variables : mapping
        What the template reads; a name that is missing is an error.
    filters : mapping of str to callable
        The template's filters beside ``exact``, ``pieces`` and ``figure`` (markup that is already escaped).

    Raises
    ------
    TicklineError
        jinja2 is not installed.
    """
    check_jinja2()
    import jinja2
    from markupsafe import Markup

    from tickline.page.words import exact, pieces

    style = _file(__package__, "base.css") + _file(package, "page.css")
    script = _file(__package__, "base.js") + _file(package, "page.js")
    names = dict.fromkeys(("base.html", "macros.html"), __package__) | {"page.html": package}
    templates = {name: _file(where, name) for name, where in names.items()}
    # trim_blocks and lstrip_blocks: thousands of rows without the template's indentation.
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"exact": exact, "pieces": pieces, "figure": Markup, **filters}
    policy = (
        f"default-src 'none'; style-src '{_allowed(style)}'; script-src '{_allowed(script)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
    page: str = environment.get_template("page.html").render(
        variables,
        style=Markup(style),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704
        policy=Markup(policy),  # noqa: S704  hashes
    )
    return page


def _file(package: str, name: str) -> str:
    """Return a file of a package, or nothing where it has none of this name."""
    file = resources.files(package).joinpath(name)
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _allowed(text: str) -> str:
    """Return the source expression by which a Content-Security-Policy allows exactly this block."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
