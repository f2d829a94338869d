"""A look into a running process: each serves the drawing of its tree, as it is at that moment, on a unix socket in a folder.

    educonnect tree --live ─▶ every socket in the folder ─▶ one drawing each

Only whoever may enter the folder may look, and looking changes nothing: not even where the process has no descriptor left for whoever
looks, which is when people do.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

DRAWING_BYTES_MAX: Final = 1 << 20
LOOK_S: Final = 3.0
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


async def serve_drawing(
    folder: Path, name: str, draw: Callable[[], str], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answers every connection with `draw()`, until cancelled."""
    path = _make_room(folder, f"{name}.{os.getpid()}{_SUFFIX}")
    ear = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(path) as address:
            await ear.bind(address)
        path.chmod(0o600)
        ear.listen(16)
        task_status.started()
        while True:
            try:
                connection, _ = await ear.accept()
            except OSError as error:
                if error.errno not in _OUT_OF_ROOM:
                    raise
                await trio.sleep(REST_S)
                continue
            with connection, trio.move_on_after(SEND_S):
                try:
                    await trio.SocketStream(connection).send_all(draw().encode())
                except trio.BrokenResourceError:
                    continue
    finally:
        ear.close()
        path.unlink(missing_ok=True)


async def look(folder: Path) -> list[tuple[str, str]]:
    """The name and drawing of every process that serves one in `folder`; sockets of dead processes are passed over and removed."""
    drawings = []
    for path in _sockets(folder):
        try:
            with trio.fail_after(LOOK_S), _address(path) as address:
                stream = await trio.open_unix_socket(address)
                text = b""
                async with stream:
                    async for part in stream:
                        text += part
                        if len(text) > DRAWING_BYTES_MAX:
                            break
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            continue
        except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
            text = f"no answer: {error!r}".encode()
        name, _, pid = path.stem.rpartition(".")
        drawings.append((f"{name}, pid {pid}", text.decode(errors="replace").rstrip()))
    return drawings


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


def _sockets(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{_SUFFIX}")) if folder.is_dir() else []
