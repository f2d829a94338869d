"""A client in forty lines, of `websockets` and `msgpack` alone: what docs/protocol.md says, and nothing of this repository.

python examples/minimal_client.py http://127.0.0.1:8000 amina a-boat-on-the-lake "hello from a script"

It says the words in the first channel that it may write to, and prints what is there and what comes, until Ctrl-C. What a real client
has beyond this is in the chapter "Writing a client": stored cursors, numbered retries, reconnecting, a heartbeat of its own.
"""

import json
import sys
import time
from urllib.request import Request, urlopen

import msgpack
from websockets.sync.client import connect

url, name, password, text = sys.argv[1:]
number, page = 0, [0]
body = json.dumps({"name": name, "password": password}).encode()
login = json.load(urlopen(Request(f"{url}/api/v1/auth/login", body, {"content-type": "application/json"})))
with connect(url.replace("http", "ws", 1) + "/socket") as socket:
    hello = [1, 1, login["access_token"], login["device"]]  # version 1, no cursors yet
    socket.send(msgpack.packb([hello, [9, 1]]))  # two frames in one message: Hello, Overview
    for message in socket:
        frames = msgpack.unpackb(message)
        for frame in [frames] if isinstance(frames[0], int) else frames:
            match frame:
                case [32, _version, _session, _user, _inbox, last_number, *_]:  # Welcome
                    number = last_number + 1  # of this device's next mutation
                case [53, _id, _inbox_upto, spaces, *_]:  # Spaces
                    channel = next(stream[0] for space in spaces for stream in space[4] if stream[1] == 3 and stream[5])
                    page = [7, 2, channel, 0]
                    socket.send(msgpack.packb([page, [6, number, [1, channel, text]]]))  # Follow, Mutate(Say)
                case [48, _stream, seq, author, _at, [1 | 6, said, *_], *_]:  # Event: Said, Posted
                    print(f"[{seq}] user {author}: {said}", flush=True)
                case [49, _id, stream, upto, False, *_]:  # Followed, and there is more: the next page
                    page = [7, 3, stream, upto]
                    socket.send(msgpack.packb(page))
                case [37, 2 | 3, _code, _detail, wait_ms, *_] if wait_ms:  # Failed, for now: a long history has more pages than the rate
                    time.sleep(wait_ms / 1000)
                    socket.send(msgpack.packb(page))
                case [33, _number, value, *_]:  # Done: committed
                    print(f"committed as message {value}", flush=True)
                case [35 | 37 | 40, *why]:  # Refused, Failed, Goodbye: codes are in docs/protocol.md
                    print("the server says no:", why, file=sys.stderr)
