/* A crowd: up to 19,000 sockets in one process, all of them real members of their rooms, most of them silent.
 *
 *     plan (file) ─▶ members ─connect─▶ ready ─▶ run ─▶ one line of JSON per command
 *     stdin: connect N │ beats │ rate PER_S S POSTERS │ say N W │ quit
 *
 * Several of these processes make one crowd, each with whole rooms and with a loopback address of its own, so that neither descriptors nor
 * ports run out. All members of a room are here, so that the time from a post to each delivery is read from one clock.
 *
 * rate: posts at a rate, whatever is unanswered; times count from when each was due. POSTERS members, spread evenly, take turns, each
 *       in another room than the one before.
 * say:  N posts with W of them under way at any time, room after room, so that the load is the same however many rooms there are.
 *
 * Invariant: every delivery is checked. A post counts when each member of its room has got it exactly once, byte for byte, at the same
 * number of the stream, without a gap before it, and its author was answered. Anything else (a wrong byte, a double, something unasked,
 * a refusal, a close) ends the process with `ok: false`.
 *
 * The plan:  A own-address      T seconds without progress that mean a loss      S port (one line a server, on 127.0.0.1)
 *            R stream           M server room user inbox opening-in-hex (inbox 0: not followed)
 */
#include "speech.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

enum {
    SERVERS_MAX = 16,
    TEXT_BYTES = 40,
    RECEIVE_BYTES = 1 << 18,
    OPENING_MAX = 48,        /* handshakes under way at once */
    NOBODY = -1,
};
static const char PADDING[] = " how many quarters are i";

enum state { IDLE, CONNECTING, UPGRADING, OPENING, READY };
enum mode { NOTHING, RATE, SAY };

struct member {
    int fd, server, room, opening_len;
    enum state state;
    uint32_t awaited, beats;
    uint64_t user, inbox, seq, number;
    int32_t oldest, newest;   /* its posts that are not answered yet, oldest first */
    uint32_t rest_len;
    unsigned char *opening, *rest;
};
struct post {
    int32_t sender, next;     /* the same sender's next one */
    uint32_t delivered;
    bool answered;
    uint64_t seq;             /* 0: nobody has got it yet */
    double due;
};
struct room { uint64_t stream; uint32_t first, count, turn; };

static struct member *members;
static struct room *rooms;
static struct post *posts;
static float *latencies_ms, *answers_ms;
static int member_count, room_count, server_count, ports[SERVERS_MAX], poller, timer;
static int connect_target, connected, opening, ready_count;
static struct in_addr own_address;
static unsigned char buffer[RECEIVE_BYTES];
static double stall_s = 20, run_began, cpu_began, progressed, rate_per_s;
static enum mode mode;
static bool told_ready = true;
static uint32_t run_number, posters, poster_step;
static uint64_t total_target, total_sent, total_done, deliveries, deliveries_room, answered, bytes_in, bytes_out;

static void put(struct member *m, int opcode, const void *payload, size_t length) { bytes_out += put_frame(m->fd, opcode, payload, length); }

/* ── posts ── */

