"""Work on more than one machine: a Dask cluster that is there, or one on this machine (`opening`); what it
answers, and what becomes of a run whose workers or scheduler are lost (`cluster`).

What goes to workers are functions of this package, by their names, and plain values. Both stand in the memory
and, in part, on the pages of the scheduler: nothing secret may be among them. Errors come back as values, so
that no worker writes arguments into its log (`remote`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tickline.engines.options import ENGINES, ClusterError, EngineOptions

if TYPE_CHECKING:
    from tickline.engines.cluster import Answer, Cluster
    from tickline.engines.opening import open_cluster
    from tickline.engines.remote import identity

__all__ = ["ENGINES", "Answer", "Cluster", "ClusterError", "EngineOptions", "identity", "open_cluster"]

# Options are asked for by commands that then do all by themselves: the rest is loaded when it is used.
_WHERE = {"Answer": "cluster", "Cluster": "cluster", "identity": "remote", "open_cluster": "opening"}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"tickline.engines.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'tickline.engines' has no attribute {name!r}")
