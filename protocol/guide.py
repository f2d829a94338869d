"""The words of the protocol reference: what no table can say. `protocol.reference` puts the tables between them.

Figures in braces are filled in from the code that enforces them. Every rule here has a test on one side of the wire or the other.
"""

from __future__ import annotations

from typing import Final

INTRODUCTION: Final = """\
This page is everything that somebody needs to write a client, in any language, without reading the server. It is generated from
the structs that the server decodes with (`make generate`), as are the test vectors in `tests/vectors/frames.json` and the schema
in `docs/protocol.json`; a test fails when they differ. `educonnect protocol` prints it.

The protocol's major version is **{version}**; a server speaks versions {version_min} to {version} and agrees on one per session.

One socket per device carries everything: commands and their answers, what happened in the streams one follows, and what is only
interesting now (typing, presence). *Live delivery, reconnecting and catching up after days are the same thing*: "what came in
stream S after position n".
"""

TRANSPORT: Final = """\
* A WebSocket (RFC 6455) at `/socket` of the server's address: `wss://learn.example/socket`, or `ws://` without TLS in
  development.
* The subprotocol `educonnect.v1` may be offered; a server that knows it picks it. Browsers send an `Origin`, which must be one
  the server allows; other programs send none.
* **Binary messages only.** A text message ends the socket with WebSocket's own code 1003, one that is too large with 1009. No
  extension is negotiated: `permessage-deflate` is never agreed to, so nothing is compressed at this level.
* A message may be fragmented and its fragments may be interleaved with control frames, as RFC 6455 says. Very many very small
  fragments end the socket.
* The server sends WebSocket pings; every WebSocket library answers them by itself. See "Heartbeat".
* When the server ends a socket it sends a `Goodbye` frame with the code and then a WebSocket close frame with the same number, so
  that clients that see only one of the two (browsers see the close code) know the reason.
"""

OVER_HTTP: Final = """\
Where sockets are blocked the same messages go over HTTP, for the same session, with the same codes. Try it after two sockets in a row
that brought nothing, while `GET /health` answers; try a socket again each minute, and leave HTTP when one opens.

    POST   /api/v1/link                       the first message (Hello, Resume)   200   the link's name and key, and what there is to say
    POST   /api/v1/link/NAME?n=2&after=7      the second, third … message         204   taken now, or before
    GET    /api/v1/link/NAME?after=7                                              200   what comes behind message 7
    DELETE /api/v1/link/NAME                                                      204   the link is over

* **Bodies.** A request's body is one message, as on the socket, of type `application/msgpack`. An answer's is parts: `number` and
  `length` as LEB128 varints, and so many bytes of a message. Number 0 is about the link itself: no bytes, a sign of life; `o`, the name,
  a space and the key, first of all; `c`, two bytes of close code (big endian) and a reason, when it is over. Pass over words that you do
  not know.
* **The key** goes with each further request: `Authorization: Link KEY`. It is as secret as a token. The name is not.
* **Numbers.** Messages are numbered from 1, each way; the one that opens is number 1. A message that was not answered is sent again with
  its number, and taken once; 409 says that one before it is missing. `after` says up to where everything came: until then the server
  keeps it and gives it again, so pass over numbers you have. `n=0` with an empty body says `after` and nothing else.
* **Waiting.** `GET` answers when there is something, after 25 s with nothing at the latest; ask again at once. With `Accept:
  application/vnd.educonnect.stream` the answer goes on for a heartbeat, with a sign of life at once and each 15 s: where none comes
  within some seconds, something in between holds answers back, and polls are the way. The latest request for a link is the one that is
  answered; one before it that still waits ends, empty.
* **Ends.** An answer that is lost ends nothing: ask again. Who asks for nothing within the heartbeat and 20 s more is `DEAD`. 404 and 421
  (a link of another gateway) mean: open another link, and go on by your cursors. 429 and 503 mean: the same again, later.
"""

