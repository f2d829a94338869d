/* The reconnect storm's other side: thousands of devices that come back at once, each to several streams, from where it was.
 *
 *     plan (file) ─▶ writers post what will have been missed ─▶ devices connect, all at once ─▶ each is live everywhere ─▶ one line of JSON
 *     stdin: write K │ storm W token|ticket MISSED … │ probe │ leave │ quit
 *
 * write: K posts into each room, in order. storm: every device opens a socket at the next server, at most W of them unfinished at once, with
 * its access token or the ticket that it was given last, and cursors so far behind the ends of its streams; where it is told that there
 * is more, it asks again. probe: one more post into each room, which everybody there must get. leave: every device's line is cut.
 *
 * Invariant: every event is checked. A room's event n has the text that its number makes, so a device knows what must come after its
 * cursor, byte for byte: a gap, a double, another order, a stranger's text, an end that is not the room's own, a refusal or a close ends
 * the process with `ok: false`.
 *
 * The plan:  T seconds without progress that mean a loss      S port (one line a server, on 127.0.0.1)      R stream, its head
 *            H fields of Hello after its cursors, in hex      E fields of Resume after its cursors, in hex
 *            W server user device token                       (writers take the rooms in turn)
 *            D server user device token room room …
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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
#include <time.h>
#include <unistd.h>

enum {
    SERVERS_MAX = 16,
    TEXT_BYTES = 40,
    RECEIVE_BYTES = 1 << 18,
    STREAMS_MAX = 5,         /* of one device */
    SUFFIX_MAX = 64,
    TICKET_MAX = 64,
    WINDOW = 100,            /* posts of one writer under way */
};
static const unsigned char MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

enum state { IDLE, CONNECTING, UPGRADING, OPENING, RETURNING, READY };
enum mode { NOTHING, WRITE, STORM, PROBE };

struct room { uint64_t id, head; };
struct place { int room; uint64_t seq; bool live; };
struct hex { unsigned char bytes[SUFFIX_MAX]; size_t length; int fields; };
struct device {
    int fd, server, places, lives;
    bool writes;
    enum state state;
    uint64_t user, id, number, answered, turn, turns, expires;
    double began, live_s;
    char *token;
    unsigned char *rest, ticket[TICKET_MAX];
    size_t rest_len, ticket_len;
    struct place place[STREAMS_MAX];
};

static struct device *devices;
static int device_count, writer_count, opening, ready_count, next_device, opening_max, write_each, ports[SERVERS_MAX], server_count, poller;
static struct room *rooms;
static int room_count;
static unsigned char buffer[RECEIVE_BYTES];
static struct hex hello_suffix, resume_suffix;
static bool by_ticket;
static double stall_s, run_began, cpu_began, progressed;
static enum mode mode;
static uint64_t events, bytes_in, bytes_out, receives, again, asked, answered, wanted;

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
static int name(struct device *d) { return d - devices; }

/* ── out ── */

static void put(struct device *d, int opcode, const void *payload, size_t length) {
    unsigned char wire[4096];
    size_t at = 2;
    if (length > sizeof wire - 8) fail("a frame of %zu bytes is longer than the generator sends", length);
    wire[0] = 0x80 | opcode;
    if (length < 126) wire[1] = 0x80 | length;
    else { wire[1] = 0x80 | 126; wire[2] = length >> 8; wire[3] = length & 255; at = 4; }
    memcpy(wire + at, MASK, 4);
    at += 4;
    for (size_t i = 0; i < length; i++) wire[at + i] = ((const unsigned char *)payload)[i] ^ MASK[i & 3];
    ssize_t sent = send(d->fd, wire, at + length, MSG_NOSIGNAL);
    if (sent != (ssize_t)(at + length)) fail("a server does not read: %s", sent < 0 ? strerror(errno) : "partial send");
    bytes_out += sent;
}
static size_t pack_uint(unsigned char *out, uint64_t value) {
    if (value < 0x80) { out[0] = value; return 1; }
    int bytes = value < 1u << 8 ? 1 : value < 1u << 16 ? 2 : value < 1ull << 32 ? 4 : 8;
    out[0] = bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf;
    for (int i = 0; i < bytes; i++) out[1 + i] = value >> 8 * (bytes - 1 - i);
    return 1 + bytes;
}
static size_t pack_int(unsigned char *out, int64_t value) {
    if (value >= 0) return pack_uint(out, value);
    out[0] = 0xd3;
    for (int i = 0; i < 8; i++) out[1 + i] = (uint64_t)value >> 8 * (7 - i);
    return 9;
}
static size_t pack_suffix(unsigned char *out, const struct hex *suffix) { memcpy(out, suffix->bytes, suffix->length); return suffix->length; }

