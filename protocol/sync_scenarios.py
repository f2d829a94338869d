"""What a client does, step by step, as data: the Python client's tests run it now, and a client in another language can.

    steps: put · connect · hears · cut · restart ─▶ client ─▶ uploads · asks · view · cursor · pending · failed

A scenario says what must be seen and sent, and leaves open what a client may decide by itself: the ids of its requests, how it cuts
changes into chunks, and what else it asks for.

Invariant: the same scenarios give the same data, byte for byte.
"""

from __future__ import annotations

from typing import Final

from protocol.codes import Code
from protocol.entities import Entity
from protocol.merge import Outcome, outcome_value
from protocol.vectors import Json

STEPS: Final[dict[str, str]] = {
    "put": "the application changes a record, at a time of the device's clock; the client keeps it durably before anything else",
    "connect": "a socket opens, and the server's Welcome says last_number and epoch",
    "uploads": "the mutations that the client has sent since this was last said, in order, as [number, operation], however it cut them "
    "into chunks",
    "asks": "requests that are among what the client has sent since this was last said, as [name, fields without the id]; later fields may "
    "be anything",
    "asks_no": "there is no request of that name among what the client has sent since `asks` or this was last said",
    "hears": 'frames from the server; {"id_of": [name, fields]} stands for the id of the last such request',
    "cut": "the socket breaks",
    "restart": "the program is killed, and starts again from its store",
    "view": "what the application sees of a record: its fields (null: none), its version, and how many of its changes have no outcome",
    "cursor": "up to where the client has applied and stored a stream: what the next Hello or Follow says",
    "pending": "how many mutations have no outcome",
    "failed": "the mutations that were refused and not yet discarded, as [operation, code], oldest first",
}

T: Final = 1_800_000_000
INBOX, OWN, PROGRESS, ANSWERS, BOARD, LIBRARY = 2, 3, 30, 31, 25, 26
STREAMS: Final = (PROGRESS, ANSWERS, OWN, BOARD, LIBRARY)
COMMUNITY: Final = 20
SPACES: Final[Json] = [
    [10, 3, "", 1, [[OWN, 8, "", 0, 0, True]]],
    [COMMUNITY, 1, "Seven springs", 1, [[BOARD, 11, "", 0, 0, True], [LIBRARY, 12, "", 0, 0, True]]],
    [21, 4, str(COMMUNITY), 1, [[PROGRESS, 9, "", 0, 0, True], [ANSWERS, 10, "", 0, 0, True]]],
]
DONE, REFUSED, FAILED, EVENT, FOLLOWED = 33, 35, 37, 48, 49
OVERVIEW_ANSWER, RECORD_PAGE, CONFLICT_PAGE = 53, 58, 59
CHANGED, SPACE_LEFT = 30, 21
CHANGE: Final = 18


def scenarios() -> list[Json]:
    """All of them. A scenario is a name and its steps; each step is an object of one key, which `STEPS` explains."""
    return [
        {"name": name, "steps": steps}
        for name, steps in (
            ("a change is seen at once, until it is told", _seen_at_once()),
            ("a change that is made offline is sent when there is a socket", _offline()),
            ("what was cut before its answer is sent again, the same", _cut()),
            ("what was decided before the cut is asked for again, and counts once", _decided_before_cut()),
            ("a killed program goes on with the same numbers and bytes", _killed()),
            ("a refused change is shown as failed and keeps no other back", _refused()),
            ("a change says which version its writer saw", _base()),
            ("what lost gives way to what the server has", _superseded()),
            ("what waits for a person gives way, and its conflict is asked for", _review()),
            ("an item older than what one holds is passed over", _older_item()),
            ("a deleted record is gone, and what is written of it again is there", _deleted()),
            ("progress is never shown lower", _progress()),
            ("a snapshot that was cut goes on after the last record that came", _snapshot()),
            ("a stream that forgot one's position is taken as a whole", _reset()),
            ("entities and fields of a newer schema are passed over", _newer()),
            ("after a restore everything goes up before anything comes down", _restored()),
            ("leaving a community takes its records away", _left()),
        )
    ]