TOKENS: Final = """\
A `Hello` carries an access token, which comes over HTTP, as JSON, at the same address:

    POST /api/v1/auth/register  {"name", "password", "display_name"?, "device_name"?}   201   a new account
    POST /api/v1/auth/login     {"name", "password", "device"?, "device_name"?}         200   a session
    POST /api/v1/auth/mfa       {"challenge", "code" | "recovery_code" | "passkey"}     200   a session
    POST /api/v1/auth/refresh   {"refresh_token"}                                       200   the next pair of tokens
    POST /api/v1/auth/logout    with Authorization: Bearer ACCESS-TOKEN                 204   the session is over
    POST /api/v1/devices        {"name"?}, with Authorization: Bearer ACCESS-TOKEN      201   a session of a new device

The answers carry `user`, `device`, `session`, `inbox`, `access_token`, `expires_at`, `refresh_token` and `refresh_expires_at`. An
access token lives for minutes and names one account on one device: **the `device` of `Hello` is the one of the login answer**.
Store refresh token, device and inbox durably; give the stored `device` when logging in again, so that pending mutations keep
their numbers. A refresh token is used once: its answer brings the next. Errors are `application/problem+json` with a `detail` for
people, and `Retry-After` where waiting helps. Refresh ahead of the expiry, and put the new token on the live socket with
`Refresh`; a socket whose token runs out ends with `TOKEN_EXPIRED`.

Where an account has a second factor, the answer to `login` is `{"mfa": {"challenge", "methods", "expires_at", "passkey"?}}` and brings
no token: show which of `methods` there are (`totp`, `passkey`, `recovery`), and send what the person gives to `/auth/mfa`. A passkey
answers the options in `passkey`; `POST /api/v1/auth/passkeys/challenge` puts the same question to somebody who has not said who
they are. `STEP_UP` (403) means that this person must prove themselves anew: `POST /api/v1/auth/step-up` with `password`, or with a
factor where there is one, and then what was refused is asked for again.

One's own account, with `Authorization: Bearer ACCESS-TOKEN`, and without it where somebody cannot log in:

    GET    /api/v1/account                                                      200   name, proven and pending address, language
    POST   /api/v1/account/password      {"old_password", "new_password"}       204   every other session ends
    PUT    /api/v1/account/email         {"email"}, after a fresh proof         202   a link is mailed there
    DELETE /api/v1/account/email         after a fresh proof                    204   no address any more
    PUT    /api/v1/account/language      {"language"}                           204   of mails: `de`, `pt-BR`
    GET    /api/v1/account/devices                                              200   names, last use, living sessions
    PATCH  /api/v1/account/devices/ID    {"name"}                               204   the owner's own word for it
    GET    /api/v1/auth/sessions                                                200   where one is logged in
    DELETE /api/v1/auth/sessions/ID                                             204   it and its sockets end
    POST   /api/v1/auth/logout-everywhere                                       204   all of them
    POST   /api/v1/auth/password/forgot  {"account"}: a name or an address      202   whoever is named
    POST   /api/v1/auth/password/reset   {"code", "password"}                   204   every session ends, none is opened
    POST   /api/v1/auth/email/verify     {"code"}                               204   the address is proven

A password is refused with 400 and a sentence where it is too easy to guess. `register` takes an `email` and a `language`, too. The `code`
of a mail is what stands in its link behind `#password=` or `#address=`; it is good once.
"""

FRAMING: Final = """\
    message = frame | [frame, frame, ...]       one binary WebSocket message
    frame   = [tag, field, field, ...]          one msgpack array

* A frame is a msgpack array: first its tag, a small integer, then its fields in the order of the tables below.
* A message is one frame, or an array of 1 to {batch_frames_max} frames. They are told apart by the first element: an integer (a
  tag) or an array (a frame). Both sides send whatever is ready together; the order inside a message is the order of meaning.
* **Trailing fields that have their default may be left out**, by both sides. A field in the middle may not.
* What msgpack types occur: integers, UTF-8 strings (`str`), booleans, arrays; maps only from field number to value, as the fields
  of a record; `bin` only where a field's type says bytes. No floats, no nil, no extension types. Integers and lengths may be
  written in any of msgpack's widths; the server writes the shortest.
* Enumerations travel as their numbers. Lengths of text count Unicode code points: not bytes, and not UTF-16 units as JavaScript's
  `length` does.
* Identifiers and positions are below 2^53, so that a double holds them.
* A command's array must end with its last known field: the server refuses what it does not know (`INVALID`). A frame from the
  server may be longer than a client knows (see "Growing").
* A message from a client has at most {message_bytes_max} bytes, or fewer if `Welcome.limits` says so. Larger ones end the socket.
"""

