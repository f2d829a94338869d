/* The load generator: thousands of sockets in one process, which cost less than the servers they load.
 *
 *     plan (file) ─▶ members ─connect─▶ ready ─▶ run ─▶ one line of JSON per command
 *     stdin: connect N │ say N W P │ typing N W P │ asks N W │ posts N W │ rate PER_S S │ bytes │ quit
 *
 * It speaks four dialects over plain WebSocket: this project's protocol; Socket.IO 4 (EIO=4, websocket transport alone); that of
 * nats-server's clients; and a plain one of single letters, for servers that have none of their own (bench/peer_plain.py).
 *
 * Invariant: every delivery is checked. A message counts as delivered when each member of its room has got it exactly once, byte for
 * byte, at the same place of one order: the stream's own numbers where the message is durable, otherwise the order of the first member
 * of that server. NATS promises an order for each author alone, so there it is that one. Anything else (a wrong byte, a double,
 * something unasked, a refusal, a close) ends the process with `ok: false`.
 *
 * The plan:  D educonnect|socketio|plain|nats   T seconds without progress that mean a loss   S port (one line a server, on 127.0.0.1)
 *            R id                       M server room user follows opening-in-hex
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    SERVERS_MAX = 16,
    TEXT_BYTES = 40,
    RECEIVE_BYTES = 1 << 18,
    OPENING_MAX = 64,        /* handshakes under way at once */
    NUMBERS_MAX = 256,       /* mutations of one member under way, at most; and messages of a room, of which one is late */
    LINE_MAX = 1024,         /* of NATS, control line and payload */
};
static const char PADDING[] = " how many quarters are i";
static const unsigned char MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

enum state { IDLE, CONNECTING, UPGRADING, OPENING, READY };
enum mode { NOTHING, SAY, TYPING, ASKS, POSTS, RATE };
enum dialect { EDUCONNECT, SOCKETIO, PLAIN, NATS };
static const char *DIALECTS[] = {"educonnect", "socketio", "plain", "nats"};

struct member {
    int fd, server, room, opening_len;
    bool follows;
    enum state state;
    uint64_t user, seq, number, question;
    uint64_t bytes_in, bytes_out;
    uint32_t position;        /* in its view's order, this run */
    uint32_t unanswered;
    unsigned char *opening, *rest;
    size_t rest_len;
    double *due;              /* by number, for latencies */
    uint32_t *asked;          /* by number: the room's message; or, by message, which one was seen last (NATS, plus one) */
    char *line;               /* NATS: what a frame left unfinished */
    size_t line_len;
};
struct message {
    int sender;
    uint32_t delivered;
    uint32_t seen_views;      /* bit by view */
    bool acknowledged, done;
    char text[TEXT_BYTES];
};
struct view { uint32_t *order; uint32_t length; };
struct room {
    uint64_t id;
    int *members, count, posters;
    struct message *messages;
    uint32_t sent, done, first_open;
    struct view views[SERVERS_MAX];
};

static struct member *members;
static int member_count, connected, opening, ready_count;
static struct room *rooms;
static int room_count, ports[SERVERS_MAX], server_count, poller, timer;
static enum dialect dialect;
static unsigned char buffer[RECEIVE_BYTES];
static double stall_s;       /* without any progress: something was lost */

static enum mode mode;
static uint32_t run_number, target, window;
static uint64_t total_done, total_target, total_sent, deliveries, receives, bytes_in, bytes_out;
static double run_began, cpu_began, progressed, rate_per_s, *latencies;
static int connect_target, next_poster, posters_max;