static void write_text(char *text, uint32_t room, uint32_t number) {
    char whole[TEXT_BYTES + 1];
    snprintf(whole, sizeof whole, "%04x%04x%08x%s", run_number & 0xffff, room & 0xffff, number, PADDING);
    memcpy(text, whole, TEXT_BYTES);
}
static void post_as(int who, double due) {
    struct member *m = &members[who];
    unsigned char out[160];
    int32_t number = total_sent++;
    size_t at = 0;
    posts[number] = (struct post){.sender = who, .next = NOBODY, .due = due};
    if (m->oldest == NOBODY) m->oldest = number; else posts[m->newest].next = number;
    m->newest = number;
    m->number++;
    out[at++] = 0x93; out[at++] = 6;                        /* Mutate(number, Say(stream, text)) */
    at += pack_uint(out + at, m->number);
    out[at++] = 0x93; out[at++] = 1;
    at += pack_uint(out + at, rooms[m->room].stream);
    out[at++] = 0xd9; out[at++] = TEXT_BYTES;
    write_text((char *)out + at, m->room, number);
    put(m, BINARY, out, at + TEXT_BYTES);
}
static void say_next(void) {
    struct room *room = &rooms[total_sent % room_count];
    while (!room->count) room = &rooms[(room - rooms + 1) % room_count];
    post_as(room->first + room->turn++ % room->count, now_s());
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
        post_as((total_sent * poster_step % posters) * connected / posters, due);
    }
}
static uint32_t common_divisor(uint32_t a, uint32_t b) { return b ? common_divisor(b, a % b) : a; }
static void check_done(struct post *post) {
    progressed = now_s();
    if (!post->answered || post->delivered != rooms[members[post->sender].room].count) return;
    total_done++;
    if (mode == SAY && total_sent < total_target) say_next();
}
static void deliver(struct member *m, uint64_t seq, uint64_t author, const unsigned char *text, size_t length) {
    char digits[9] = {0}, wanted[TEXT_BYTES];
    if (mode == NOTHING) fail("member %d got something unasked", (int)(m - members));
    if (length != TEXT_BYTES) fail("a text of %zu bytes instead of %d", length, TEXT_BYTES);
    memcpy(digits, text + 8, 8);
    uint32_t number = strtoul(digits, NULL, 16);
    if (number >= total_sent) fail("member %d got a post that nobody sent", (int)(m - members));
    struct post *post = &posts[number];
    write_text(wanted, m->room, number);
    if (memcmp(text, wanted, TEXT_BYTES)) fail("member %d got '%.40s' where '%.40s' was due", (int)(m - members), text, wanted);
    if (members[post->sender].room != m->room || members[post->sender].user != author) fail("post %u came as one of %llu", number, (unsigned long long)author);
    if (!post->seq) post->seq = seq;
    if (post->seq != seq) fail("post %u has number %llu here and %llu there", number, (unsigned long long)seq, (unsigned long long)post->seq);
    if (deliveries == deliveries_room) latencies_ms = need(realloc(latencies_ms, (deliveries_room = deliveries_room * 2 + 4096) * sizeof *latencies_ms));
    latencies_ms[deliveries++] = (now_s() - post->due) * 1e3;
    post->delivered++;
    check_done(post);
}
static void answer(struct member *m, uint64_t number) {
    uint64_t due = m->number;
    if (m->oldest == NOBODY) fail("member %d was answered %llu, unasked", (int)(m - members), (unsigned long long)number);
    for (int32_t at = m->oldest; at != m->newest; at = posts[at].next) due--;
    if (number != due) fail("member %d was answered %llu where %llu was due", (int)(m - members), (unsigned long long)number, (unsigned long long)due);
    struct post *post = &posts[m->oldest];
    m->oldest = post->next;
    post->answered = true;
    answers_ms[answered++] = (now_s() - post->due) * 1e3;
    check_done(post);
}

/* ── in ── */

static void become_ready(struct member *m) { if (--m->awaited == 0) { m->state = READY; opening--; ready_count++; } progressed = now_s(); }

static void take_one(struct member *m, struct reader *r) {
    uint32_t fields = read_array(r), used;
    uint64_t tag = read_uint(r), stream, seq, author, code;
    const unsigned char *text;
    size_t length;
    switch (tag) {
    case 32: /* Welcome */
        skip(r); skip(r);
        if (read_uint(r) != m->user) fail("welcomed as somebody else");
        skip(r);
        m->number = read_uint(r);
        used = 6;
        become_ready(m);
        break;
    case 33: answer(m, read_uint(r)); used = 2; break; /* Done */
    case 34: { /* DoneRun */
        uint64_t first = read_uint(r);
        for (uint32_t i = 0, count = read_array(r); i < count; i++) { skip(r); answer(m, first + i); }
        used = 3;
        break;
    }
    case 48: /* Event */
        if (read_uint(r) != rooms[m->room].stream) fail("an event of a stream where nothing was posted");
        seq = read_uint(r);
        author = read_uint(r);
        skip(r);
        if (seq != ++m->seq) fail("event %llu where %llu was due", (unsigned long long)seq, (unsigned long long)m->seq);
        if (read_array(r) != 2 || read_uint(r) != 1) fail("an event that is not Said");
        text = read_text(r, &length);
        deliver(m, seq, author, text, length);
        used = 6;
        break;
    case 49: /* Followed */
        skip(r);
        stream = read_uint(r);
        seq = read_uint(r);
        if (stream == rooms[m->room].stream) m->seq = seq;
        else if (stream != m->inbox) fail("followed another stream");
        if (!read_bool(r)) fail("not live at once");
        become_ready(m);
        used = 5;
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
        while (count--) take_one(m, &r);
    } else take_one(m, &r);
    if (r.at != r.end) fail("bytes behind a frame");
}
/* Takes whole things from the front; returns how many bytes it took. */
static size_t take_some(struct member *m, const unsigned char *data, size_t length) {
    size_t at = 0, whole, size;
    const unsigned char *payload;
    int opcode;
    if (m->state == UPGRADING) {
        const unsigned char *end = memmem(data, length, "\r\n\r\n", 4);
        if (!end) return 0;
        if (memcmp(data, "HTTP/1.1 101", 12)) fail("refused: %.60s", (const char *)data);
        at = end + 4 - data;
        m->state = OPENING;
        m->awaited = m->inbox ? 3 : 2;
        put(m, BINARY, m->opening, m->opening_len);
    }
    while ((whole = read_frame(data + at, length - at, &opcode, &payload, &size))) {
        if (opcode == BINARY) take_message(m, payload, size);
        else if (opcode == PING) { m->beats++; put(m, PONG, payload, size); }
        else if (opcode == CLOSE) fail("member %d was closed with code %d", (int)(m - members), size >= 2 ? payload[0] << 8 | payload[1] : 0);
        else if (opcode != PONG) fail("opcode %d", opcode);
        at += whole;
    }
    return at;
}
static void receive(struct member *m) {
    size_t held = m->rest_len;
    if (held) memcpy(buffer, m->rest, held);
    ssize_t got = recv(m->fd, buffer + held, sizeof buffer - held, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) fail("member %d of user %llu: the line broke", (int)(m - members), (unsigned long long)m->user);
    bytes_in += got;
    size_t length = held + got, taken = take_some(m, buffer, length);
    m->rest_len = length - taken;
    if (m->rest_len) { m->rest = need(realloc(m->rest, m->rest_len)); memcpy(m->rest, buffer + taken, m->rest_len); }
    else if (held) { free(m->rest); m->rest = NULL; }
}