/* [Hello(version, token, device, cursors, …), TakeTicket(1)], as a client that wants a ticket for the next time says it */
static void say_hello(struct device *d) {
    unsigned char out[2600];
    size_t at = 0, length = strlen(d->token);
    out[at++] = 0x92;
    out[at++] = 0x90 | (5 + hello_suffix.fields); out[at++] = 1; out[at++] = 1;
    out[at++] = 0xda; out[at++] = length >> 8; out[at++] = length & 255;
    memcpy(out + at, d->token, length);
    at += length;
    at += pack_uint(out + at, d->id);
    out[at++] = 0x90 | d->places;
    for (int i = 0; i < d->places; i++) {
        out[at++] = 0x92;
        at += pack_uint(out + at, rooms[d->place[i].room].id);
        at += pack_uint(out + at, d->place[i].seq);
    }
    at += pack_suffix(out + at, &hello_suffix);
    out[at++] = 0x92; out[at++] = 23; out[at++] = 1;
    put(d, 2, out, at);
}
/* Resume(ticket, left_ms, cursors, …) */
static void resume(struct device *d) {
    unsigned char out[400];
    struct timespec now;
    size_t at = 0;
    uint64_t before = 0;
    if (!d->ticket_len) fail("device %d has no ticket", name(d));
    clock_gettime(CLOCK_REALTIME, &now);
    out[at++] = 0x90 | (4 + resume_suffix.fields); out[at++] = 2;
    out[at++] = 0xc4; out[at++] = d->ticket_len;
    memcpy(out + at, d->ticket, d->ticket_len);
    at += d->ticket_len;
    at += pack_int(out + at, (int64_t)d->expires * 1000 - (now.tv_sec * 1000 + now.tv_nsec / 1000000));
    out[at++] = 0x90 | 2 * d->places;
    for (int i = 0; i < d->places; i++) {
        at += pack_int(out + at, (int64_t)(rooms[d->place[i].room].id - before));
        at += pack_uint(out + at, d->place[i].seq);
        before = rooms[d->place[i].room].id;
    }
    put(d, 2, out, at + pack_suffix(out + at, &resume_suffix));
}
static void write_text(char *text, int room, uint64_t seq) {
    char whole[TEXT_BYTES + 1];
    snprintf(whole, sizeof whole, "%08x%016llx how many quarte", room, (unsigned long long)seq);
    memcpy(text, whole, TEXT_BYTES);
}
static void post(struct device *d, struct room *room) {
    unsigned char out[160];
    size_t at = 0;
    d->number++;
    out[at++] = 0x93; out[at++] = 6;                        /* Mutate(number, Say(stream, text)) */
    at += pack_uint(out + at, d->number);
    out[at++] = 0x93; out[at++] = 1;
    at += pack_uint(out + at, room->id);
    out[at++] = 0xd9; out[at++] = TEXT_BYTES;
    write_text((char *)out + at, room - rooms, ++room->head);
    put(d, 2, out, at + TEXT_BYTES);
}
static void follow(struct device *d, struct place *place) {
    unsigned char out[40] = {0x94, 7, 1};                   /* Follow(id, stream, after) */
    size_t at = 3;
    at += pack_uint(out + at, rooms[place->room].id);
    at += pack_uint(out + at, place->seq);
    again++;
    put(d, 2, out, at);
}

/* ── writing: each writer has every n-th room, and goes round them ── */

