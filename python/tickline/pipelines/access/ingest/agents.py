"""What kind of program made a request, told by the begin of its user agent."""

import re

__all__ = ["CLASSES", "agent_class"]

CLASSES = ("git-annex", "aws-cli", "boto", "browser", "robot", "other")

# Robots name themselves anywhere: "Mozilla/5.0 (compatible; bingbot/2.0; ...". A word that merely ends so
# ("Cubot", a telephone) is followed by no slash or semicolon.
_ROBOT = re.compile(r"bot[/;)]|bot$|crawler|spider|slurp|facebookexternalhit", re.IGNORECASE)
_PREFIXES = (
    ("git-annex/", "git-annex"),
    ("aws-cli/", "aws-cli"),
    ("Boto", "boto"),
    ("boto", "boto"),
    ("aiobotocore/", "boto"),
    ("Mozilla/", "browser"),
    ("Opera/", "browser"),
)
# A user agent of a megabyte tells no more than its begin.
_LOOKED_AT = 512


def agent_class(user_agent: str | None) -> str:
    """Return one of `CLASSES`."""
    begin = (user_agent or "")[:_LOOKED_AT]
    if _ROBOT.search(begin):
        return "robot"
    return next((name for prefix, name in _PREFIXES if begin.startswith(prefix)), "other")
