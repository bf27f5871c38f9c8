"""Tickline: log lines and clock ticks.

``import tickline as tl`` loads the standard library and the compiled core, nothing else. A subject is
imported when it is first used: ``tl.access.read(...)``.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from tickline import _core

# Checkers of types know this name; importing it from typing would take a tenth of `import tickline`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from tickline.fastdate64 import FastDate64

__version__: str = _core.__version__
__all__ = [
    "FastDate64",
    "__version__",
    "access",
    "chrony",
    "connections",
    "dedup",
    "fake",
    "include_dir",
    "ip",
    "ntp",
    "time",
]

_SUBJECTS = frozenset({"access", "chrony", "connections", "dedup", "fake", "ip", "ntp", "time"})


def include_dir() -> Path:
    """Return the folder of the C++ headers: ``#include <tickline/tickline.hpp>`` works with it.

    Returns
    -------
    pathlib.Path
        The folder inside the installed package or, in a checkout, the one of the project.

    Raises
    ------
    FileNotFoundError
        The package was installed without its headers.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "include", package.parents[1] / "include"):
        if (folder / "tickline" / "version.hpp").is_file():
            return folder
    raise FileNotFoundError(
        f"The C++ headers are neither in {package / 'include'} nor beside the package. "
        "Install tickline again from a wheel or a checkout."
    )


def __getattr__(name: str) -> ModuleType | type:
    if name in _SUBJECTS:
        return import_module(f"tickline.{name}")
    if name == "FastDate64":
        found: type = import_module("tickline.fastdate64").FastDate64
        return found
    raise AttributeError(f"module 'tickline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBJECTS, "FastDate64"})