LIFE: Final = """\
    client                                        server
      │── WebSocket handshake ───────────────────────▶│   10 seconds until Hello is complete
      │── Hello(version, token, device, cursors) ────▶│   may be followed at once by other frames in the same message
      │◀─ Welcome(session, last_number, epoch, …) ────│   or Goodbye: UNAUTHENTICATED, VERSION, OVERLOAD …
      │◀─ Event … Followed(id 0, stream, upto, live) ─│   for every cursor, in any order
      │── Mutate(n, operation) ──────────────────────▶│
      │◀─ Done(n, value) ─────────────────────────────│   committed
      │◀─ Event(stream, seq, …) ──────────────────────│   for everyone who follows, the author's own devices too
      │── Bye ───────────────────────────────────────▶│   or the socket just breaks; nothing durable depends on a clean end

* `Hello` comes first and once. `Hello.version` is the highest major version that the client speaks, `Welcome.version` the one
  that both use from then on.
* A client need not wait for `Welcome`: a bounded number of frames (at least 64) may follow `Hello` at once, and are handled when
  the session is open. That saves a round trip, which on a 2G link is most of a second.
* A frame that is not legal in the session's state ends the socket with `ILLEGAL`; the table below says what is. Bytes that are no
  frame end it with `BAD_FRAME`. A frame that is well-formed but has a bad field, or is unknown, is answered by its `id` or
  `number`, and costs nothing else; without one it ends the socket.
* Frames of one direction keep their order. An answer may come before or after the event that belongs to it.
* **One socket per device.** A second one takes over: the older is closed with `TAKEN_OVER`, on whichever server it is, and must
  not reconnect by itself, or two programs with one identity would throw each other out for ever. One exception, twice in a row at
  most: told so within 45 s of a `Welcome` that followed a broken connection, a client may come back after a wait. The Hello of the
  connection that broke may have been carried out last.
* Requests carry an `id` of the client's choosing, unique among its unanswered ones; the answer carries it back. Any request may
  be answered by `Failed` with a code instead.
* `Draining` announces that this server goes away: come back after `delay_ms`, which differs for each client so that not all come
  at once.
* `Goodbye` is the last frame of a socket.
* A socket may begin with `Resume` in place of `Hello`: see "Tickets".
"""

STREAMS: Final = """\
Every durable fact belongs to exactly one stream: an inbox, a community, a channel, a conversation. Its events are numbered from 1
without gaps, in the order in which they were committed, the same for everybody. A stream has one audience: whoever may read it
may read all of it.

A client keeps one number per stream, its **cursor**: the last `seq` that it has applied *and stored*. For each `Event`:

| the event's `seq` | what to do |
| --- | --- |
| cursor + 1 | apply it, store it, and move the cursor |
| up to the cursor | drop it: it came twice |
| above cursor + 1 | do not apply it; `Follow` the stream again after the cursor |

That is the whole of recovery. What starts it again:

* **Connecting**: send the cursors in `Hello` (at most {cursors_max}; `Follow` the rest). Each is answered by the missing events
  and a `Followed` with id 0, or by a `Failed` with id 0 that names the stream. Always include the inbox; start it at 0.
* **`Followed` with `live` false**: a page came, and there is more. Send `Follow` after the new cursor. With `live` true the
  client has caught up to `upto`, and what comes follows by itself.
* **`Lagged`**: the socket was too slow, events were dropped, and the stream is not followed any more. `Follow` it after the
  cursor.
* **`Unfollowed`**: the account may no longer read this stream, for example. Keep or delete what is stored, as the code says.

`Overview` is the state to begin with: spaces, streams, heads and read markers in one snapshot, with `inbox_upto`, the inbox's
position in it. Apply the inbox's events above `inbox_upto` to that state (`SpaceEntered`, `SpaceLeft`, `ReadUpTo` …), none below.

A **message** is named by its stream and the `seq` of the event that brought it. Its present text is the fold of `Said` or
`Posted` and the later `Edited` and `Deleted` of that `target`; reactions are the fold of `Reacted`. The server also rewrites the
message's own event (to `Posted` with `edited`, or to `Redacted`), so that a reader who comes later, or jumps into the middle with
`History`, sees the present text: a fold must therefore accept an `Edited` or `Deleted` whose effect it already has, or whose
target it never saw.
"""

