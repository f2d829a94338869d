/* The floor: what fan-out cannot cost less than, as long as each member gets each message by a `send` of its own.
 *
 *     accept ─▶ handshake ─▶ J room user ─▶ R
 *     T ─▶ one frame, made once ─▶ send, send, send … to every member of the room
 *
 * It speaks the plain dialect of bench/peer_plain.py, holds nothing but a number for each socket, checks nothing, joins nothing, queues
 * nothing, and ends when a socket does not take a frame at once. The one thing that it does well is to spend its time in the kernel.
 *
 * Invariant: one `send` a member and message, in the order in which messages came; a line on standard output when it listens, its port.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKETS_MAX = 1 << 17, REQUEST_MAX = 2048, EVENTS_MAX = 1024 };

/* The generator sends the key of RFC 6455's example, whose answer stands there too: no hash is needed for a floor. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct room { unsigned long long id; int *members, count, size; };
struct place { bool open; int room; unsigned long long user; };

static struct room *rooms;
static int room_count, room_size;
static struct place places[SOCKETS_MAX];

__attribute__((noreturn)) static void give_up(const char *what) { perror(what); _exit(1); }

static void say(int fd, const void *data, size_t length) { if (send(fd, data, length, MSG_NOSIGNAL) != (ssize_t)length) give_up("send"); }

static void say_text(int fd, const char *text) {
    unsigned char frame[128] = {0x81, strlen(text)};
    memcpy(frame + 2, text, frame[1]);
    say(fd, frame, 2 + frame[1]);
}
static void join_room(int fd, unsigned long long id, unsigned long long user) {
    int at = room_count - 1;
    while (at >= 0 && rooms[at].id != id) at--; /* from the end: members come room by room */
    if (at < 0) {
        if (room_count == room_size) rooms = realloc(rooms, (room_size = 2 * room_size + 16) * sizeof *rooms);
        if (!rooms) give_up("realloc");
        rooms[at = room_count++] = (struct room){.id = id};
    }
    struct room *room = &rooms[at];
    if (room->count == room->size) room->members = realloc(room->members, (room->size = 2 * room->size + 64) * sizeof *room->members);
    if (!room->members) give_up("realloc");
    room->members[room->count++] = fd;
    places[fd].room = at;
    places[fd].user = user;
    say_text(fd, "R");
}
static void take(int fd, const char *text, size_t length) {
    unsigned long long id, user;
    if (text[0] == 'J' && sscanf(text, "J%llu %llu", &id, &user) == 2) join_room(fd, id, user);
    else if (text[0] == 'I') say_text(fd, text);
    else if (text[0] == 'T' && length == 1) {
        struct room *room = &rooms[places[fd].room];
        char frame[64];
        int size = snprintf(frame + 2, sizeof frame - 2, "T%llu %llu", room->id, places[fd].user);
        frame[0] = (char)0x81;
        frame[1] = (char)size;
        for (int i = 0; i < room->count; i++) say(room->members[i], frame, 2 + size);
    } else give_up("an unknown message");
}
static void leave(int fd) {
    struct room *room = &rooms[places[fd].room];
    for (int i = 0; i < room->count; i++) if (room->members[i] == fd) { room->members[i] = room->members[--room->count]; break; }
    places[fd] = (struct place){0};
    close(fd);
}
/* Whole frames alone are taken: the generator's are short, and sent in one piece. */
static void receive(int fd) {
    static unsigned char data[1 << 16];
    ssize_t length = recv(fd, data, sizeof data - 1, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) { leave(fd); return; }
    data[length] = 0;
    if (!places[fd].open) {
        if (length > REQUEST_MAX || !strstr((char *)data, KEY) || !strstr((char *)data, "\r\n\r\n")) give_up("a handshake");
        places[fd].open = true;
        say(fd, ANSWER, sizeof ANSWER - 1);
        return;
    }
    for (ssize_t at = 0; at < length;) {
        size_t size = data[at + 1] & 127;
        char text[128];
        if (length - at < 6 || size > 125 || length - at < (ssize_t)(6 + size)) give_up("a frame in pieces");
        for (size_t i = 0; i < size; i++) text[i] = data[at + 6 + i] ^ data[at + 2 + (i & 3)];
        text[size] = 0;
        if ((data[at] & 15) == 1) take(fd, text, size);
        at += 6 + size;
    }
}
static void receive_new(int listener, int poller) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= SOCKETS_MAX) give_up("sockets");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        places[fd] = (struct place){0};
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) give_up("epoll_ctl");
    }
    if (errno != EAGAIN) give_up("accept");
}
int main(void) {
    static struct epoll_event events[EVENTS_MAX];
    struct rlimit files;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poller = epoll_create1(0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 16384)) give_up("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = 0;
    epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event); /* it ends with its standard input */
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int happened = epoll_wait(poller, events, EVENTS_MAX, -1);
        for (int i = 0; i < happened; i++) {
            if (events[i].data.fd == 0) return 0;
            if (events[i].data.fd == listener) receive_new(listener, poller);
            else receive(events[i].data.fd);
        }
    }
}