def _fields(fields: dict[int, Json]) -> Json:
    return {"map": [[number, value] for number, value in sorted(fields.items())]}


def _put(stream: int, entity: Entity, key: int, fields: dict[int, Json], *, gone: bool = False, at: int = T) -> Json:
    return {"put": {"stream": stream, "entity": int(entity), "key": key, "fields": _fields(fields), "gone": gone, "at": at}}


def _operation(stream: int, entity: Entity, key: int, fields: dict[int, Json], base: int = 0, *, gone: bool = False, at: int = T) -> Json:
    return [CHANGE, stream, int(entity), key, at, _fields(fields), base, gone]


def _view(stream: int, entity: Entity, key: int, fields: dict[int, Json] | None, version: int, pending: int) -> Json:
    seen = None if fields is None else _fields(fields)
    return {"view": {"stream": stream, "entity": int(entity), "key": key, "fields": seen, "version": version, "pending": pending}}


def _connect(last_number: int = 0, epoch: int = 7) -> Json:
    return {"connect": {"last_number": last_number, "epoch": epoch}}


def _done(number: int, outcome: Outcome, n: int) -> Json:
    return [DONE, number, outcome_value(outcome, n)]


def _event(stream: int, seq: int, *items: Json) -> Json:
    return [EVENT, stream, seq, 5, T, [CHANGED, list(items)]]


def _item(entity: Entity | int, key: int, version: int, fields: dict[int, Json], *, gone: bool = False) -> Json:
    return [int(entity), key, version, _fields(fields), gone]


def _settled_in() -> list[Json]:
    """A client that has everything there is, which is nothing."""
    return [
        _connect(),
        {"hears": [[OVERVIEW_ANSWER, {"id_of": ["Overview"]}, 0, SPACES, []], [CONFLICT_PAGE, {"id_of": ["Conflicts"]}, [], False]]},
        {"asks": [["Snapshot", stream] for stream in STREAMS]},
        {"hears": [[RECORD_PAGE, {"id_of": ["Snapshot", stream]}, stream, 0, [], False] for stream in STREAMS]},
        {"asks": [["Follow", stream, 0] for stream in STREAMS]},
        {"hears": [[FOLLOWED, {"id_of": ["Follow", stream]}, stream, 0, True] for stream in STREAMS]},
    ]


def _seen_at_once() -> list[Json]:
    return [
        *_settled_in(),
        _put(PROGRESS, Entity.PROGRESS, 7, {1: 40}),
        _view(PROGRESS, Entity.PROGRESS, 7, {1: 40}, 0, 1),
        {"uploads": [[1, _operation(PROGRESS, Entity.PROGRESS, 7, {1: 40})]]},
        {"hears": [_done(1, Outcome.APPLIED, 1)]},
        _view(PROGRESS, Entity.PROGRESS, 7, {1: 40}, 0, 0),
        {"pending": 0},
        {"hears": [_event(PROGRESS, 1, _item(Entity.PROGRESS, 7, 1, {1: 40}))]},
        _view(PROGRESS, Entity.PROGRESS, 7, {1: 40}, 1, 0),
        {"cursor": [PROGRESS, 1]},
    ]


def _offline() -> list[Json]:
    return [
        _put(PROGRESS, Entity.PROGRESS, 7, {1: 40}),
        _put(OWN, Entity.PROFILE, 1, {1: "I teach", 3: ["sw", "en"]}, at=T + 60),
        _view(OWN, Entity.PROFILE, 1, {1: "I teach", 3: ["sw", "en"]}, 0, 1),
        {"pending": 2},
        _connect(),
        {
            "uploads": [
                [1, _operation(PROGRESS, Entity.PROGRESS, 7, {1: 40})],
                [2, _operation(OWN, Entity.PROFILE, 1, {1: "I teach", 3: ["sw", "en"]}, at=T + 60)],
            ]
        },
    ]


