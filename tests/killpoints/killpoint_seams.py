"""Where this process meets its disk: obstore's functions and the interpreter's own calls, counted and broken."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from killpoint_plan import Plan

_OBSTORE = ("put", "get", "head", "delete", "copy", "rename", "list_with_delimiter")
_PATHS = (
    "link", "listdir", "lstat", "mkdir", "remove", "rename", "replace", "rmdir", "scandir", "stat", "unlink",
)  # fmt: skip


def _broken_disk() -> NoReturn:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _broken_store() -> NoReturn:
    from obstore.exceptions import GenericError

    raise GenericError("Generic LocalFileSystem error: Unable to do it: Input/output error (os error 5)")


class _Stream:
    """A listing of obstore: every chunk is a call."""

    def __init__(self, plan: Plan, stream: Any) -> None:
        self._plan, self._stream = plan, iter(stream)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        end = object()
        chunk = self._plan.call("obstore.list", lambda: next(self._stream, end), _broken_store)
        if chunk is end:
            raise StopIteration
        return chunk


class _File:
    """An open file: every read and every write is a call."""

    def __init__(self, plan: Plan, file: Any) -> None:
        self._plan, self._file = plan, file

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._file, name)
        if name not in ("read", "write"):
            return value
        return lambda *args: self._plan.call(f"file.{name}", lambda: value(*args), _broken_disk)


def watch(plan: Plan, roots: Sequence[str]) -> None:
    """Let a plan see every storage call of this process from now on.

    :param plan: the plan
    :param roots: the folders whose calls are seen; obstore's are seen wherever they go
    """
    import obstore

    for name in _OBSTORE:
        setattr(obstore, name, _counted(plan, f"obstore.{name}", getattr(obstore, name)))
    listing = obstore.list
    obstore.list = lambda *args, **kwargs: _Stream(plan, listing(*args, **kwargs))  # type: ignore[assignment]
    if plan.streams:
        _watch_sources(plan)
    _watch_system(plan, roots)


def _watch_sources(plan: Plan) -> None:
    """Between two blocks that a store takes of a stream the process may die: its file is half then."""
    from airflow_provider_xbackup.vault import store

    taken = store.Source.__next__

    def take(source: Any) -> bytes:
        return plan.call("block of a stream", lambda: taken(source), _broken_store)

    store.Source.__next__ = take  # type: ignore[method-assign]


def _counted(plan: Plan, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def counted(store: Any, *args: Any, **kwargs: Any) -> Any:
        about = next((arg for arg in args if isinstance(arg, str)), "")
        return plan.call(
            f"{name} {about.rsplit('/', 1)[-1]}", lambda: function(store, *args, **kwargs), _broken_store
        )

    return counted


def _watch_system(plan: Plan, roots: Sequence[str]) -> None:
    ours: set[int] = set()

    def below(path: Any) -> bool:
        if isinstance(path, int):
            return path in ours
        return os.fsdecode(os.fspath(path)).startswith(tuple(roots))

    def on_path(name: str) -> None:
        function = getattr(os, name)

        def counted(path: Any, *args: Any, **kwargs: Any) -> Any:
            if not below(path):
                return function(path, *args, **kwargs)
            label = f"os.{name} {os.path.basename(os.fsdecode(os.fspath(path)))}"
            return plan.call(label, lambda: function(path, *args, **kwargs), _broken_disk)

        setattr(os, name, counted)

    for name in _PATHS:
        on_path(name)

    open_, close, fsync, io_open = os.open, os.close, os.fsync, io.open

    def opened(path: Any, *args: Any, **kwargs: Any) -> int:
        if not below(path):
            return open_(path, *args, **kwargs)
        label = f"os.open {os.path.basename(os.fsdecode(os.fspath(path)))}"
        descriptor = plan.call(label, lambda: open_(path, *args, **kwargs), _broken_disk)
        ours.add(descriptor)
        return descriptor

    def closed(descriptor: int) -> None:
        ours.discard(descriptor)
        close(descriptor)

    def synced(descriptor: int) -> None:
        if descriptor not in ours:
            return fsync(descriptor)
        return plan.call("os.fsync", lambda: fsync(descriptor), _broken_disk)

    def file_opened(path: Any, *args: Any, **kwargs: Any) -> Any:
        if not below(path):
            return io_open(path, *args, **kwargs)
        if isinstance(path, int):
            return _File(plan, io_open(path, *args, **kwargs))
        label = f"open {os.path.basename(os.fsdecode(os.fspath(path)))}"
        file = plan.call(label, lambda: io_open(path, *args, **kwargs), _broken_disk)
        ours.add(file.fileno())
        return _File(plan, file)

    os.open, os.close, os.fsync = opened, closed, synced  # type: ignore[assignment]
    io.open = builtins.open = file_opened  # type: ignore[assignment]