MUTATIONS: Final = """\
A mutation has an effect that lasts, and it has it exactly once, however often it is sent.

* Each device numbers its mutations from 1 without gaps. The number and the operation's bytes are **frozen and stored before the
  first sending**; a retry sends the same bytes under the same number. Give numbers only after `Welcome`, upwards from its
  `last_number`: what was numbered above that and never decided is numbered on from there, in the same order and without a gap.
* `Done` (or `DoneRun`, for several in a row) means: committed in the database. There is no earlier acknowledgement. `value` is
  what the operation's description says.
* `Refused` means: it has no effect. The table of codes says whether the number is consumed. With `retry` **no** it is: report it
  to the person, and go on with the next number; nothing behind it is blocked. With **same** or **later** it is not: send the same
  number again, at once or after `wait_ms`.
* Send no number that is `Welcome.limits.in_flight_max` or more above the lowest unanswered one, however many between them have been
  answered; the others wait in the client's queue. The outcome of the lowest one could be gone otherwise when it is asked for again.
* After a reconnect send everything unanswered again, in order. Numbers up to `Welcome.last_number` have been decided: they are
  answered with their stored outcome. The server keeps a bounded number of outcomes per device, never fewer than may be in flight;
  older ones are `TOO_OLD`.
* `GAP`: a number was skipped, usually because the one before it was refused as `BUSY`. Send again from the lowest unanswered on.
* `NUMBER_REUSED`: the server knows this number with other bytes. The client's store was copied to a second device, or restored
  from an old backup: see "Copies" under "Records".
"""

RECORDS: Final = """\
Some streams hold **records** and nothing else: progress, answers, a profile, drafts, a community's actions and content.
[Entities](entities.md) has all of them, with their fields and with the rule for two changes that did not know of each other.

* **Reading.** `Snapshot` brings a stream's records page by page, each below `bytes_max`. Keep the `head` of the first page, apply
  every page as it comes, and after the last one (`more` is false) `Follow` the stream from that head. What was written meanwhile
  comes twice at most: **an item whose version is not above the one you hold is passed over.** A snapshot that was cut goes on after
  the last record that came. `Changed` tells only fields that were written; an item that is `gone` takes the record away. A stream
  may forget what is older than some months: a `Follow` is then `Failed` with `RESET`, and a snapshot begins.
* **Writing.** A `Change` names the fields that it writes, the version that its writer saw (`base`, 0: none) and when it was, by the
  device's clock. It is a mutation like any other: numbered, frozen, sent until it is answered. Show it at once, over what the server
  has told; show what the server has once the outcome is there and the version that it names has come. The value of `Done` says what
  became of it. With `REVIEW` a person decides, and with `SUPERSEDED` another value stays; nothing that anybody entered is thrown away.
* **Few bytes.** A `Chunk` carries up to {chunk_changes_max} changes in the fewest bytes: close it at {chunk_bytes_goal} bytes, and
  leave no more than two unanswered, so that a cut costs no more than those. What counts is each change's own bytes, as a `Mutate`
  would carry them with every field written: a retry may be cut into other chunks. One bad change in a chunk is refused by its number.
* **Conflicts.** `Conflicts` lists them with both sides; `Claim`, `Resolve` and `Reopen` are mutations. None expires. `ConflictNoted` in
  the inbox says that one changed. `Versions` lists earlier and lost values of a record: to bring one back, write it.
* **What is refused** is kept, on the device with its code and on the server: `Unapplied` lists it, `Release` applies it after all,
  `Discard` puts it away.
* **Schemas.** `Hello.schema` names the table of entities that the client was built for; it is understood, and answered, in that.
* **Copies.** When `Welcome.last_number` is above every number that a store has given (and not in a new epoch), or a mutation is
  `NUMBER_REUSED`, the store is a copy of another one. `POST /api/v1/devices` with the access token makes a new device of the same
  account; on its first socket, before any other mutation, `Inherit` ends the old one and tells what became of what was sent as it. The
  others had no effect, and are numbered anew.
* **Without a socket.** `POST /api/v1/sync` takes a message that begins with `Sync` and goes on with chunks, mutations and requests;
  the answer is a message that begins with `Welcome`. A `Follow` brings what fits, and `Followed` is never live.
"""

