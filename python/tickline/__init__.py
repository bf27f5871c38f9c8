"""Tickline: log lines and clock ticks.

``import tickline as tl`` loads the standard library and the compiled core, nothing else. A subject is
imported when it is first used: ``tl.access.read(...)``.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from tickline import _core

__version__: str = _core.__version__
__all__ = ["__version__", "access", "fake", "include_dir", "ip"]

_SUBJECTS = frozenset({"access", "fake", "ip"})


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


def __getattr__(name: str) -> ModuleType:
    if name in _SUBJECTS:
        return import_module(f"tickline.{name}")
    raise AttributeError(f"module 'tickline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBJECTS})
