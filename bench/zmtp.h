/* The little of ZMTP that a load generator needs: greeting, NULL handshake, frame headers. Part of bench/, not of zmqcore.
 *
 * The greeting announces ZMTP 3.0: subscriptions are then plain messages in both directions, whatever the peer speaks.
 * Nothing but greeting and READY goes out before the peer's READY is in: libzmq closes the connection otherwise. */
#ifndef BENCH_ZMTP_H
#define BENCH_ZMTP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FLAG_MORE = 1,
    FLAG_LONG = 2,
    FLAG_COMMAND = 4,
    GREETING_BYTES = 64,
    READY_MAX_BYTES = 64,
    HEADER_MAX_BYTES = 9,
};

static inline void die(const char *what)
{
    perror(what);
    exit(2);
}

/* Bytes written to `out`, which must hold HEADER_MAX_BYTES. */
static inline size_t header_put(uint8_t *out, uint8_t flags, uint64_t body_bytes)
{
    if (body_bytes <= 255) {
        out[0] = flags;
        out[1] = (uint8_t)body_bytes;
        return 2;
    }
    out[0] = flags | FLAG_LONG;
    for (int i = 0; i < 8; i++)
        out[1 + i] = (uint8_t)(body_bytes >> (56 - 8 * i));
    return 9;
}

/* Bytes of the whole frame at `data`, or 0 when not even its header is complete. */
static inline size_t frame_bytes(const uint8_t *data, size_t have)
{
    uint64_t body = 0;

    if (have < 2)
        return 0;
    if (!(data[0] & FLAG_LONG))
        return 2 + (size_t)data[1];
    if (have < 9)
        return 0;
    for (int i = 1; i < 9; i++)
        body = body << 8 | data[i];
    return 9 + (size_t)body;
}

/* Bytes of the whole message (all its parts) at `data`, or 0 when it is not complete. */
static inline size_t message_bytes(const uint8_t *data, size_t have)
{
    size_t off = 0;

    for (;;) {
        size_t frame = frame_bytes(data + off, have - off);
        if (frame == 0 || frame > have - off)
            return 0;
        off += frame;
        if (!(data[off - frame] & FLAG_MORE))
            return off;
    }
}

/* Greeting and READY as one piece; returns its size. `out` holds GREETING_BYTES + READY_MAX_BYTES. */
static inline size_t handshake_put(uint8_t *out, const char *socket_type)
{
    size_t type_bytes = strlen(socket_type);
    uint8_t *ready = out + GREETING_BYTES;
    size_t body = 1 + 5 + 1 + 11 + 4 + type_bytes;
    size_t off;

    memset(out, 0, GREETING_BYTES);
    out[0] = 0xff;
    out[8] = 1;
    out[9] = 0x7f;
    out[10] = 3;
    memcpy(out + 12, "NULL", 4);
    off = header_put(ready, FLAG_COMMAND, body);
    memcpy(ready + off, "\5READY\13Socket-Type", 18);
    off += 18;
    memset(ready + off, 0, 4);
    ready[off + 3] = (uint8_t)type_bytes;
    memcpy(ready + off + 4, socket_type, type_bytes);
    return GREETING_BYTES + off + 4 + type_bytes;
}

/* Value of `name=` among the arguments, else `missing`. */
static inline const char *argument(char **argv, const char *name, const char *missing)
{
    size_t name_bytes = strlen(name);

    for (argv++; *argv; argv++)
        if (!strncmp(*argv, name, name_bytes) && (*argv)[name_bytes] == '=')
            return *argv + name_bytes + 1;
    return missing;
}

#endif