def _cut() -> list[Json]:
    sent = {"uploads": [[1, _operation(PROGRESS, Entity.PROGRESS, 7, {1: 40})]]}
    return [
        *_settled_in(),
        _put(PROGRESS, Entity.PROGRESS, 7, {1: 40}),
        sent,
        {"cut": True},
        _view(PROGRESS, Entity.PROGRESS, 7, {1: 40}, 0, 1),
        _connect(),
        sent,
        {"hears": [_done(1, Outcome.APPLIED, 1)]},
        {"pending": 0},
    ]


def _decided_before_cut() -> list[Json]:
    sent = {"uploads": [[1, _operation(PROGRESS, Entity.PROGRESS, 7, {1: 40})]]}
    return [
        *_settled_in(),
        _put(PROGRESS, Entity.PROGRESS, 7, {1: 40}),
        sent,
        {"cut": True},
        _put(PROGRESS, Entity.PROGRESS, 8, {1: 5}),
        _connect(last_number=1),
        {"uploads": [*sent["uploads"], [2, _operation(PROGRESS, Entity.PROGRESS, 8, {1: 5})]]},
        {"hears": [_done(1, Outcome.APPLIED, 1), _done(2, Outcome.APPLIED, 1)]},
        {"pending": 0},
    ]


def _killed() -> list[Json]:
    first = [1, _operation(OWN, Entity.DRAFT, 77, {3: "hé 😀"})]
    return [
        *_settled_in(),
        _put(OWN, Entity.DRAFT, 77, {3: "hé 😀"}),
        {"uploads": [first]},
        {"cut": True},
        _put(OWN, Entity.DRAFT, 78, {3: "b"}),
        {"restart": True},
        _view(OWN, Entity.DRAFT, 77, {3: "hé 😀"}, 0, 1),
        {"pending": 2},
        _connect(),
        {"uploads": [first, [2, _operation(OWN, Entity.DRAFT, 78, {3: "b"})]]},
    ]


def _refused() -> list[Json]:
    operations = [_operation(OWN, Entity.DRAFT, key, {3: "x"}) for key in (1, 2, 3)]
    return [
        *_settled_in(),
        *(_put(OWN, Entity.DRAFT, key, {3: "x"}) for key in (1, 2, 3)),
        {"uploads": [[number, operation] for number, operation in enumerate(operations, 1)]},
        {"hears": [_done(1, Outcome.APPLIED, 1), [REFUSED, 2, int(Code.FORBIDDEN), "no"], _done(3, Outcome.APPLIED, 1)]},
        {"pending": 0},
        {"failed": [[operations[1], int(Code.FORBIDDEN)]]},
        _view(OWN, Entity.DRAFT, 2, None, 0, 0),
        _view(OWN, Entity.DRAFT, 3, {3: "x"}, 0, 0),
        {"restart": True},
        {"failed": [[operations[1], int(Code.FORBIDDEN)]]},
    ]


def _base() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(OWN, 1, _item(Entity.PROFILE, 1, 3, {1: "a", 4: "UTC"}))]},
        _put(OWN, Entity.PROFILE, 1, {1: "b"}),
        _view(OWN, Entity.PROFILE, 1, {1: "b", 4: "UTC"}, 3, 1),
        {"uploads": [[1, _operation(OWN, Entity.PROFILE, 1, {1: "b"}, 3)]]},
    ]


def _superseded() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(OWN, 1, _item(Entity.PROFILE, 1, 1, {1: "a"}))]},
        _put(OWN, Entity.PROFILE, 1, {1: "mine"}),
        {"uploads": [[1, _operation(OWN, Entity.PROFILE, 1, {1: "mine"}, 1)]]},
        {"hears": [_event(OWN, 2, _item(Entity.PROFILE, 1, 2, {1: "theirs"}))]},
        _view(OWN, Entity.PROFILE, 1, {1: "mine"}, 2, 1),
        {"hears": [_done(1, Outcome.SUPERSEDED, 2)]},
        _view(OWN, Entity.PROFILE, 1, {1: "theirs"}, 2, 0),
        {"failed": []},
    ]


