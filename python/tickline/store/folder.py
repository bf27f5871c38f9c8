"""An open store: its settings, its ledger, and the lock of its one writer."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from tickline.errors import TicklineError, UsageError, explain_os_error
from tickline.files import TEMPORARY_PREFIX, Folders, remove_temporary, take_lock
from tickline.store.ledger import Ledger
from tickline.store.manifest import MANIFEST, write_manifest
from tickline.store.pseudonyms import Pseudonyms, key_id, load_key
from tickline.store.settings import FORMAT, Settings, WantedSettings, read_settings, write_settings

__all__ = ["StoreFolder"]


class StoreFolder:
    """The folder of a store, open; any number of readers, one writer (`writing`)."""

    def __init__(self, path: Path, settings: Settings, ledger: Ledger) -> None:
        self.path = path
        self.settings = settings
        self.ledger = ledger

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "StoreFolder":
        """Open a store that exists.

        Raises
        ------
        UsageError
            This folder is no store.
        TicklineError
            It was made by a newer version, its ledger is missing, damaged or another store's.
        """
        store = Path(path)
        settings = read_settings(store)
        folder = cls(store, settings, Ledger(store, settings.store_id))
        if settings.format < FORMAT or folder.ledger.format < FORMAT:
            try:
                with folder.writing():
                    folder.ledger.migrate()
                    folder.settings = replace(settings, format=FORMAT)
                    write_settings(store, folder.settings)
            except BaseException:
                folder.close()
                raise
        return folder

    @classmethod
    def open_or_create(cls, path: str | os.PathLike[str], wanted: WantedSettings) -> "StoreFolder":
        """Open a store, or make it where nothing is yet.

        Raises
        ------
        UsageError
            An option differs from what the store was made with, or the folder holds something else.
        """
        store = Path(path)
        if not (store / "store.toml").is_file():
            cls._create(store, wanted)
        folder = cls.open(store)
        try:
            folder.settings.check(wanted, str(store))
            folder.key()
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def _create(cls, store: Path, wanted: WantedSettings) -> None:
        folders = Folders()
        try:
            if store.is_dir() and not all(_is_unfinished(path.name) for path in store.iterdir()):
                hint = "Name an empty folder, or one that does not exist yet."
                raise UsageError("holds something else than a store", where=str(store), hint=hint)
            folders.make(store)
            settings = Settings.create(wanted, "")
            settings.rules().build()
            with _lock(store):
                if not (store / "store.toml").is_file():
                    remove_temporary(store)
                    settings = replace(settings, pseudonym_key_id=key_id(load_key(store, create=True)))
                    # What a run left that was killed before store.toml stood is nobody's.
                    for left in store.glob("ledger.sqlite*"):
                        left.unlink()
                    Ledger(store, settings.store_id, create=True).close()
                    folders.changed(store)
                    folders.sync()
                    write_settings(store, settings)
        except OSError as error:
            raise explain_os_error(error, store) from error

    def key(self) -> bytes:
        """Return the key of the pseudonyms.

        Raises
        ------
        TicklineError
            It is missing, or not the one this store was made with.
        """
        key = load_key(self.path)
        if key_id(key) != self.settings.pseudonym_key_id:
            what = "the key of the pseudonyms is not the one this store was made with"
            hint = "Set TICKLINE_PSEUDONYM_KEY to that one (or unset it, if the store has a pseudonym.key)."
            raise TicklineError(what, where=str(self.path), hint=hint)
        return key

    def keeps_addresses(self) -> bool:
        """Tell whether addresses are written: not with --no-addresses, and not after `forget-addresses`."""
        return self.settings.addresses and not self.ledger.meta("addresses_forgotten")

    def pseudonyms(self, *, making: bool = False) -> Pseudonyms:
        """Return the addresses behind ids; `making` loads the key too, to make new ids."""
        return Pseudonyms(self.path, self.key() if making else None, keep_addresses=self.keeps_addresses())

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one writer; what a killed writer left behind is taken away first.

        Raises
        ------
        TicklineError
            Another run is writing into this store.
        """
        with _lock(self.path):
            self.remove_leftovers()
            yield
            if (self.path / MANIFEST).is_file():
                self.publish()

    def publish(self) -> None:
        """Write ``manifest.json`` for readers elsewhere; from then on every run that writes renews it."""
        try:
            write_manifest(self.path, self.ledger, self.settings)
        except OSError as error:
            raise explain_os_error(error, self.path) from error

    def remove_leftovers(self) -> None:
        """Remove files that no commit ever named: no reader can have seen them."""
        for kind in ("parts", "daily"):
            root = self.path / kind
            if not root.is_dir():
                continue
            remove_temporary(root)
            known = {row[0] for row in self.ledger.rows("SELECT path FROM parts")}
            for path in sorted(root.glob("*/*.parquet")):
                if str(path.relative_to(self.path)) not in known:
                    path.unlink()

    def close(self) -> None:
        """Close the ledger; more than once is harmless."""
        self.ledger.close()

    def __enter__(self) -> "StoreFolder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_unfinished(name: str) -> bool:
    """Tell whether this is what a run leaves that is killed while it makes a store."""
    return name in ("lock", "pseudonym.key") or name.startswith(("ledger.sqlite", TEMPORARY_PREFIX))


@contextlib.contextmanager
def _lock(store: Path) -> Iterator[None]:
    """Hold the lock of the store; it ends with the process, however that ends."""
    try:
        descriptor = take_lock(store / "lock")
    except BlockingIOError as error:
        writer = _writer(store)
        what = f"another run is writing into this store{f' (process {writer})' if writer else ''}"
        raise TicklineError(
            what, where=str(store), hint="Wait until it ends; reading is possible."
        ) from error
    except OSError as error:
        raise explain_os_error(error, store) from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _writer(store: Path) -> str:
    """Return the number of the process that holds the lock, as it wrote it down; it may be about to."""
    try:
        return (store / "lock").read_bytes()[:32].decode("ascii", "replace").strip()
    except OSError:
        return ""
