"""Labels of IP addresses, by lists of networks: which region, provider or site is an address in?

``RangeTable`` holds any number of networks of IPv4 and IPv6 as sorted ranges; a lookup takes some tens of
nanoseconds, whatever the number of networks.
"""

from array import array
from collections.abc import Sequence

from tickline import _core
from tickline.errors import UsageError

__all__ = ["MODES", "RangeTable"]

MODES = ("longest-prefix", "first-wins")
"""Which of several networks around an address decides: the smallest (of equal ones the first in the list), or
the one that stands first in the list."""


class RangeTable:
    """Networks with a label each; it never changes once it is made, and threads may share it.

    Parameters
    ----------
    networks : sequence of str
        ``"192.0.2.0/24"``, ``"2001:db8::/32"``, or an address, which is a network of one. Bits behind the
        prefix must be zero.
    labels : sequence of str
        One for each network.
    mode : str
        One of `MODES`.

    Raises
    ------
    UsageError
        A text is no network (the message has its index), the lists differ in length, or the mode is unknown.
    """

    def __init__(self, networks: Sequence[str], labels: Sequence[str], mode: str = "longest-prefix") -> None:
        if mode not in MODES:
            raise UsageError(f"{mode!r} is none", where="mode", hint=f"Choose from: {', '.join(MODES)}.")
        if len(networks) != len(labels):
            what = f"there are {len(networks)} networks and {len(labels)} labels"
            raise UsageError(what, where="labels", hint="Give one label for each network.")
        numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
        self._labels = list(numbers)
        try:
            self._table = _core.RangeTable(
                networks, [numbers[label] for label in labels], first_wins=mode == "first-wins"
            )
        except ValueError as error:
            hint = "Write networks like 192.0.2.0/24 or 2001:db8::/32."
            raise UsageError(str(error).rstrip("."), hint=hint) from error

    def find(self, addresses: Sequence[str]) -> list[str | None]:
        """Return the label of each address.

        Parameters
        ----------
        addresses : sequence of str
            IPv4 or IPv6, without zone or brackets. IPv4 in the form ``::ffff:192.0.2.1`` is IPv4.

        Returns
        -------
        list of (str or None)
            None where no network holds the address, and where a text is no address.
        """
        return [
            self._labels[number] if number >= 0 else None
            for number in array("i", self._table.find(addresses))
        ]
