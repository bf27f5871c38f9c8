from typing import final

__version__: str

@final
class Pattern:
    """A compiled regular expression of RE2; it searches, unanchored.

    Parameters
    ----------
    regex
        What to look for, in RE2's syntax. ``ValueError`` names what is wrong with it.
    """

    def __init__(self, regex: str | bytes) -> None: ...
    @property
    def regex(self) -> str:
        """The text it was compiled from."""

    def matches(self, text: str | bytes) -> bool:
        """Whether it matches anywhere in text."""

    def capsule(self) -> object:
        """A capsule ``"tickline.text_predicate"`` that answers for this pattern without Python."""
