/* The floor under a crowd: a server that reads a post, answers it, and calls `send` once for each member of the room. Nothing else.
 *
 *     Hello(…, cursors) ─▶ Welcome, Followed     Mutate(n, Say) ─▶ Done, and the same Event to everybody in the room
 *
 * It speaks just enough of the protocol for `crowd.c` to check every delivery. It checks nobody, stores nothing, and knows no other
 * process, so a room's members are all here. The user it welcomes is the device that says Hello.
 *
 * It prints its port and serves until its standard input ends.
 */
#include "speech.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>

enum { RECEIVE_BYTES = 1 << 16, REST_MAX = 4096, ROOMS_MAX = 1 << 16, MUTATE = 6 };

struct room { uint64_t stream, seq; int *members; uint32_t count, space; };
struct member { uint64_t user; struct room *room; uint32_t rest_len; bool upgraded; unsigned char *rest; };

static struct room rooms[ROOMS_MAX];      /* by stream, open addressing */
static struct member *members;            /* by descriptor */
static unsigned char buffer[RECEIVE_BYTES + REST_MAX];

static struct room *room_of(uint64_t stream) {
    uint64_t at = stream * 0x9e3779b97f4a7c15u >> 48;
    while (rooms[at % ROOMS_MAX].stream && rooms[at % ROOMS_MAX].stream != stream) at++;
    rooms[at % ROOMS_MAX].stream = stream;
    return &rooms[at % ROOMS_MAX];
}
static void put(int fd, const unsigned char *wire, size_t length) {
    if (send(fd, wire, length, MSG_NOSIGNAL) != (ssize_t)length) fail("a member does not read");
}
/* A frame as servers send it, not masked. `payload` begins at wire + 2: all are short. */
static void put_message(int fd, unsigned char *wire, size_t length) {
    if (length > 125) fail("a message of %zu bytes", length);
    wire[0] = 0x80 | BINARY;
    wire[1] = length;
    put(fd, wire, 2 + length);
}
static void hello(int fd, struct reader *r) {
    struct member *m = &members[fd];
    unsigned char wire[128], *out = wire + 2;
    uint64_t head;
    skip(r); skip(r);                                        /* version, token */
    m->user = read_uint(r);
    if (read_array(r) < 1 || read_array(r) != 2) fail("a Hello without a cursor");
    m->room = room_of(read_uint(r));
    head = read_uint(r);
    if (!m->room->count) m->room->seq = head;
    if (m->room->count == m->room->space) m->room->members = need(realloc(m->room->members, (m->room->space = m->room->space * 2 + 64) * sizeof(int)));
    m->room->members[m->room->count++] = fd;
    *out++ = 0x96; *out++ = 32; *out++ = 1; *out++ = 1;      /* Welcome(version, session, user, inbox, last_number) */
    out += pack_uint(out, m->user);
    *out++ = 0; *out++ = 0;
    put_message(fd, wire, out - wire - 2);
    out = wire + 2;
    *out++ = 0x95; *out++ = 49; *out++ = 0;                  /* Followed(id, stream, upto, live) */
    out += pack_uint(out, m->room->stream);
    out += pack_uint(out, m->room->seq);
    *out++ = 0xc3;
    put_message(fd, wire, out - wire - 2);
}
static void mutate(int fd, struct reader *r) {
    struct member *m = &members[fd];
    struct room *room = m->room;
    unsigned char wire[128], *out = wire + 2;
    uint64_t number = read_uint(r);
    size_t length;
    if (read_array(r) != 3 || read_uint(r) != 1 || read_uint(r) != room->stream) fail("no Say in its room");
    const unsigned char *text = read_text(r, &length);
    if (length > 60) fail("a text of %zu bytes", length);
    *out++ = 0x93; *out++ = 33;                              /* Done(number, value) */
    out += pack_uint(out, number);
    *out++ = 0;
    put_message(fd, wire, out - wire - 2);
    out = wire + 2;
    *out++ = 0x96; *out++ = 48;                              /* Event(stream, seq, author, at, Said(text)) */
    out += pack_uint(out, room->stream);
    out += pack_uint(out, ++room->seq);
    out += pack_uint(out, m->user);
    out += pack_uint(out, 1700000000);
    *out++ = 0x92; *out++ = 1; *out++ = 0xd9; *out++ = length;
    memcpy(out, text, length);
    out += length;
    wire[0] = 0x80 | BINARY;
    wire[1] = out - wire - 2;
    for (uint32_t i = 0; i < room->count; i++) put(room->members[i], wire, out - wire);
}
static size_t take_some(int fd, unsigned char *data, size_t length) {
    static const char SWITCHING[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";    /* of the one key that our generators send */
    struct member *m = &members[fd];
    size_t at = 0;
    if (!m->upgraded) {
        unsigned char *end = memmem(data, length, "\r\n\r\n", 4);
        if (!end) return 0;
        put(fd, (const unsigned char *)SWITCHING, sizeof SWITCHING - 1);
        m->upgraded = true;
        at = end + 4 - data;
    }
    while (length - at >= 2) {
        size_t head = 2, size = data[at + 1] & 127;
        if (size == 126) { head = 4; if (length - at < 4) break; size = data[at + 2] << 8 | data[at + 3]; }
        if (length - at < head + 4 + size) break;
        unsigned char *mask = data + at + head, *payload = mask + 4;
        for (size_t i = 0; i < size; i++) payload[i] ^= mask[i & 3];
        if ((data[at] & 15) == BINARY) {
            struct reader r = {payload, payload + size};
            read_array(&r);
            if (read_uint(&r) == MUTATE) mutate(fd, &r); else hello(fd, &r);
        }
        at += head + 4 + size;
    }
    return at;
}
/* False when the member is gone. */
static bool receive(int fd) {
    struct member *m = &members[fd];
    if (m->rest_len) memcpy(buffer, m->rest, m->rest_len);
    ssize_t got = recv(fd, buffer + m->rest_len, RECEIVE_BYTES, 0);
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    size_t length = m->rest_len + got, taken = take_some(fd, buffer, length);
    if (length - taken > REST_MAX) fail("a message of more than %d bytes", REST_MAX);
    m->rest_len = length - taken;
    if (m->rest_len) { m->rest = need(realloc(m->rest, REST_MAX)); memcpy(m->rest, buffer + taken, m->rest_len); }
    return true;
}

int main(void) {
    static struct epoll_event events[1024];
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int ear = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0), one = 1;
    raise_files();
    members = need(calloc(1 << 16, sizeof *members));
    if (bind(ear, (struct sockaddr *)&here, sizeof here) || listen(ear, 4096) || getsockname(ear, (struct sockaddr *)&here, &size)) fail("listen: %s", strerror(errno));
    epoll_ctl(poller, EPOLL_CTL_ADD, ear, &(struct epoll_event){.events = EPOLLIN, .data.fd = ear});
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.fd = 0});
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    for (;;) {
        int happened = epoll_wait(poller, events, 1024, -1);
        for (int i = 0; i < happened; i++) {
            int fd = events[i].data.fd;
            if (fd == 0) return 0;
            if (fd != ear) {
                if (!receive(fd)) return 0; /* the generator has ended: nobody comes back */
                continue;
            }
            while ((fd = accept4(ear, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= 1 << 16) fail("too many members");
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN, .data.fd = fd});
            }
        }
    }
}
