"""A gateway of the version before calls the append as it knows it, while documents are there already."""

from __future__ import annotations

from persistence.bridge import Bridge
from protocol import codec
from protocol.codes import Code
from protocol.events import Said
from tests.persistence.documents.writing import open_document
from tests.persistence.world import world

_EARLIER = """
select code, seq from journal_append(
    array[$1::bigint], array[0::bigint], array[0], array[0::bigint], array[0::bigint], array[1::smallint], array[$2::bigint],
    array[0::bigint], array[$3::bytea], array[0::smallint], array[null::text], '{}'::integer[], '{}'::bigint[])"""


async def test_what_it_appends_is_appended_and_nothing_is_said_in_a_document(bridge: Bridge) -> None:
    async with world(bridge) as w:
        ann = await w.person("ann")
        space, _, channel = await w.community(ann)
        document, _ = await open_document(w, ann, space)
        body = codec.encode(Said("hello"))
        [said] = await w.rows(_EARLIER, ann.user, channel, body)
        assert (said["code"], said["seq"]) == (Code.OK, 1)
        [refused] = await w.rows(_EARLIER, ann.user, document, body)
        assert (refused["code"], refused["seq"]) == (Code.FORBIDDEN, None)
