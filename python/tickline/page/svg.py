"""What the drawings of every page have in common; coordinates are in per cent: text keeps its size."""

__all__ = ["number", "percent", "share_bar"]


def number(value: float) -> str:
    """Return a coordinate, to a thousandth."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def percent(value: float) -> str:
    """Return a coordinate as a share of the width: 0.5 is ``50%``."""
    return number(100 * value) + "%"


def share_bar(share: float) -> str:
    """Draw one horizontal bar, for a row of a table: the number beside it says the same."""
    return (
        '<svg class="share" width="100%" height="6" aria-hidden="true">'
        '<rect class="rail" width="100%" height="6"/>'
        f'<rect class="bar" width="{percent(max(share, 0.002) if share else 0.0)}" height="6"/></svg>'
    )