def _review() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(LIBRARY, 1, _item(Entity.CONTENT, 9, 2, {1: "Water", 2: "theirs"}))]},
        _put(LIBRARY, Entity.CONTENT, 9, {2: "mine"}),
        {"uploads": [[1, _operation(LIBRARY, Entity.CONTENT, 9, {2: "mine"}, 2)]]},
        {"asks": []},
        {"hears": [_done(1, Outcome.REVIEW, 55)]},
        _view(LIBRARY, Entity.CONTENT, 9, {1: "Water", 2: "theirs"}, 2, 0),
        {"asks": [["Conflicts"]]},
    ]


def _older_item() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(OWN, 1, _item(Entity.PROFILE, 1, 5, {1: "newer"}))]},
        {"hears": [_event(OWN, 2, _item(Entity.PROFILE, 1, 4, {1: "older"}), _item(Entity.DRAFT, 7, 1, {3: "x"}))]},
        _view(OWN, Entity.PROFILE, 1, {1: "newer"}, 5, 0),
        _view(OWN, Entity.DRAFT, 7, {3: "x"}, 1, 0),
        {"cursor": [OWN, 2]},
    ]


def _deleted() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(OWN, 1, _item(Entity.DRAFT, 7, 1, {3: "x"}))]},
        _put(OWN, Entity.DRAFT, 7, {}, gone=True),
        _view(OWN, Entity.DRAFT, 7, None, 1, 1),
        {"uploads": [[1, _operation(OWN, Entity.DRAFT, 7, {}, 1, gone=True)]]},
        {"hears": [_done(1, Outcome.APPLIED, 2), _event(OWN, 2, _item(Entity.DRAFT, 7, 2, {}, gone=True))]},
        _view(OWN, Entity.DRAFT, 7, None, 2, 0),
        {"hears": [_event(OWN, 3, _item(Entity.DRAFT, 7, 3, {3: "again"}))]},
        _view(OWN, Entity.DRAFT, 7, {3: "again"}, 3, 0),
    ]


def _progress() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(PROGRESS, 1, _item(Entity.PROGRESS, 7, 1, {1: 60}))]},
        _put(PROGRESS, Entity.PROGRESS, 7, {1: 40}),
        _view(PROGRESS, Entity.PROGRESS, 7, {1: 60}, 1, 1),
        _put(PROGRESS, Entity.PROGRESS, 7, {1: 80}),
        _view(PROGRESS, Entity.PROGRESS, 7, {1: 80}, 1, 2),
        {"hears": [_event(PROGRESS, 2, _item(Entity.PROGRESS, 7, 2, {1: 10, 2: 1}))]},
        _view(PROGRESS, Entity.PROGRESS, 7, {1: 10, 2: 1}, 2, 2),
    ]


def _snapshot() -> list[Json]:
    others = [stream for stream in STREAMS if stream != PROGRESS]
    return [
        _connect(),
        {"hears": [[OVERVIEW_ANSWER, {"id_of": ["Overview"]}, 0, SPACES, []]]},
        {"asks": [["Snapshot", PROGRESS, 0, 0]]},
        {"hears": [[RECORD_PAGE, {"id_of": ["Snapshot", stream]}, stream, 0, [], False] for stream in others]},
        {
            "hears": [
                [
                    RECORD_PAGE,
                    {"id_of": ["Snapshot", PROGRESS]},
                    PROGRESS,
                    41,
                    [_item(Entity.PROGRESS, 7, 3, {1: 30}), _item(Entity.PROGRESS, 8, 1, {1: 5})],
                    True,
                ]
            ]
        },
        {"asks": [["Snapshot", PROGRESS, int(Entity.PROGRESS), 8]]},
        {"cut": True},
        {"restart": True},
        _view(PROGRESS, Entity.PROGRESS, 7, {1: 30}, 3, 0),
        _connect(),
        {"asks": [["Snapshot", PROGRESS, int(Entity.PROGRESS), 8]]},
        {
            "hears": [
                [RECORD_PAGE, {"id_of": ["Snapshot", PROGRESS]}, PROGRESS, 44, [_item(Entity.PROGRESS, 9, 1, {1: 100})], False],
            ]
        },
        {"asks": [["Follow", PROGRESS, 41]]},
        _view(PROGRESS, Entity.PROGRESS, 9, {1: 100}, 1, 0),
        {"cursor": [PROGRESS, 41]},
    ]