static void write_more(struct device *d) {
    int first = name(d), mine = (room_count - first + writer_count - 1) / writer_count;
    while (d->number - d->answered < WINDOW && d->turn < d->turns) {
        post(d, &rooms[first + (int)(d->turn++ % mine) * writer_count]);
        asked++;
    }
}
static void begin_writing(uint64_t each) {
    asked = answered = 0;
    wanted = each * room_count;
    for (int i = 0; i < writer_count; i++) {
        struct device *d = &devices[i];
        int mine = (room_count - i + writer_count - 1) / writer_count;
        d->turn = 0;
        d->turns = each * (mine > 0 ? mine : 0);
        write_more(d);
    }
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
    *length = head >> 5 == 5 ? (size_t)(head & 31) : head == 0xd9 || head == 0xc4 ? take(r) : head == 0xda || head == 0xc5 ? take_bytes(r, 2) : 0;
    const unsigned char *text = r->at;
    if ((size_t)(r->end - r->at) < *length) fail("a text ends too early");
    r->at += *length;
    return text;
}
static void skip(struct reader *r) {
    if (r->at >= r->end) fail("a frame ends too early");
    unsigned char head = *r->at;
    if (head >> 4 == 9 || head == 0xdc) { for (uint32_t left = read_array(r); left; left--) skip(r); return; }
    if (head >> 5 == 5 || (head >= 0xd9 && head <= 0xdb) || (head >= 0xc4 && head <= 0xc6)) { size_t length; read_text(r, &length); return; }
    if ((head >= 0xc0 && head <= 0xc3) || head >= 0xe0) { r->at++; return; }
    if (head >= 0xd0 && head <= 0xd3) { r->at++; take_bytes(r, 1 << (head - 0xd0)); return; }
    read_uint(r);
}
static struct place *find_place(struct device *d, uint64_t stream) {
    for (int i = 0; i < d->places; i++) if (rooms[d->place[i].room].id == stream) return &d->place[i];
    fail("device %d heard of stream %llu, which it does not follow", name(d), (unsigned long long)stream);
}
static void become_ready(struct device *d) {
    d->state = READY;
    d->live_s = now_s() - d->began;
    opening--;
    ready_count++;
    progressed = now_s();
}
static void become_live(struct device *d, struct place *place) {
    if (place->live) fail("device %d: live twice", name(d));
    if (place->seq != rooms[place->room].head) fail("device %d: live at %llu, where the stream ends at %llu", name(d), (unsigned long long)place->seq, (unsigned long long)rooms[place->room].head);
    place->live = true;
    if (++d->lives == d->places) become_ready(d);
}
static void take_event(struct device *d, struct reader *r) {
    struct place *place = find_place(d, read_uint(r));
    uint64_t seq = read_uint(r);
    char due[TEXT_BYTES];
    size_t length;
    skip(r); skip(r);
    if (seq != place->seq + 1) fail("device %d: event %llu where %llu was due", name(d), (unsigned long long)seq, (unsigned long long)place->seq + 1);
    if ((mode == STORM ? place->live : mode != PROBE) || seq > rooms[place->room].head) fail("device %d got an event unasked", name(d));
    if (read_array(r) != 2 || read_uint(r) != 1) fail("an event that is not Said");
    const unsigned char *text = read_text(r, &length);
    write_text(due, place->room, seq);
    if (length != TEXT_BYTES || memcmp(text, due, TEXT_BYTES)) fail("device %d got '%.*s' where '%.40s' was due", name(d), (int)length, text, due);
    place->seq = seq;
    events++;
    if (mode == PROBE) progressed = now_s();
}
static void take_followed(struct device *d, struct reader *r) {
    skip(r);
    struct place *place = find_place(d, read_uint(r));
    uint64_t upto = read_uint(r);
    if (upto != place->seq) fail("device %d: followed up to %llu, with events up to %llu", name(d), (unsigned long long)upto, (unsigned long long)place->seq);
    if (!read_bool(r)) { follow(d, place); return; }
    become_live(d, place);
}
static void welcome(struct device *d, uint64_t last_number) {
    d->number = d->answered = last_number;
    d->state = RETURNING;
    if (d->writes) become_ready(d);
}
/* Resumed(last_number, ahead_ms, heartbeat_s, rest): whoever is not in `rest` is live, and missed nothing */
static void take_resumed(struct device *d, struct reader *r) {
    uint32_t still = 0;
    if (d->state != OPENING || !by_ticket) fail("device %d: resumed unasked", name(d));
    welcome(d, read_uint(r));
    skip(r); skip(r);
    for (uint32_t i = 0, count = read_array(r); i < count; i++) {
        uint64_t place = read_uint(r);
        if (place >= (uint64_t)d->places) fail("device %d: cursor %d of %d", name(d), (int)place, d->places);
        still |= 1u << place;
    }
    for (int i = 0; i < d->places; i++) if (!(still >> i & 1)) become_live(d, &d->place[i]);
}
static void take_done(struct device *d, uint64_t number) {
    if (number != ++d->answered) fail("writer %d: %llu was acknowledged out of turn", name(d), (unsigned long long)number);
    answered++;
    progressed = now_s();
    if (mode == WRITE || mode == PROBE) write_more(d);
}
static void take_frame(struct device *d, struct reader *r) {
    uint32_t fields = read_array(r), used = 1;
    uint64_t tag = read_uint(r), code;
    size_t length;
    const unsigned char *text;
    switch (tag) {
    case 32: /* Welcome */
        skip(r); skip(r);
        if (read_uint(r) != d->user) fail("welcomed as somebody else");
        skip(r);
        if (d->state != OPENING) fail("device %d: welcomed twice", name(d));
        welcome(d, read_uint(r));
        used = 6;
        break;
    case 41: take_resumed(d, r); used = 5; break;
    case 42: /* Ticket */
        skip(r);
        text = read_text(r, &length);
        if (length > TICKET_MAX) fail("a ticket of %zu bytes", length);
        memcpy(d->ticket, text, d->ticket_len = length);
        d->expires = read_uint(r);
        used = 4;
        break;
    case 33: take_done(d, read_uint(r)); used = 2; break;
    case 34: { /* DoneRun */
        uint64_t first = read_uint(r);
        for (uint32_t i = 0, count = read_array(r); i < count; i++) { skip(r); take_done(d, first + i); }
        used = 3;
        break;
    }
    case 48: take_event(d, r); used = 6; break;
    case 49: take_followed(d, r); used = 5; break;
    case 35: case 37: case 40: /* Refused, Failed, Goodbye */
        if (tag != 40) skip(r);
        code = read_uint(r);
        text = read_text(r, &length);
        fail("device %d of user %llu: frame %d, code %d: %.*s", name(d), (unsigned long long)d->user, (int)tag, (int)code, (int)length, text);
    default: fail("a frame that was not expected: tag %d", (int)tag);
    }
    for (; used < fields; used++) skip(r);
}
static void take_message(struct device *d, const unsigned char *payload, size_t length) {
    struct reader r = {payload, payload + length}, look = r;
    uint32_t count = read_array(&look);
    if (look.at < look.end && (*look.at >> 4 == 9 || *look.at == 0xdc)) { /* an array of frames */
        r = look;
        while (count--) take_frame(d, &r);
    } else take_frame(d, &r);
    if (r.at != r.end) fail("bytes behind a frame");
}

