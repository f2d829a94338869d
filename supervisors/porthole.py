"""A look into a running process: each serves a view of itself, as it is at that moment, on a unix socket in a folder.

    educonnect tree --live ─▶ every socket in the folder, all at once ─▶ one view each (JSON of `supervisors.view`)

Only whoever may enter the folder may look, and looking changes nothing: not even where the process has no descriptor left for whoever
looks, which is when people do.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

VIEW_BYTES_MAX: Final = 1 << 20
LOOK_S: Final = 5.0
"""The most that one process may take to answer; one that is busy with everything else is seen as such."""
LOOKS_MAX: Final = 4
"""At a time; more wait."""
SEND_S: Final = 3.0
REST_S: Final = 0.5
"""Before the next attempt where no descriptor was left to take a connection with."""
SOCKET_PATH_BYTES_MAX: Final = 103
"""`sun_path` holds 108 bytes on Linux and 104 on macOS, its final zero included."""
_OUT_OF_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SUFFIX: Final = ".tree"


def default_folder() -> Path:
    """Where the sockets are unless somebody says otherwise: private to this user."""
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(base) / f"educonnect-{os.getuid()}"


async def serve_view(
    folder: Path, name: str, view: Callable[[], Awaitable[bytes]], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answers every connection with what `view()` gives, until cancelled."""
    path = _make_room(folder, f"{name}.{os.getpid()}{_SUFFIX}")
    ear = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(path) as address:
            await ear.bind(address)
        path.chmod(0o600)
        ear.listen(16)
        looks = trio.CapacityLimiter(LOOKS_MAX)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                try:
                    connection, _ = await ear.accept()
                except OSError as error:
                    if error.errno not in _OUT_OF_ROOM:
                        raise
                    await trio.sleep(REST_S)
                    continue
                nursery.start_soon(_show, connection, view, looks)
    finally:
        ear.close()
        path.unlink(missing_ok=True)


async def _show(connection: trio.socket.SocketType, view: Callable[[], Awaitable[bytes]], looks: trio.CapacityLimiter) -> None:
    with connection, trio.move_on_after(LOOK_S + SEND_S):
        async with looks:
            shown = await view()
        try:
            await trio.SocketStream(connection).send_all(shown)
        except trio.BrokenResourceError:
            return  # whoever looked has gone


async def look(folder: Path) -> list[tuple[str, bytes | str]]:
    """The name of every process that serves a view in `folder`, with the view, or with a text that says why there is none. All are asked
    at once; sockets of dead processes are passed over and removed."""
    seen: dict[Path, bytes | str] = {}
    sockets = _sockets(folder)
    async with trio.open_nursery() as nursery:
        for path in sockets:
            nursery.start_soon(_look_into, path, seen)
    named = [(path.stem.rpartition("."), seen[path]) for path in sockets if path in seen]
    return [(f"{name}, pid {pid}", view) for (name, _, pid), view in named]


async def _look_into(path: Path, seen: dict[Path, bytes | str]) -> None:
    try:
        with trio.fail_after(LOOK_S), _address(path) as address:
            stream = await trio.open_unix_socket(address)
            view = b""
            async with stream:
                async for part in stream:
                    view += part
                    if len(view) > VIEW_BYTES_MAX:
                        break
    except ConnectionRefusedError:
        _remove(path)
    except trio.TooSlowError:
        seen[path] = f"no answer within {LOOK_S:g} s: it is stopped, or busy with one thing for as long"
    except (OSError, trio.BrokenResourceError) as error:
        seen[path] = f"no answer: {error!r}"
    else:
        seen[path] = view or "no answer: it ended while it was asked"


def _make_room(folder: Path, name: str) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.stat()
    if owner.st_uid not in (os.getuid(), 0) or owner.st_mode & 0o022:
        raise PermissionError(f"{folder} belongs to somebody else, or others may write in it; name another folder with --portholes")
    path = folder / name
    path.unlink(missing_ok=True)
    return path


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket's address, however deep its folder lies. Linux; elsewhere the path itself."""
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX or not os.path.isdir("/proc/self/fd"):
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _sockets(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []
