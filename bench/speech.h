/* What a load program says and hears: WebSocket frames from a client, msgpack as far as this project's frames need it, and time.
 *
 * Everything here is `static inline`, for programs of one file. What makes no sense ends the process by `fail`, with one line of JSON:
 * a measure that met a wrong byte has no figure.
 */
#ifndef SPEECH_H
#define SPEECH_H
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

static inline double now_s(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static inline double cpu_s(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec * 1e-9; }

__attribute__((noreturn, format(printf, 1, 2))) static inline void fail(const char *format, ...) {
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
static inline void *need(void *memory) { if (!memory) fail("out of memory"); return memory; }
static inline void raise_files(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* ── out ── */

/* A masked frame, as clients send it. What the kernel does not take at once is a failure: the server does not read. */
static inline size_t put_frame(int fd, int opcode, const void *payload, size_t length) {
    static const unsigned char MASK[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char wire[4096];
    size_t at = 2;
    if (length > sizeof wire - 8) fail("a frame of %zu bytes is longer than a load program sends", length);
    wire[0] = 0x80 | opcode;
    if (length < 126) wire[1] = 0x80 | length;
    else { wire[1] = 0x80 | 126; wire[2] = length >> 8; wire[3] = length & 255; at = 4; }
    memcpy(wire + at, MASK, 4);
    at += 4;
    for (size_t i = 0; i < length; i++) wire[at + i] = ((const unsigned char *)payload)[i] ^ MASK[i & 3];
    ssize_t sent = send(fd, wire, at + length, MSG_NOSIGNAL);
    if (sent != (ssize_t)(at + length)) fail("a server does not read: %s", sent < 0 ? strerror(errno) : "partial send");
    return at + length;
}
static inline size_t pack_uint(unsigned char *out, uint64_t value) {
    if (value < 0x80) { out[0] = value; return 1; }
    int bytes = value < 1u << 8 ? 1 : value < 1u << 16 ? 2 : value < 1ull << 32 ? 4 : 8;
    out[0] = bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf;
    for (int i = 0; i < bytes; i++) out[1 + i] = value >> 8 * (bytes - 1 - i);
    return 1 + bytes;
}

/* ── in ── */

/* The frame at the front of `data`: its whole length, or 0 while it is not complete. Servers neither mask nor cut. */
static inline size_t read_frame(const unsigned char *data, size_t length, int *opcode, const unsigned char **payload, size_t *size) {
    size_t head = 2;
    if (length < 2) return 0;
    *size = data[1] & 127;
    if (*size == 126) { head = 4; if (length < 4) return 0; *size = data[2] << 8 | data[3]; }
    else if (*size == 127) fail("a message of more than 64 KiB");
    if (data[1] & 128 || !(data[0] & 128)) fail("a frame that is masked, or a fragment");
    if (length < head + *size) return 0;
    *opcode = data[0] & 15;
    *payload = data + head;
    return head + *size;
}

struct reader { const unsigned char *at, *end; };
static inline unsigned char take(struct reader *r) { if (r->at >= r->end) fail("a frame ends too early"); return *r->at++; }
static inline uint64_t take_bytes(struct reader *r, int count) { uint64_t v = 0; while (count--) v = v << 8 | take(r); return v; }
static inline uint64_t read_uint(struct reader *r) {
    unsigned char head = take(r);
    if (head < 0x80) return head;
    if (head < 0xcc || head > 0xcf) fail("0x%02x where a number was due", head);
    return take_bytes(r, 1 << (head - 0xcc));
}
static inline uint32_t read_array(struct reader *r) {
    unsigned char head = take(r);
    if (head >> 4 == 9) return head & 15;
    if (head != 0xdc) fail("0x%02x where an array was due", head);
    return take_bytes(r, 2);
}
static inline bool read_bool(struct reader *r) { unsigned char head = take(r); if (head >> 1 != 0x61) fail("no boolean"); return head & 1; }
/* Text or bytes. */
static inline const unsigned char *read_text(struct reader *r, size_t *length) {
    unsigned char head = take(r);
    if (head >> 5 == 5) *length = head & 31;
    else if (head == 0xd9 || head == 0xc4) *length = take(r);
    else if (head == 0xda || head == 0xc5) *length = take_bytes(r, 2);
    else fail("0x%02x where a text was due", head);
    const unsigned char *text = r->at;
    if ((size_t)(r->end - r->at) < *length) fail("a text ends too early");
    r->at += *length;
    return text;
}
static inline void skip(struct reader *r) {
    if (r->at >= r->end) fail("a frame ends too early");
    unsigned char head = *r->at;
    if (head >> 4 == 9 || head == 0xdc) { for (uint32_t left = read_array(r); left; left--) skip(r); return; }
    if (head >> 5 == 5 || (head >= 0xc4 && head <= 0xc5) || (head >= 0xd9 && head <= 0xda)) { size_t length; read_text(r, &length); return; }
    if (head >= 0xe0) { r->at++; return; }                    /* a small negative number */
    if (head >= 0xd0 && head <= 0xd3) { r->at++; take_bytes(r, 1 << (head - 0xd0)); return; }
    if (head == 0xc0 || head == 0xc2 || head == 0xc3) { r->at++; return; }
    read_uint(r);
}

static inline int compare_floats(const void *a, const void *b) { float x = *(const float *)a, y = *(const float *)b; return (x > y) - (x < y); }
#endif