def _reset() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(OWN, 1, _item(Entity.DRAFT, 7, 1, {3: "x"}))]},
        {"cut": True},
        _connect(),
        {"hears": [[FAILED, 0, int(Code.RESET), "", 0, OWN]]},
        {"asks": [["Snapshot", OWN, 0, 0]]},
        {"hears": [[RECORD_PAGE, {"id_of": ["Snapshot", OWN]}, OWN, 90, [_item(Entity.DRAFT, 8, 4, {3: "y"})], False]]},
        _view(OWN, Entity.DRAFT, 7, None, 0, 0),
        _view(OWN, Entity.DRAFT, 8, {3: "y"}, 4, 0),
        {"asks": [["Follow", OWN, 90]]},
    ]


def _newer() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(OWN, 1, _item(200, 5, 1, {1: "what?"}), _item(Entity.PROFILE, 1, 1, {1: "a"}))]},
        _view(OWN, Entity.PROFILE, 1, {1: "a"}, 1, 0),
        {"cursor": [OWN, 1]},
        {"hears": [_event(OWN, 2)]},
        {"cursor": [OWN, 2]},
        {"hears": [[EVENT, OWN, 3, 5, T, [120, "a kind of event from the future"]]]},
        {"cursor": [OWN, 3]},
    ]


def _restored() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [_event(OWN, 1, _item(Entity.PROFILE, 1, 3, {1: "a"}))]},
        _put(OWN, Entity.DRAFT, 7, {3: "kept"}),
        {"uploads": [[1, _operation(OWN, Entity.DRAFT, 7, {3: "kept"})]]},
        {"hears": [_done(1, Outcome.APPLIED, 1), _event(OWN, 2, _item(Entity.DRAFT, 7, 1, {3: "kept"}))]},
        {"cut": True},
        _put(OWN, Entity.PROFILE, 1, {1: "b"}),
        {"asks": []},
        _connect(last_number=0, epoch=8),
        {
            "uploads": [
                [1, _operation(OWN, Entity.DRAFT, 7, {3: "kept"})],
                [2, _operation(OWN, Entity.PROFILE, 1, {1: "b"}, 0)],
            ]
        },
        {"asks_no": "Snapshot"},
        {"hears": [[OVERVIEW_ANSWER, {"id_of": ["Overview"]}, 0, SPACES, []]]},
        {"asks_no": "Snapshot"},
        {"hears": [_done(1, Outcome.APPLIED, 1), _done(2, Outcome.APPLIED, 1)]},
        {"asks": [["Snapshot", OWN, 0, 0]]},
    ]


def _left() -> list[Json]:
    return [
        *_settled_in(),
        {"hears": [[FOLLOWED, {"id_of": ["Follow", INBOX]}, INBOX, 0, True]]},
        {
            "hears": [
                _event(PROGRESS, 1, _item(Entity.PROGRESS, 7, 1, {1: 60})),
                _event(BOARD, 1, _item(Entity.ACTION, 9, 1, {1: "Plant trees"})),
            ]
        },
        {"hears": [_event(OWN, 1, _item(Entity.DRAFT, 7, 1, {3: "x"}))]},
        {"asks": []},
        {"hears": [[EVENT, INBOX, 1, 0, T, [SPACE_LEFT, COMMUNITY]]]},
        {"asks": [["Overview"]]},
        {"hears": [[OVERVIEW_ANSWER, {"id_of": ["Overview"]}, 1, SPACES[:1], []]]},
        _view(PROGRESS, Entity.PROGRESS, 7, None, 0, 0),
        _view(BOARD, Entity.ACTION, 9, None, 0, 0),
        _view(OWN, Entity.DRAFT, 7, {3: "x"}, 1, 0),
    ]