PEOPLE: Final = """\
* **Blocks.** `Block` and `Unblock` are mutations, and may be written offline. While one of two people blocks the other, neither writes in a
  conversation of the two, opens one with the other (nor does anybody for them), mentions or invites the other: `BLOCKED`, or it does not
  arrive. Both are told the same words, and neither is told who blocks. `Spaces.blocked` and `PersonBlocked` in the inbox keep all of one's
  devices in step; hide what those people say where you show it. What both read in communities and larger conversations stays.
* **Reports.** `ReportMessage` and `ReportPerson` go to the staff of the community, or to the platform's reviewers where there is none or
  where it is about staff. `Reports` lists one's own, or those that one may decide; `DecideReport` decides all that are about the same.
  Those who decide follow their review stream (`REVIEW`): `Reported`, `ReportDecided`. Nothing ever says who reported, and what was
  reported is shown as it was although its author took it back. Author and reporter are told by a notice.
* **Moderation.** What is said may be taken back a moment later: `Deleted` by author 0, then `TakenBack` with why; show both kindly. Where
  a community checks first (`ModerationSet`), the outcome of `Say`, `Post` and `Edit` is 0 until it was judged: show it as waiting; it comes
  as a message of its author's, with a number, or a notice says why not. `HeldItems` lists what is held of oneself, `Appeal` has another
  person look at it. Staff follow `HeldForReview` and `HeldDecided` in their review stream and decide by `DecideHeld` and `DecideAppeal`.
* **Slow mode.** `Spaces.slow` and `SlowModeSet` say how many seconds lie at least between two messages of one learner in a channel.
  Do not let people send before; a message that comes too soon is refused with `SLOWED` and `wait_ms`, and consumed its number.
* **How much one account may ask for** of some things (searches, pages, reports, invitations, conversations, communities, reactions) is
  counted over all its devices. A request beyond it is `Failed` with `RATE`, a mutation `Refused` with `SLOWED`; both with `wait_ms`. A new
  mutation, after that time, asks again.
"""

EPOCH: Final = """\
`Welcome.epoch` names one history of the database. It changes when the database was restored from a backup or failed over with a
loss. When it differs from the epoch that the client stored with its cursors, then the numbers of that history mean nothing any
more: drop cursors and what was read, start again from `Overview`, and send again those mutations that were acknowledged under the
old epoch with numbers above `Welcome.last_number` and are still kept, changes of records with base 0. Everything goes up before the
first `Snapshot` is asked for, or it would show a state without what is on its way. Send the stored epoch in `Hello` (0 for none): where
it is over, mutations that came before `Welcome` went are refused with `GAP`, unconsumed. Whoever does not wait for `Welcome` sends them
in the message of `Hello`: what comes later is taken for an answer to `Welcome`.
"""

HEARTBEAT: Final = """\
* `Welcome.heartbeat_s` is how long either side may be silent. After that much silence the server sends a WebSocket ping, and when
  nothing comes back it ends the socket (`DEAD`). Any byte counts as life.
* A mobile link dies without a word, and browsers do not show pings to programs. So a client that heard nothing for `heartbeat_s`
  sends `Ping`, and takes the link for dead if no `Pong` comes within some seconds: it closes the socket and reconnects.
* `Hello.heartbeat_s` asks for another interval: a longer one saves a phone's radio. The server has the last word.
* `Ping.clock_ms` and `Pong.server_ms` with the round trip give the clock's skew.
"""

FLOW: Final = """\
* A client reads always. What it does not take in time is queued up to a bound in bytes; beyond it first ephemeral frames are
  dropped, then streams (`Lagged`), then the socket ends with `SLOW`. Slow readers never delay others.
* Commands above the server's rate are refused with `RATE` and `wait_ms`; a client that goes on is ended with `FLOOD`,
  and refused until it has waited as it was told.
* Ephemeral commands (`Typing`) are dropped under load without an answer.
"""

RECONNECT: Final = """\
The code of `Goodbye`, or of the WebSocket close frame, says what to do (column *then* of the table): **no** stops, **refresh**
gets a new access token first, **now** and **wait** come back. A socket that breaks without a code, or with one of WebSocket's own
(1000 to 1015), is **wait**.

Wait a random time between 0 and `min(cap, base · 2^attempt)` (full jitter; 0.5 s and 8 s are good values for base and cap), but
never less than the `wait_ms` or `delay_ms` that the server gave. Begin again at attempt 0 only after a `Welcome`, not after a
mere handshake. When the system says that the network is back, try at once.
"""

