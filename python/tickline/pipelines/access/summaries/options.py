"""What summaries are made of, as it is asked for; light to import."""

from dataclasses import dataclass
from pathlib import Path

from tickline.errors import UsageError

__all__ = ["POLICIES", "SummaryOptions"]

POLICIES = ("all", "first", "split", "undetermined")
"""What becomes of content that several datasets own."""


@dataclass(frozen=True)
class SummaryOptions:
    """What summaries are made of.

    Attributes
    ----------
    catalog : Path, optional
        Which dataset a key belongs to, see `tickline.pipelines.access.catalog.catalog`.
    shared_content : str, default "all"
        One of `POLICIES`. ``all``: each dataset counts what it owns wholly; ``first``: the first owner in the
        catalog alone; ``split``: equal shares, the remainder to the first; ``undetermined``: no dataset. The
        archive counts it once in any case.
    restrict_to, exclude_datasets : tuple of str
        Only these datasets, or all but these, are exported; at most one of the two.
    decode_keys : bool, default True
        Keys are percent-decoded once for catalog and tables; the old programs decode nothing.
    """

    catalog: Path | None = None
    shared_content: str = "all"
    restrict_to: tuple[str, ...] = ()
    exclude_datasets: tuple[str, ...] = ()
    decode_keys: bool = True

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        UsageError
            A policy or a catalog that does not exist, or both lists of datasets.
        """
        if self.catalog is not None and not self.catalog.exists():
            what = "the catalog cannot be read: does not exist"
            raise UsageError(what, where=str(self.catalog), hint="Check its name.")
        if self.shared_content not in POLICIES:
            what = f"{self.shared_content!r} is none of {', '.join(POLICIES)}"
            raise UsageError(what, where="shared-content")
        if self.restrict_to and self.exclude_datasets:
            what = "cannot stand beside --exclude-datasets"
            raise UsageError(
                what, where="restrict-to", hint="Name the datasets you want with one of the two."
            )
