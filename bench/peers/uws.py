"""A plain server on the uWebSockets core: rooms are its topics, fan-out its `publish`, all in C++; Python takes what comes in.

    PYTHONPATH=… python uws.py

It speaks the plain dialect of bench/peer_plain.py, knows nobody, checks nothing and stores nothing. One process and one loop, as
uWebSockets is made. Prints its port when it listens, and ends with its standard input.
"""

import os
import threading
from typing import Any

from socketify import App, AppListenOptions, OpCode


class Place:
    """What a socket said of itself."""

    __slots__ = ("notice", "topic")


app = App()


def open_place(response: Any, request: Any, context: Any) -> None:
    response.upgrade(request.get_header("sec-websocket-key"), "", "", context, Place())


def take(socket: Any, message: str, _opcode: Any) -> None:
    kind = message[0]
    if kind == "T":
        place = socket.get_user_data()
        app.publish(place.topic, place.notice, OpCode.TEXT)
    elif kind == "I":
        socket.send(message, OpCode.TEXT)
    elif kind == "J":
        room, user = message[1:].split(" ")
        place = socket.get_user_data()
        place.topic, place.notice = room, f"T{room} {user}"
        socket.subscribe(room)
        socket.send("R", OpCode.TEXT)


def end_with_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


app.ws("/*", {"compression": 0, "max_payload_length": 4096, "idle_timeout": 0, "upgrade": open_place, "message": take})
app.listen(AppListenOptions(port=0, host="127.0.0.1"), lambda config: print(config.port, flush=True))
threading.Thread(target=end_with_input, daemon=True).start()
app.run()