TICKETS: Final = """\
    client                                        server
      │── Resume(ticket, left_ms, cursors, …) ───────▶│   in place of Hello; may be followed at once, like it
      │◀─ Resumed(last_number, ahead_ms, …, rest) ────│   every cursor is live, but for those in rest
      │◀─ Event … Followed(id 0, stream, upto, live) ─│   for each of those
  or  │◀─ Failed(id 0, TICKET) ───────────────────────│   say Hello, on this socket

A token takes 320 bytes, and a signature to check; a ticket takes thirty, and stands for it while it is good. With five cursors and
nothing missed a reconnect is two messages of less than 100 bytes together.

* **Having one.** Send `TakeTicket` with or after `Hello`, and again after each `Refresh`. `Ticket` brings it. Store it with the `Welcome`
  of its session, whose limits, inbox, epoch and identifiers hold on when it is taken; it is as secret as a token. A server that
  answers `Failed` with `UNKNOWN` is older than tickets: never send it `Resume`.
* **Showing it.** Only for the device, and with cursors of the epoch, that it was given in, and some seconds before `expires`. The
  cursors are pairs in one array: each stream as the difference to the one before it, then the position: (300, 41), (302, 7) is
  `[300, 41, 2, 7]`. A cursor whose stream has missed nothing is live when `Resumed` is there: as if `Followed` had come for it. The
  places that stand in `rest` are answered as by `Hello`. `Resumed` comes before everything else.
* **When it is refused.** `Failed` with id 0 and `TICKET` as the first answer: the ticket is forged, or its time or its key, the database's
  epoch or the server's limits are others. Drop it and send `Hello` on the same socket. Everything that was sent behind `Resume`
  is passed over then: send it again after `Welcome`. A socket takes one ticket; a `BAD_FRAME` in answer to it means a server that is older
  than tickets: begin the next socket with `Hello`.
* **What it does not do.** It prolongs nothing: it expires when its token does, and a resumed socket ends when the token's would have
  (`TOKEN_EXPIRED`), unless a newer token is put on it with `Refresh`. It brings back no session that has ended (`REVOKED`), takes over
  the device like any other socket, and opens nothing over HTTP.
"""

GROWING: Final = """\
Within one major version:

* **The server may add fields at the end of a frame, a record or an event body.** A client ignores elements beyond those it knows.
* **The server may add frames and event bodies with new tags.** A client passes over a frame it does not know. An `Event` whose
  body it does not know still counts: it moves the cursor.
* **A client may be newer than the server.** A command or operation that the server does not know is refused with `UNKNOWN`, and
  the socket stays open (new commands always begin with an `id`, so that they can be answered); a field that it does not know is
  refused with `INVALID`. So a client uses what is new only after trying, or when a server has told that it knows it.
* Enumerations may grow. Treat an unknown kind of stream or space as one to be left alone. Treat an unknown code below 4000 as
  final for that command, and one from 4000 on as "reconnect after a wait".
* Tags and numbers are never given a new meaning. Fields never move, and never change their type.

A change that breaks one of these rules is a new major version, and a server speaks the old one beside it for a while (`VERSION`
says: update).
"""

WRITING: Final = """\
1. Write a msgpack reader and writer for integers, strings, booleans and arrays (150 lines), or take a library. Make the types
   from `docs/protocol.json`.
2. Run `tests/vectors/frames.json`: every `valid` entry must decode to `fields` and encode to bytes that decode to the same; what
   is listed under `newer` must decode too. `invalid` shows what a server refuses, and with which code. For records run
   `tests/vectors/sync.json` too: its scenarios say step by step what a client sends, keeps and shows.
3. Log in over HTTP, open the socket, send `Hello` with the inbox at cursor 0, and wait for `Welcome`.
4. Ask for `Overview`, follow the streams that are shown, and apply events by the three-line rule of "Streams and cursors".
5. Put mutations into a durable queue: number, bytes, state. Send from it, no number `in_flight_max` above the lowest unanswered
   one; remove what is answered for good.
6. Add the heartbeat and the reconnect rule, and then tickets. Now cut the connection at every point you can think of: nothing should
   need another line of code.

A client is right when it survives these:

| what happens | what must hold |
| --- | --- |
| the connection is cut after `Mutate` and before `Done` | the message appears once |
| the same event arrives twice | it shows once |
| an event is missing | nothing after it shows before it |
| `Refused` in the middle of the queue | the ones behind it are delivered |
| the device sleeps for a week | the cursors bring everything, page by page |
| an unknown frame or body arrives | it is passed over, and the cursor moves |
| the server refuses the ticket | the token is shown on the same socket; nothing is lost or doubled |
| a second copy of the program starts | the first one ends and stays away |
"""

PERMISSIONS = """
Whether something is allowed is decided where it takes effect, in the transaction that does it; what a client remembers is only for what it
shows. Two things are asked. The **base role** that a member has in a space says which streams they read and write, by the masks of
the streams, and gives the permissions below. **Custom roles**, which a community makes for itself (`MakeRole`), add permissions to it; they
never take any away, and open no stream. Nobody gives more than they have.

Who is no member of a space is told `NOT_FOUND`, as if there were no such space; a member who lacks the permission, `FORBIDDEN`. What is
held on the platform is the same for everybody but for the platform's own staff.
"""