/* ── sockets ── */

static void watch(struct member *m, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = m};
    if (epoll_ctl(poller, operation, m->fd, &event)) fail("epoll_ctl: %s", strerror(errno));
}
static void open_member(struct member *m) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(ports[m->server]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = own_address};
    struct linger at_once = {1, 0}; /* thousands of sockets in TIME_WAIT would use up the ports of the next run */
    int one = 1;
    m->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (m->fd < 0) fail("socket: %s", strerror(errno));
    setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(m->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    setsockopt(m->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one); /* a port is used once for each server, not once in all */
    if (bind(m->fd, (struct sockaddr *)&here, sizeof here)) fail("bind: %s", strerror(errno));
    if (connect(m->fd, (struct sockaddr *)&there, sizeof there) && errno != EINPROGRESS) fail("connect: %s", strerror(errno));
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
        "GET /socket HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", ports[m->server]);
    if (send(m->fd, request, length, MSG_NOSIGNAL) != length) fail("a server does not read its handshake");
    m->state = UPGRADING;
    watch(m, EPOLL_CTL_MOD, EPOLLIN);
}
static void connect_more(void) { while (connected < connect_target && opening < OPENING_MAX) open_member(&members[connected++]); }

/* ── commands ── */

static void begin(enum mode wanted, uint64_t target) {
    if (ready_count != connect_target || !connected) fail("a run before everybody is ready");
    for (int i = 0; i < room_count; i++) rooms[i].count = 0;
    for (int k = connected - 1; k >= 0; k--) { rooms[members[k].room].first = k; rooms[members[k].room].count++; }
    mode = wanted;
    run_number++;
    total_target = target;
    posts = need(realloc(posts, target * sizeof *posts + 1));
    answers_ms = need(realloc(answers_ms, target * sizeof *answers_ms + 1));
    total_done = total_sent = deliveries = answered = bytes_in = bytes_out = 0;
    run_began = progressed = now_s();
    cpu_began = cpu_s();
}
static double part(const float *sorted, uint64_t count, double share) { return count ? sorted[(uint64_t)((count - 1) * share)] : 0; }
static void report(void) {
    double wall = now_s() - run_began, own = cpu_s() - cpu_began;
    uint64_t sample_every = deliveries / 4096 + 1;
    qsort(latencies_ms, deliveries, sizeof *latencies_ms, compare_floats);
    qsort(answers_ms, answered, sizeof *answers_ms, compare_floats);
    printf("{\"ok\": true, \"posts\": %llu, \"deliveries\": %llu, \"wall_s\": %.6f, \"cpu_s\": %.6f, \"bytes_in\": %llu, \"bytes_out\": %llu"
        ", \"answer_p50_ms\": %.3f, \"answer_p99_ms\": %.3f, \"max_ms\": %.3f, \"quantiles_ms\": [",
        (unsigned long long)total_done, (unsigned long long)deliveries, wall, own, (unsigned long long)bytes_in, (unsigned long long)bytes_out,
        part(answers_ms, answered, 0.5), part(answers_ms, answered, 0.99), part(latencies_ms, deliveries, 1));
    for (uint64_t i = 0; i < deliveries; i += sample_every) printf("%s%.3f", i ? ", " : "", latencies_ms[i]);
    printf("]}\n");
    fflush(stdout);
    mode = NOTHING;
}
static void check_finished(void) {
    if (mode != NOTHING && total_done == total_target) report();
    else if (!told_ready && ready_count == connect_target) {
        printf("{\"ok\": true, \"ready\": %d, \"cpu_s\": %.6f}\n", ready_count, cpu_s());
        fflush(stdout);
        told_ready = true;
    }
    bool waits = !told_ready || (mode != NOTHING && total_sent > total_done);
    if (!waits) progressed = now_s();
    else if (now_s() - progressed > stall_s)
        fail("no progress for %g s: %llu of %llu posts, %llu deliveries, %d of %d ready", stall_s, (unsigned long long)total_done,
            (unsigned long long)total_target, (unsigned long long)deliveries, ready_count, connect_target);
}
static void tell_beats(void) {
    uint64_t total = 0;
    uint32_t least = UINT32_MAX, most = 0;
    for (int k = 0; k < connected; k++) {
        uint32_t beats = members[k].beats;
        total += beats;
        if (beats < least) least = beats;
        if (beats > most) most = beats;
        members[k].beats = 0;
    }
    printf("{\"ok\": true, \"beats\": %llu, \"least\": %u, \"most\": %u, \"cpu_s\": %.6f}\n", (unsigned long long)total, least, most, cpu_s());
    fflush(stdout);
}
static void obey(const char *line) {
    double seconds;
    unsigned long long count;
    unsigned window;
    if (sscanf(line, "connect %d", &connect_target) == 1) {
        if (connect_target > member_count) fail("the plan has %d members", member_count);
        told_ready = false;
        progressed = now_s();
        connect_more();
    } else if (sscanf(line, "rate %lf %lf %u", &rate_per_s, &seconds, &posters) == 3) {
        begin(RATE, rate_per_s * seconds);
        if (!posters || (int)posters > connected) fail("%u posters wanted of %d", posters, connected);
        /* From one to the next by the golden section, so that they come from all rooms and not from one after the other. */
        for (poster_step = posters * 0.618 + 1; common_divisor(poster_step, posters) != 1;) poster_step++;
        post_due();
    } else if (sscanf(line, "say %llu %u", &count, &window) == 2) {
        begin(SAY, count);
        while (window-- && total_sent < total_target) say_next();
    } else if (!strncmp(line, "beats", 5)) tell_beats();
    else if (!strncmp(line, "quit", 4)) _exit(0);
    else fail("no such command: %.60s", line);
}
static void read_plan(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    int member_room = 0, room_room = 0;
    if (!file) fail("%s: %s", path, strerror(errno));
    while (getline(&line, &size, file) > 0) {
        if (line[0] == 'A') { line[strcspn(line, "\n")] = 0; if (!inet_aton(line + 2, &own_address)) fail("no address: %s", line); }
        else if (line[0] == 'T') stall_s = atof(line + 2);
        else if (line[0] == 'S') { if (server_count == SERVERS_MAX) fail("too many servers"); ports[server_count++] = atoi(line + 2); }
        else if (line[0] == 'R') {
            if (room_count == room_room) rooms = need(realloc(rooms, (room_room = room_room * 2 + 16) * sizeof *rooms));
            rooms[room_count++] = (struct room){.stream = strtoull(line + 2, NULL, 10)};
        } else if (line[0] == 'M') {
            if (member_count == member_room) members = need(realloc(members, (member_room = member_room * 2 + 64) * sizeof *members));
            struct member *m = &members[member_count++];
            unsigned long long user, inbox;
            int hex_at;
            *m = (struct member){.fd = -1, .oldest = NOBODY, .newest = NOBODY};
            if (sscanf(line, "M %d %d %llu %llu %n", &m->server, &m->room, &user, &inbox, &hex_at) != 4) fail("a bad line: %.60s", line);
            if (m->server >= server_count || m->room >= room_count) fail("no such server or room: %.60s", line);
            m->user = user;
            m->inbox = inbox;
            m->opening_len = strspn(line + hex_at, "0123456789abcdef") / 2;
            m->opening = need(malloc(m->opening_len + 1));
            for (int i = 0; i < m->opening_len; i++) { unsigned byte; sscanf(line + hex_at + 2 * i, "%2x", &byte); m->opening[i] = byte; }
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
    raise_files();
    own_address.s_addr = htonl(INADDR_LOOPBACK);
    read_plan(arguments[1]);
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL});
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN, .data.ptr = &timer});
    for (;;) {
        int happened = epoll_wait(poller, events, 4096, 1000);
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