/* ── sockets ── */

static void watch(struct device *d, int operation, uint32_t mask) {
    struct epoll_event event = {.events = mask, .data.ptr = d};
    if (epoll_ctl(poller, operation, d->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}
static void open_device(struct device *d) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(ports[d->server]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct linger at_once = {1, 0}; /* thousands of sockets in TIME_WAIT would use up the ports of the next run */
    int one = 1;
    d->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (d->fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(d->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    d->began = now_s();
    if (connect(d->fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
    d->state = CONNECTING;
    opening++;
    watch(d, EPOLL_CTL_ADD, EPOLLOUT);
}
static void upgrade(struct device *d) {
    char request[400];
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) fail("connect: %s", strerror(error));
    int length = snprintf(request, sizeof request,
        "GET /socket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", ports[d->server]);
    if (send(d->fd, request, length, MSG_NOSIGNAL) != length) fail("a server does not read its handshake");
    d->state = UPGRADING;
    watch(d, EPOLL_CTL_MOD, EPOLLIN);
}
/* Takes whole things from the front; returns how many bytes it took. */
static size_t take_some(struct device *d, unsigned char *data, size_t length) {
    size_t at = 0;
    if (d->state == UPGRADING) {
        unsigned char *end = memmem(data, length, "\r\n\r\n", 4);
        if (!end) return 0;
        if (memcmp(data, "HTTP/1.1 101", 12)) fail("refused: %.60s", (char *)data);
        at = end + 4 - data;
        d->state = OPENING;
        if (by_ticket && !d->writes) resume(d);
        else say_hello(d);
    }
    while (length - at >= 2) {
        unsigned char *frame = data + at;
        size_t head = 2, size = frame[1] & 127;
        if (size == 126) { head = 4; if (length - at < 4) break; size = frame[2] << 8 | frame[3]; }
        else if (size == 127) fail("a message of more than 64 KiB");
        if (frame[1] & 128 || !(frame[0] & 128)) fail("a frame that is masked, or a fragment");
        if (length - at < head + size) break;
        switch (frame[0] & 15) {
        case 2: take_message(d, frame + head, size); break;
        case 8: fail("device %d was closed with code %d", name(d), size >= 2 ? frame[head] << 8 | frame[head + 1] : 0);
        case 9: put(d, 10, frame + head, size); break;
        case 10: break;
        default: fail("opcode %d", frame[0] & 15);
        }
        at += head + size;
    }
    return at;
}
static void receive(struct device *d) {
    size_t held = d->rest_len;
    if (held) memcpy(buffer, d->rest, held);
    ssize_t got = recv(d->fd, buffer + held, sizeof buffer - held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("device %d of user %llu: the line broke", name(d), (unsigned long long)d->user);
    receives++;
    bytes_in += got;
    size_t length = held + got, taken = take_some(d, buffer, length);
    d->rest_len = length - taken;
    if (d->rest_len) { d->rest = need(realloc(d->rest, d->rest_len)); memcpy(d->rest, buffer + taken, d->rest_len); }
    else if (held) { free(d->rest); d->rest = NULL; }
}

/* ── commands ── */

static int compare(const void *a, const void *b) { double x = *(double *)a, y = *(double *)b; return (x > y) - (x < y); }

static void report(int count, const double *latencies) {
    printf("{\"ok\": true, \"messages\": %llu, \"deliveries\": %llu, \"wall_s\": %.6f, \"cpu_s\": %.6f, \"bytes_in\": %llu, \"bytes_out\": %llu, "
        "\"receives\": %llu, \"again\": %llu", (unsigned long long)count, (unsigned long long)events, now_s() - run_began, cpu_s() - cpu_began,
        (unsigned long long)bytes_in, (unsigned long long)bytes_out, (unsigned long long)receives, (unsigned long long)again);
    if (latencies) printf(", \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f", latencies[count / 2] * 1e3, latencies[count * 99 / 100] * 1e3,
        latencies[count - 1] * 1e3);
    printf("}\n");
    fflush(stdout);
    mode = NOTHING;
}
static void begin(enum mode next) {
    if (mode != NOTHING) fail("a command before the last one was done");
    mode = next;
    events = bytes_in = bytes_out = receives = again = 0;
    run_began = progressed = now_s();
    cpu_began = cpu_s();
}
static void open_more(void) {
    int last = mode == WRITE ? writer_count : device_count;
    while (next_device < last && opening < opening_max) open_device(&devices[next_device++]);
}
static void begin_storm(int missed_count, const int *missed) {
    for (int i = writer_count; i < device_count; i++) {
        struct device *d = &devices[i];
        if (d->fd >= 0 || d->places != missed_count) fail("device %d is here, or has other streams", i);
        d->server = (d->server + 1) % server_count;
        d->lives = 0;
        for (int k = 0; k < d->places; k++) {
            d->place[k].live = false;
            d->place[k].seq = rooms[d->place[k].room].head - missed[k];
        }
    }
    open_more();
}
static void leave(void) {
    for (int i = writer_count; i < device_count; i++) {
        struct device *d = &devices[i];
        if (d->fd < 0) continue;
        close(d->fd);
        d->fd = -1;
        d->state = IDLE;
        free(d->rest);
        d->rest = NULL;
        d->rest_len = 0;
        ready_count--;
    }
    next_device = writer_count;
    printf("{\"ok\": true}\n");
    fflush(stdout);
}
static void check_finished(void) {
    if (mode == WRITE && ready_count >= writer_count && !wanted) begin_writing(write_each);
    if (mode == WRITE && wanted && answered == wanted) report(answered, NULL);
    else if (mode == STORM && ready_count == device_count) {
        int count = device_count - writer_count;
        double *latencies = need(malloc((count + 1) * sizeof *latencies));
        for (int i = 0; i < count; i++) latencies[i] = devices[writer_count + i].live_s;
        qsort(latencies, count, sizeof *latencies, compare);
        report(count, latencies);
        free(latencies);
    } else if (mode == PROBE && answered == wanted) {
        uint64_t due = 0;
        for (int i = writer_count; i < device_count; i++) due += devices[i].places;
        if (events == due) report(answered, NULL);
    }
    if (mode != NOTHING && now_s() - progressed > stall_s)
        fail("no progress for %g s: %d of %d devices, %llu of %llu posts, %llu events", stall_s, ready_count - writer_count,
            device_count - writer_count, (unsigned long long)answered, (unsigned long long)wanted, (unsigned long long)events);
}
static void obey(const char *line) {
    int count, missed[STREAMS_MAX] = {0}, missed_count;
    char kind[8];
    if (sscanf(line, "write %d", &count) == 1) { begin(WRITE); wanted = 0; write_each = count; opening_max = writer_count; open_more(); }
    else if ((missed_count = sscanf(line, "storm %d %7s %d %d %d %d %d", &count, kind, missed, missed + 1, missed + 2, missed + 3, missed + 4) - 2) >= 0) {
        by_ticket = !strcmp(kind, "ticket");
        begin(STORM);
        opening_max = count;
        begin_storm(missed_count, missed);
    } else if (!strncmp(line, "probe", 5)) { begin(PROBE); begin_writing(1); }
    else if (!strncmp(line, "leave", 5)) leave();
    else if (!strncmp(line, "quit", 4)) _exit(0);
    else fail("no such command: %.60s", line);
}
static void read_hex(struct hex *to, const char *line) {
    const char *hex;
    if (sscanf(line, "%d", &to->fields) != 1 || !(hex = strchr(line, ' '))) fail("a bad line: %.60s", line);
    to->length = strspn(++hex, "0123456789abcdef") / 2;
    if (to->length > SUFFIX_MAX) fail("a suffix of %zu bytes", to->length);
    for (size_t i = 0; i < to->length; i++) { unsigned byte; sscanf(hex + 2 * i, "%2x", &byte); to->bytes[i] = byte; }
}
static void read_device(struct device *d, const char *line) {
    unsigned long long user, id;
    int token_at, token_end, room, step;
    *d = (struct device){.fd = -1, .writes = line[0] == 'W'};
    writer_count += d->writes;
    if (sscanf(line + 2, "%d %llu %llu %n%*s%n", &d->server, &user, &id, &token_at, &token_end) != 3 || token_end - token_at > 2048) fail("a bad line: %.60s", line);
    d->user = user;
    d->id = id;
    d->token = need(strndup(line + 2 + token_at, token_end - token_at));
    for (const char *at = line + 2 + token_end; sscanf(at, " %d%n", &room, &step) == 1; at += step) {
        if (d->places == STREAMS_MAX || room >= room_count) fail("a bad line: %.60s", line);
        d->place[d->places++].room = room;
    }
}
static void read_plan(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    int device_room = 0, room_room = 0;
    if (!file) fail("%s: %s", path, strerror(errno));
    while (getline(&line, &size, file) > 0) {
        unsigned long long stream, head;
        if (line[0] == 'T') stall_s = atof(line + 2);
        else if (line[0] == 'S') { if (server_count == SERVERS_MAX) fail("too many servers"); ports[server_count++] = atoi(line + 2); }
        else if (line[0] == 'H') read_hex(&hello_suffix, line + 2);
        else if (line[0] == 'E') read_hex(&resume_suffix, line + 2);
        else if (line[0] == 'R') {
            if (room_count == room_room) rooms = need(realloc(rooms, (room_room = room_room * 2 + 16) * sizeof *rooms));
            if (sscanf(line, "R %llu %llu", &stream, &head) != 2) fail("a bad line: %.60s", line);
            rooms[room_count++] = (struct room){stream, head};
        } else if (line[0] == 'W' || line[0] == 'D') {
            if (device_count == device_room) devices = need(realloc(devices, (device_room = device_room * 2 + 64) * sizeof *devices));
            read_device(&devices[device_count++], line);
        }
    }
    next_device = 0;
    fclose(file);
    free(line);
}

int main(int count, char **arguments) {
    static struct epoll_event happened[4096];
    static char line[256];
    size_t line_len = 0;
    if (count != 2) return 2;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    read_plan(arguments[1]);
    poller = epoll_create1(0);
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
    for (;;) {
        int number = epoll_wait(poller, happened, 4096, 100);
        for (int i = 0; i < number; i++) {
            struct device *d = happened[i].data.ptr;
            if (!d) {
                ssize_t got = read(0, line + line_len, sizeof line - 1 - line_len);
                if (got <= 0) return 0;
                line[line_len += got] = 0;
                if (line[line_len - 1] == '\n') { line_len = 0; obey(line); }
            } else if (d->state == CONNECTING) upgrade(d);
            else receive(d);
        }
        if (mode == STORM && opening < opening_max) open_more();
        check_finished();
    }
}
