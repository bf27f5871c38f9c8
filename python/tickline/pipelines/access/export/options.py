"""What an export is asked to be: its layout, whose quirks it repeats, what is withheld; light to import."""

from dataclasses import dataclass

from tickline.errors import UsageError
from tickline.pipelines.access.summaries.options import SummaryOptions

__all__ = ["COMPAT", "PRIVACY", "PROFILES", "ExportOptions"]

PROFILES = ("native", "s3-log-extraction", "dandi-s3-log-parser")
"""Layouts: our own, and those of the two programs whose outputs others read."""

COMPAT = ("fixed", "strict")
"""``strict`` repeats the old programs byte for byte where their outputs are defined."""

PRIVACY = ("exact", "fixed", "strict")
"""See `tickline.pipelines.access.privacy.privacy`."""


@dataclass(frozen=True)
class ExportOptions:
    """What an export is made of.

    Attributes
    ----------
    summaries : SummaryOptions
        Catalog, rule for shared content, choice of datasets.
    profile : str, default "native"
        One of `PROFILES`.
    compat : str, default "fixed"
        One of `COMPAT`; the native layout has nothing to be compatible with.
    privacy : str, optional
        One of `PRIVACY`. By default ``exact`` for the native layout, ``fixed`` for the one of
        s3-log-extraction, ``strict`` there with `compat` strict. The tables of dandi_s3_log_parser have no
        counts to withhold.
    threshold : int, default 10
        ``fixed``: counts of cells with fewer distinct requesters are withheld; at least 3, because of two
        each can take away its own part.
    rounding : int, default 20
        ``fixed``: counts are rounded to multiples of this.
    with_addresses : bool, default False
        Also write the trees that hold addresses.
    """

    summaries: SummaryOptions
    profile: str = "native"
    compat: str = "fixed"
    privacy: str | None = None
    threshold: int = 10
    rounding: int = 20
    with_addresses: bool = False

    @property
    def privacy_rule(self) -> str:
        """The rule that holds: the one that was asked for, or the default of the profile."""
        if self.privacy is not None:
            return self.privacy
        if self.profile != "s3-log-extraction":
            return "exact"
        return self.compat

    @property
    def rules(self) -> tuple[str | int, ...]:
        """What decides, besides the summaries, which bytes an export of summaries has."""
        rule = self.privacy_rule
        numbers = (self.threshold, self.rounding) if rule == "fixed" else ()
        return (self.profile, self.compat, rule, *numbers)

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        UsageError
            A word that is none of those above, or options that do not go together.
        """
        self.summaries.check()
        for where, word, known in (
            ("profile", self.profile, PROFILES),
            ("compat", self.compat, COMPAT),
            ("privacy", self.privacy_rule, PRIVACY),
        ):
            if word not in known:
                raise UsageError(f"{word!r} is none of {', '.join(known)}", where=where)
        numbers = (("privacy-threshold", self.threshold, 3), ("privacy-rounding", self.rounding, 1))
        for where, number, least in numbers:
            if number < least:
                raise UsageError(f"{number} is less than {least}", where=where)
        unused = (("privacy-threshold", self.threshold, 10), ("privacy-rounding", self.rounding, 20))
        for where, number, default in unused if self.privacy_rule != "fixed" else ():
            if number != default:
                # Who names a threshold believes that something is withheld.
                hint = "Add --privacy fixed, or leave it out."
                raise UsageError(f"of no effect under the rule {self.privacy_rule!r}", where=where, hint=hint)
        if self.compat == "strict" and self.privacy_rule == "fixed":
            what = "'fixed' looks at all tables together, and --compat strict adds up rounded ones"
            raise UsageError(
                what, where="privacy", hint="Choose --privacy strict or exact, or --compat fixed."
            )
        hint = "Leave it out, or choose the profile of an old program."
        if self.profile == "native" and self.compat == "strict":
            raise UsageError("the native layout repeats no other program", where="compat", hint=hint)
        if self.profile == "native" and self.with_addresses:
            hint = "Leave it out, or choose the profile of an old program."
            raise UsageError(
                "the native layout has no tree with addresses", where="with-addresses", hint=hint
            )
        if self.profile == "dandi-s3-log-parser" and self.privacy not in (None, "exact"):
            what = "the tables of dandi_s3_log_parser hold bytes and no counts: nothing could be withheld"
            raise UsageError(what, where="privacy", hint="Leave it out, or choose another profile.")