static double now_s(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static double cpu_s(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec * 1e-9; }

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...) {
    char why[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    for (char *c = why; *c; c++) if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ') *c = '\'';
    printf("{\"ok\": false, \"why\": \"%s\"}\n", why);
    fflush(stdout);
    _exit(1);
}
static void *need(void *memory) { if (!memory) fail("out of memory"); return memory; }

/* ── out ── */

static void put(struct member *m, int opcode, const void *payload, size_t length) {
    unsigned char wire[4096];
    size_t at = 2;
    if (length > sizeof wire - 8) fail("a frame of %zu bytes is longer than the generator sends", length);
    wire[0] = 0x80 | opcode;
    if (length < 126) wire[1] = 0x80 | length;
    else { wire[1] = 0x80 | 126; wire[2] = length >> 8; wire[3] = length & 255; at = 4; }
    memcpy(wire + at, MASK, 4);
    at += 4;
    for (size_t i = 0; i < length; i++) wire[at + i] = ((const unsigned char *)payload)[i] ^ MASK[i & 3];
    ssize_t sent = send(m->fd, wire, at + length, MSG_NOSIGNAL);
    if (sent != (ssize_t)(at + length)) fail("a server does not read: %s", sent < 0 ? strerror(errno) : "partial send");
    m->bytes_out += sent;
    bytes_out += sent;
}
static size_t pack_uint(unsigned char *out, uint64_t value) {
    if (value < 0x80) { out[0] = value; return 1; }
    int bytes = value < 1u << 8 ? 1 : value < 1u << 16 ? 2 : value < 1ull << 32 ? 4 : 8;
    out[0] = bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf;
    for (int i = 0; i < bytes; i++) out[1 + i] = value >> 8 * (bytes - 1 - i);
    return 1 + bytes;
}
static void post(struct member *m, const char *text) {
    unsigned char out[160];
    size_t at = 0;
    m->number++;
    m->unanswered++;
    if (dialect == SOCKETIO) {
        at = snprintf((char *)out, sizeof out, "42%llu[\"say\",\"%.*s\"]", (unsigned long long)m->number, TEXT_BYTES, text);
        put(m, 1, out, at);
        return;
    }
    if (dialect != EDUCONNECT) fail("%s has no texts that are acknowledged", DIALECTS[dialect]);
    out[at++] = 0x93; out[at++] = 6;                        /* Mutate(number, Say(stream, text)) */
    at += pack_uint(out + at, m->number);
    out[at++] = 0x93; out[at++] = 1;
    at += pack_uint(out + at, rooms[m->room].id);
    out[at++] = 0xd9; out[at++] = TEXT_BYTES;
    memcpy(out + at, text, TEXT_BYTES);
    put(m, 2, out, at + TEXT_BYTES);
}
static void type(struct member *m) {
    unsigned char out[160] = {0x92, 11};                    /* Typing(stream) */
    unsigned long long room = rooms[m->room].id, user = m->user;
    char digits[24];
    switch (dialect) {
    case EDUCONNECT: put(m, 2, out, 2 + pack_uint(out + 2, room)); break;
    case SOCKETIO: put(m, 1, "42[\"typing\"]", 12); break;
    case PLAIN: put(m, 1, "T", 1); break;
    case NATS: {
        int length = snprintf(digits, sizeof digits, "%llu", user);
        put(m, 2, out, snprintf((char *)out, sizeof out, "PUB room.%llu %d\r\n%s\r\n", room, length, digits));
    }
    }
}
static void ask(struct member *m, uint64_t clock_ms) {
    unsigned char out[64];
    unsigned long long id = ++m->question, ms = clock_ms;
    size_t at = 0;
    m->unanswered++;
    switch (dialect) {
    case EDUCONNECT:
        out[at++] = 0x93; out[at++] = 4;                    /* Ping(id, clock) */
        at += pack_uint(out + at, id);
        put(m, 2, out, at + pack_uint(out + at, ms));
        break;
    case SOCKETIO: put(m, 1, out, snprintf((char *)out, sizeof out, "42%llu[\"ask\",%llu]", id, ms)); break;
    case PLAIN: put(m, 1, out, snprintf((char *)out, sizeof out, "I%llu %llu", id, ms)); break;
    case NATS: fail("nats answers nothing");
    }
}
static void write_text(char *text, uint32_t room, uint32_t number) {
    char whole[TEXT_BYTES + 1];
    snprintf(whole, sizeof whole, "%04x%04x%08x%s", room & 0xffff, run_number & 0xffff, number, PADDING);
    memcpy(text, whole, TEXT_BYTES);
}

/* ── a fan-out run: a window of messages under way in each room ── */

static void feed_room(struct room *room) {
    while (room->sent < target && room->sent - room->done < window) {
        uint32_t number = room->sent++;
        struct message *message = &room->messages[number];
        struct member *sender = &members[room->members[number % room->posters]];
        *message = (struct message){.sender = room->members[number % room->posters]};
        total_sent++;
        if (mode == TYPING) { message->acknowledged = true; type(sender); continue; }
        write_text(message->text, room - rooms, number);
        sender->asked[(sender->number + 1) % NUMBERS_MAX] = number;
        post(sender, message->text);
    }
}
static void check_done(struct room *room, struct message *message) {
    if (!message->acknowledged || message->delivered != (uint32_t)room->count) return;
    message->done = true;
    while (room->first_open < room->sent && room->messages[room->first_open].done) room->first_open++;
    room->done++;
    total_done++;
    progressed = now_s();
    feed_room(room);
}
/* Which of the messages under way a notice of this user is, for those who have not seen it yet: the oldest. */
static uint32_t find_typed(const struct room *room, const struct member *m, uint64_t user, int view_number) {
    uint32_t number = room->first_open;
    if (dialect == NATS && room->sent - number > NUMBERS_MAX) fail("a message is late by %d others", NUMBERS_MAX);
    for (; number < room->sent; number++) {
        const struct message *message = &room->messages[number];
        bool seen = dialect == NATS ? m->asked[number % NUMBERS_MAX] == number + 1 : message->seen_views >> view_number & 1;
        if (members[message->sender].user == user && !seen) break;
    }
    return number;
}
/* One delivery. `text` is null for a typing notice, where the user tells which message it is. */
static void deliver(struct member *m, const unsigned char *text, size_t length, uint64_t user) {
    struct room *room = &rooms[m->room];
    /* Durable messages have one order for all; what no database numbers has one per server. */
    int view_number = text && dialect == EDUCONNECT ? 0 : m->server;
    struct view *view = &room->views[view_number];
    struct message *message;
    if (mode != (text ? SAY : TYPING)) fail("member %d got something unasked", (int)(m - members));
    if (text && length != TEXT_BYTES) fail("a text of %zu bytes instead of %d", length, TEXT_BYTES);
    if (dialect == NATS) {
        uint32_t number = find_typed(room, m, user, 0);
        if (number >= room->sent) fail("member %d got a message of %llu that was not due", (int)(m - members), (unsigned long long)user);
        m->asked[number % NUMBERS_MAX] = number + 1;
        message = &room->messages[number];
    } else if (m->position < view->length) message = &room->messages[view->order[m->position]];
    else {
        uint32_t number = 0;
        if (text) {
            char digits[9] = {0};
            memcpy(digits, text + 8, 8);
            number = strtoul(digits, NULL, 16);
        } else number = find_typed(room, m, user, view_number);
        if (number >= room->sent) fail("member %d got a message that nobody sent", (int)(m - members));
        message = &room->messages[number];
        if (message->seen_views >> view_number & 1) fail("member %d got message %u twice", (int)(m - members), number);
        message->seen_views |= 1u << view_number;
        view->order[view->length++] = number;
    }
    if (text && memcmp(text, message->text, TEXT_BYTES)) fail("member %d got '%.40s' where '%.40s' was due", (int)(m - members), text, message->text);
    if (members[message->sender].user != user) fail("member %d got a message of %llu as one of %llu", (int)(m - members),
        (unsigned long long)members[message->sender].user, (unsigned long long)user);
    m->position++;
    message->delivered++;
    deliveries++;
    check_done(room, message);
}
static void write_post(struct member *m, double due) {
    char text[TEXT_BYTES];
    write_text(text, m->room, total_sent++);
    m->due[(m->number + 1) % NUMBERS_MAX] = due;
    post(m, text);
}
static void acknowledge(struct member *m, uint64_t number) {
    if (number != m->number - m->unanswered + 1) fail("member %d: %llu was acknowledged out of turn", (int)(m - members), (unsigned long long)number);
    m->unanswered--;
    if (mode == SAY) {
        struct room *room = &rooms[m->room];
        struct message *message = &room->messages[m->asked[number % NUMBERS_MAX]];
        message->acknowledged = true;
        check_done(room, message);
    } else if (mode == POSTS || mode == RATE) {
        latencies[total_done++] = now_s() - m->due[number % NUMBERS_MAX];
        progressed = now_s();
        if (mode == POSTS && total_sent < total_target) write_post(m, now_s());
    } else fail("an acknowledgement outside of a run");
}

static void write_ask(struct member *m) {
    total_sent++;
    m->due[(m->question + 1) % NUMBERS_MAX] = now_s();
    ask(m, 1000 * (uint64_t)time(NULL));
}
static void answer(struct member *m, uint64_t id) {
    if (mode != ASKS) fail("member %d got an answer that it did not ask for", (int)(m - members));
    if (id != m->question - m->unanswered + 1) fail("member %d: %llu was answered out of turn", (int)(m - members), (unsigned long long)id);
    m->unanswered--;
    latencies[total_done++] = now_s() - m->due[id % NUMBERS_MAX];
    progressed = now_s();
    if (total_sent < total_target) write_ask(m);
}

/* ── in: msgpack, as little of it as our frames need ── */

struct reader { const unsigned char *at, *end; };
static unsigned char take(struct reader *r) { if (r->at >= r->end) fail("a frame ends too early"); return *r->at++; }
static uint64_t take_bytes(struct reader *r, int count) { uint64_t v = 0; while (count--) v = v << 8 | take(r); return v; }
static uint64_t read_uint(struct reader *r) {
    unsigned char head = take(r);
    if (head < 0x80) return head;
    if (head < 0xcc || head > 0xcf) fail("0x%02x where a number was due", head);
    return take_bytes(r, 1 << (head - 0xcc));
}
static uint32_t read_array(struct reader *r) {
    unsigned char head = take(r);
    if (head >> 4 == 9) return head & 15;
    if (head != 0xdc) fail("0x%02x where an array was due", head);
    return take_bytes(r, 2);
}
static bool read_bool(struct reader *r) { unsigned char head = take(r); if (head >> 1 != 0x61) fail("no boolean"); return head & 1; }
static const unsigned char *read_text(struct reader *r, size_t *length) {
    unsigned char head = take(r);
    *length = head >> 5 == 5 ? head & 31 : head == 0xd9 ? take(r) : head == 0xda ? take_bytes(r, 2) : 0;
    const unsigned char *text = r->at;
    if ((size_t)(r->end - r->at) < *length) fail("a text ends too early");
    r->at += *length;
    return text;
}
static void skip(struct reader *r) {
    unsigned char head = *r->at;
    if (head >> 4 == 9 || head == 0xdc) { for (uint32_t left = read_array(r); left; left--) skip(r); return; }
    if (head >> 5 == 5 || (head >= 0xd9 && head <= 0xdb)) { size_t length; read_text(r, &length); return; }
    if (head >= 0xc0 && head <= 0xc3) { r->at++; return; }
    read_uint(r);
}
static void become_ready(struct member *m) { if (m->state == OPENING) { m->state = READY; opening--; ready_count++; progressed = now_s(); } }

static void take_frame(struct member *m, struct reader *r) {
    uint32_t fields = read_array(r), used = 1;
    uint64_t tag = read_uint(r), code;
    size_t length;
    const unsigned char *text;
    switch (tag) {
    case 32: /* Welcome */
        skip(r); skip(r);
        if (read_uint(r) != m->user) fail("welcomed as somebody else");
        skip(r);
        m->number = read_uint(r);
        used = 6;
        if (!m->follows) become_ready(m);
        break;
    case 33: acknowledge(m, read_uint(r)); used = 2; break; /* Done */
    case 34: { /* DoneRun */
        uint64_t first = read_uint(r);
        for (uint32_t i = 0, count = read_array(r); i < count; i++) { skip(r); acknowledge(m, first + i); }
        used = 3;
        break;
    }
    case 38: /* Pong */
        code = read_uint(r);
        if (read_uint(r) < 1000) fail("a Pong without a time");
        answer(m, code);
        used = 3;
        break;
    case 48: { /* Event */
        if (read_uint(r) != rooms[m->room].id) fail("an event of a stream that was not followed");
        uint64_t seq = read_uint(r), author = read_uint(r);
        skip(r);
        if (seq != ++m->seq) fail("event %llu where %llu was due", (unsigned long long)seq, (unsigned long long)m->seq);
        if (read_array(r) != 2 || read_uint(r) != 1) fail("an event that is not Said");
        text = read_text(r, &length);
        deliver(m, text, length, author);
        used = 6;
        break;
    }
    case 49: /* Followed */
        skip(r);
        if (read_uint(r) != rooms[m->room].id) fail("followed another stream");
        m->seq = read_uint(r);
        if (!read_bool(r)) fail("not live at once");
        become_ready(m);
        used = 5;
        break;
    case 56: /* IsTyping */
        if (read_uint(r) != rooms[m->room].id) fail("typing in a stream that was not followed");
        deliver(m, NULL, 0, read_uint(r));
        used = 3;
        break;
    case 35: case 37: case 40: /* Refused, Failed, Goodbye */
        if (tag != 40) skip(r);
        code = read_uint(r);
        text = read_text(r, &length);
        fail("member %d of user %llu: frame %d, code %d: %.*s", (int)(m - members), (unsigned long long)m->user, (int)tag, (int)code, (int)length, text);
    default: fail("a frame that was not expected: tag %d", (int)tag);
    }
    for (; used < fields; used++) skip(r);
}
static void take_message(struct member *m, const unsigned char *payload, size_t length) {
    struct reader r = {payload, payload + length}, look = r;
    uint32_t count = read_array(&look);
    if (look.at < look.end && (*look.at >> 4 == 9 || *look.at == 0xdc)) { /* an array of frames */
        r = look;
        while (count--) take_frame(m, &r);
    } else take_frame(m, &r);
    if (r.at != r.end) fail("bytes behind a frame");
}

/* ── in: Socket.IO's packets, whose JSON has one form only because our own peer server wrote it ── */

static const char *expect(const char *at, const char *literal) {
    size_t length = strlen(literal);
    if (strncmp(at, literal, length)) fail("'%.30s' where '%s' was due", at, literal);
    return at + length;
}
static const char *number_at(const char *at, uint64_t *value) { char *end; *value = strtoull(at, &end, 10); if (end == at) fail("no number at '%.30s'", at); return end; }

static void take_packet(struct member *m, const unsigned char *payload, size_t length) {
    static char text[RECEIVE_BYTES + 1];
    memcpy(text, payload, length);
    text[length] = 0;
    uint64_t value, author;
    const char *at = text;
    if (text[0] == '0') put(m, 1, m->opening, m->opening_len);
    else if (text[0] == '2' && length == 1) put(m, 1, "3", 1);
    else if (!strncmp(text, "40{", 3)) return;
    else if (!strcmp(text, "42[\"ready\"]")) become_ready(m);
    else if (!strncmp(text, "43", 2) && mode == ASKS) { expect(number_at(expect(number_at(text + 2, &value), "["), &author), "]"); answer(m, value); }
    else if (!strncmp(text, "43", 2)) { at = expect(number_at(text + 2, &value), "[]"); acknowledge(m, value); }
    else if (!strncmp(text, "42[\"said\"", 9)) {
        at = number_at(expect(text, "42[\"said\",{\"room\":"), &value);
        if (value != rooms[m->room].id) fail("said in another room");
        at = number_at(expect(at, ",\"author\":"), &author);
        at = number_at(expect(at, ",\"at\":"), &value);
        at = expect(at, ",\"text\":\"");
        if (strlen(at) != TEXT_BYTES + 3 || strcmp(at + TEXT_BYTES, "\"}]")) fail("said something else: '%.60s'", at);
        deliver(m, (const unsigned char *)at, TEXT_BYTES, author);
    } else if (!strncmp(text, "42[\"typing\"", 11)) {
        at = number_at(expect(text, "42[\"typing\",{\"room\":"), &value);
        if (value != rooms[m->room].id) fail("typing in another room");
        expect(number_at(expect(at, ",\"user\":"), &author), "}]");
        deliver(m, NULL, 0, author);
    } else fail("a packet that was not expected: '%.100s'", text);
}

/* ── in: the plain dialect, one letter and numbers ── */

static void take_plain(struct member *m, const unsigned char *payload, size_t length) {
    char text[64];
    uint64_t value, user;
    const char *at;
    if (length >= sizeof text) fail("%zu bytes where a few were due", length);
    memcpy(text, payload, length);
    text[length] = 0;
    switch (text[0]) {
    case 'R': expect(text, "R"); become_ready(m); break;
    case 'T':
        at = number_at(text + 1, &value);
        if (value != rooms[m->room].id) fail("typing in another room");
        at = number_at(expect(at, " "), &user);
        if (*at) fail("'%s' behind a notice", at);
        deliver(m, NULL, 0, user);
        break;
    case 'I':
        at = number_at(expect(number_at(text + 1, &value), " "), &user);
        if (*at) fail("'%s' behind an answer", at);
        answer(m, value);
        break;
    default: fail("a message that was not expected: '%s'", text);
    }
}

/* ── in: NATS, lines that frames may cut anywhere ── */

/* Takes one line, with its payload, from the front; returns what follows, or null where it is not whole yet. */
static const char *take_line(struct member *m, const char *at, const char *end) {
    const char *head_end = memmem(at, end - at, "\r\n", 2), *rest;
    uint64_t value, user;
    if (!head_end) return NULL;
    rest = head_end + 2;
    if (!strncmp(at, "MSG ", 4)) {
        at = number_at(expect(at, "MSG room."), &value);
        if (value != rooms[m->room].id) fail("typing in another room");
        at = number_at(expect(at, " 1 "), &value);
        if (at != head_end || value > 20) fail("a strange head of %llu bytes", (unsigned long long)value);
        if ((size_t)(end - rest) < value + 2) return NULL;
        at = number_at(rest, &user);
        if (at != rest + value || strncmp(at, "\r\n", 2)) fail("'%.20s' is no user", rest);
        deliver(m, NULL, 0, user);
        return at + 2;
    }
    if (!strncmp(at, "PING", 4)) put(m, 2, "PONG\r\n", 6);
    else if (!strncmp(at, "PONG", 4)) become_ready(m);
    else if (strncmp(at, "INFO ", 5)) fail("a line that was not expected: '%.60s'", at);
    return rest;
}
static void take_lines(struct member *m, const unsigned char *payload, size_t length) {
    static char text[LINE_MAX + RECEIVE_BYTES + 1];
    const char *at = text, *end = text + m->line_len + length, *next;
    if (m->line_len) memcpy(text, m->line, m->line_len);
    memcpy(text + m->line_len, payload, length);
    text[m->line_len + length] = 0;
    while (at < end && (next = take_line(m, at, end))) at = next;
    m->line_len = end - at;
    if (m->line_len > LINE_MAX) fail("a line of more than %d bytes", LINE_MAX);
    if (m->line_len && !m->line) m->line = need(malloc(LINE_MAX));
    if (m->line_len) memcpy(m->line, at, m->line_len);
}

/* ── sockets ── */

static void watch(struct member *m, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = m};
    if (epoll_ctl(poller, operation, m->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}
static void open_member(struct member *m) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(ports[m->server]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger at_once = {1, 0}; /* thousands of sockets in TIME_WAIT would use up the ports of the next run */
    int one = 1;
    m->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (m->fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(m->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    if (connect(m->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
    m->state = CONNECTING;
    opening++;
    watch(m, EPOLL_CTL_ADD, EPOLLOUT);
}
static void upgrade(struct member *m) {
    char request[400];
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(m->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) fail("connect: %s", strerror(error));
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        dialect == SOCKETIO ? "/socket.io/?EIO=4&transport=websocket" : "/socket", ports[m->server]);
    if (send(m->fd, request, length, MSG_NOSIGNAL) != length) fail("a server does not read its handshake");
    m->state = UPGRADING;
    watch(m, EPOLL_CTL_MOD, EPOLLIN);
}
static void connect_more(void) {
    while (connected < connect_target && opening < OPENING_MAX) open_member(&members[connected++]);
}
/* Takes whole things from the front; returns how many bytes it took. */
static size_t take_some(struct member *m, unsigned char *data, size_t length) {
    size_t at = 0;
    if (m->state == UPGRADING) {
        unsigned char *end = memmem(data, length, "\r\n\r\n", 4);
        if (!end) return 0;
        if (memcmp(data, "HTTP/1.1 101", 12)) fail("refused: %.60s", (char *)data);
        at = end + 4 - data;
        m->state = OPENING;
        if (dialect != SOCKETIO) put(m, dialect == PLAIN ? 1 : 2, m->opening, m->opening_len);
    }
    while (length - at >= 2) {
        unsigned char *frame = data + at;
        size_t head = 2, size = frame[1] & 127;
        if (size == 126) { head = 4; if (length - at < 4) break; size = frame[2] << 8 | frame[3]; }
        else if (size == 127) fail("a message of more than 64 KiB");
        if (frame[1] & 128 || !(frame[0] & 128)) fail("a frame that is masked, or a fragment");
        if (length - at < head + size) break;
        switch (frame[0] & 15) {
        case 1:
            if (dialect == SOCKETIO) take_packet(m, frame + head, size);
            else if (dialect == PLAIN) take_plain(m, frame + head, size);
            else fail("a text message");
            break;
        case 2:
            if (dialect == EDUCONNECT) take_message(m, frame + head, size);
            else if (dialect == NATS) take_lines(m, frame + head, size);
            else fail("a binary message");
            break;
        case 8: fail("member %d was closed with code %d", (int)(m - members), size >= 2 ? frame[head] << 8 | frame[head + 1] : 0);
        case 9: put(m, 10, frame + head, size); break;
        case 10: break;
        default: fail("opcode %d", frame[0] & 15);
        }
        at += head + size;
    }
    return at;
}
static void receive(struct member *m) {
    size_t held = m->rest_len;
    if (held) memcpy(buffer, m->rest, held);
    ssize_t got = recv(m->fd, buffer + held, sizeof buffer - held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("member %d of user %llu: the line broke", (int)(m - members), (unsigned long long)m->user);
    receives++;
    m->bytes_in += got;
    bytes_in += got;
    size_t length = held + got, taken = take_some(m, buffer, length);
    m->rest_len = length - taken;
    if (m->rest_len) { m->rest = need(realloc(m->rest, m->rest_len)); memcpy(m->rest, buffer + taken, m->rest_len); }
    else if (held) { free(m->rest); m->rest = NULL; }
}

/* ── commands ── */

static int compare(const void *a, const void *b) { double x = *(double *)a, y = *(double *)b; return (x > y) - (x < y); }

static void begin(enum mode wanted) {
    if (ready_count != connect_target) fail("a run before everybody is ready");
    mode = wanted;
    run_number++;
    total_done = total_sent = deliveries = receives = bytes_in = bytes_out = 0;
    run_began = progressed = now_s();
    cpu_began = cpu_s();
}
static void begin_fanout(enum mode wanted) {
    begin(wanted);
    total_target = 0;
    for (int i = 0; i < room_count; i++) {
        struct room *room = &rooms[i];
        room->count = 0;
        for (int k = 0; k < connected; k++) if (members[k].room == i && members[k].follows) room->count++;
        if (!room->count) continue;
        room->members = need(realloc(room->members, room->count * sizeof *room->members));
        room->messages = need(realloc(room->messages, target * sizeof *room->messages));
        room->count = 0;
        for (int k = 0; k < connected; k++) if (members[k].room == i && members[k].follows) {
            members[k].position = 0;
            if (dialect == NATS) memset(members[k].asked, 0, NUMBERS_MAX * sizeof *members[k].asked);
            room->members[room->count++] = k;
        }
        room->posters = room->count < posters_max ? room->count : posters_max;
        for (int v = 0; v < server_count; v++) {
            room->views[v].order = need(realloc(room->views[v].order, target * sizeof(uint32_t)));
            room->views[v].length = 0;
        }
        room->sent = room->done = room->first_open = 0;
        total_target += target;
    }
    for (int i = 0; i < room_count; i++) if (rooms[i].count) feed_room(&rooms[i]);
}
static void set_timer(double at_s) {
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)at_s, .tv_nsec = (long)((at_s - (time_t)at_s) * 1e9)}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}
static void post_due(void) {
    double now = now_s();
    while (total_sent < total_target) {
        double due = run_began + total_sent / rate_per_s;
        if (due > now) { set_timer(due); return; }
        struct member *m = &members[next_poster++ % connected];
        if (m->unanswered < NUMBERS_MAX / 2) write_post(m, due);
    }
}
static void report(void) {
    double wall = now_s() - run_began;
    printf("{\"ok\": true, \"messages\": %llu, \"deliveries\": %llu, \"wall_s\": %.6f, \"cpu_s\": %.6f, \"bytes_in\": %llu, \"bytes_out\": %llu, \"receives\": %llu",
        (unsigned long long)total_done, (unsigned long long)deliveries, wall, cpu_s() - cpu_began,
        (unsigned long long)bytes_in, (unsigned long long)bytes_out, (unsigned long long)receives);
    if (mode == POSTS || mode == RATE || mode == ASKS) {
        qsort(latencies, total_done, sizeof *latencies, compare);
        printf(", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f", latencies[total_done / 2] * 1e3,
            latencies[total_done * 99 / 100] * 1e3, latencies[total_done - 1] * 1e3);
    }
    printf("}\n");
    fflush(stdout);
    mode = NOTHING;
}
static void check_finished(void) {
    if (mode != NOTHING && total_done == total_target) report();
    else if (connect_target && connected == connect_target && !opening && ready_count == connect_target && run_began < 0) {
        printf("{\"ok\": true, \"ready\": %d, \"cpu_s\": %.6f}\n", ready_count, cpu_s());
        fflush(stdout);
        run_began = 0;
    }
    if ((mode != NOTHING || run_began < 0) && now_s() - progressed > stall_s)
        fail("no progress for %g s: %llu of %llu messages, %llu deliveries, %d of %d ready", stall_s, (unsigned long long)total_done,
            (unsigned long long)total_target, (unsigned long long)deliveries, ready_count, connect_target);
}
static void obey(const char *line) {
    double seconds;
    unsigned long long count;
    if (sscanf(line, "connect %d", &connect_target) == 1) {
        if (connect_target > member_count) fail("the plan has %d members", member_count);
        run_began = -1;
        progressed = now_s();
        connect_more();
    } else if (sscanf(line, "say %u %u %d", &target, &window, &posters_max) == 3) begin_fanout(SAY);
    else if (sscanf(line, "typing %u %u %d", &target, &window, &posters_max) == 3) begin_fanout(TYPING);
    else if (sscanf(line, "asks %llu %u", &count, &window) == 2) {
        begin(ASKS);
        total_target = count;
        latencies = need(realloc(latencies, count * sizeof *latencies));
        for (uint32_t w = 0; w < window; w++) for (int k = 0; k < connected && total_sent < total_target; k++) write_ask(&members[k]);
    } else if (sscanf(line, "posts %llu %u", &count, &window) == 2) {
        begin(POSTS);
        total_target = count;
        latencies = need(realloc(latencies, count * sizeof *latencies));
        for (uint32_t w = 0; w < window; w++) for (int k = 0; k < connected && total_sent < total_target; k++) write_post(&members[k], now_s());
    } else if (sscanf(line, "rate %lf %lf", &rate_per_s, &seconds) == 2) {
        begin(RATE);
        total_target = rate_per_s * seconds;
        latencies = need(realloc(latencies, total_target * sizeof *latencies));
        post_due();
    } else if (!strncmp(line, "bytes", 5)) {
        printf("{\"ok\": true, \"members\": [");
        for (int k = 0; k < connected; k++) printf("%s[%llu, %llu]", k ? ", " : "", (unsigned long long)members[k].bytes_in, (unsigned long long)members[k].bytes_out);
        printf("]}\n");
        fflush(stdout);
    } else if (!strncmp(line, "quit", 4)) _exit(0);
    else fail("no such command: %.60s", line);
}
static void read_plan(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    int member_room = 0, room_room = 0;
    if (!file) fail("%s: %s", path, strerror(errno));
    while (getline(&line, &size, file) > 0) {
        if (line[0] == 'D') {
            line[strcspn(line, "\n")] = 0;
            while (strcmp(DIALECTS[dialect], line + 2)) if (++dialect > NATS) fail("no such dialect: %.20s", line + 2);
        }
        else if (line[0] == 'T') stall_s = atof(line + 2);
        else if (line[0] == 'S') { if (server_count == SERVERS_MAX) fail("too many servers"); ports[server_count++] = atoi(line + 2); }
        else if (line[0] == 'R') {
            if (room_count == room_room) rooms = need(realloc(rooms, (room_room = room_room * 2 + 16) * sizeof *rooms));
            rooms[room_count++] = (struct room){.id = strtoull(line + 2, NULL, 10)};
        } else if (line[0] == 'M') {
            if (member_count == member_room) members = need(realloc(members, (member_room = member_room * 2 + 64) * sizeof *members));
            struct member *m = &members[member_count++];
            unsigned long long user;
            int follows, hex_at;
            *m = (struct member){.fd = -1};
            if (sscanf(line, "M %d %d %llu %d %n", &m->server, &m->room, &user, &follows, &hex_at) != 4) fail("a bad line: %.60s", line);
            m->user = user;
            m->follows = follows;
            m->opening_len = strspn(line + hex_at, "0123456789abcdef") / 2;
            m->opening = need(malloc(m->opening_len + 1));
            for (int i = 0; i < m->opening_len; i++) { unsigned byte; sscanf(line + hex_at + 2 * i, "%2x", &byte); m->opening[i] = byte; }
            m->due = need(calloc(NUMBERS_MAX, sizeof *m->due));
            m->asked = need(calloc(NUMBERS_MAX, sizeof *m->asked));
        }
    }
    fclose(file);
    free(line);
}

int main(int count, char **arguments) {
    static struct epoll_event events[4096];
    static char line[256];
    size_t line_len = 0;
    if (count != 2) return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    read_plan(arguments[1]);
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &timer});
    for (;;) {
        int happened = epoll_wait(poller, events, 4096, 100);
        for (int i = 0; i < happened; i++) {
            struct member *m = events[i].data.ptr;
            if (events[i].data.ptr == &timer) {
                uint64_t fired;
                if (read(timer, &fired, sizeof fired) == sizeof fired && mode == RATE) post_due();
            } else if (!m) {
                ssize_t got = read(0, line + line_len, sizeof line - 1 - line_len);
                if (got <= 0) return 0;
                line[line_len += got] = 0;
                if (line[line_len - 1] == '\n') { line_len = 0; obey(line); }
            } else if (m->state == CONNECTING) upgrade(m);
            else receive(m);
        }
        if (opening < OPENING_MAX) connect_more();
        check_finished();
    }
}
