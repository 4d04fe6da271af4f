/* The limit for the proxy bench: what one thread can do that knows nothing but frames. Not a ZeroMQ proxy.
 *
 *   forward mode=streamer|forwarder|queue [front=ipc://PATH back=ipc://PATH] [size=S] [spin_us=T] [seconds=T]
 *           [through=memory|pipe]
 *
 * Binds (two ports of 127.0.0.1 when no paths are given), prints {"front": ENDPOINT, "back": ENDPOINT}, forwards until it is
 * killed. S is the largest message; T says how long it polls before it sleeps. Reads 256 KiB, splits messages,
 * appends each to the out buffers it belongs to, writes every buffer once a turn. A source whose targets are full is not
 * read. streamer: round robin over the back. forwarder: front to all of the back (every subscriber gets all), back to all
 * of the front. queue: front gets a routing id frame in front and goes round robin, back goes where that frame says.
 *
 * through: a streamer of one source and one sink only. Frames are not collected but move on as their bytes come, behind a
 * look at each header: by recv and send of at most 256 KiB, or by splice through a pipe of 1 MiB. What the two differ by is
 * what splice is worth. */
#define _GNU_SOURCE /* splice */
#include "zmtp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNS_MAX = 1024, /* a side */
    STREAM_BYTES = 256 * 1024, /* through=memory: one read */
    PIPE_BYTES = 1024 * 1024, /* through=pipe: the most that an unprivileged process may have */
    ID_FRAME_BYTES = 7, /* 01 05 00, index (4): the form of libzmq's generated routing ids */
};

typedef struct {
    int fd;
    int is_front;
    int is_blocked; /* a whole message waits in `in` for room on the other side */
    size_t skip;    /* bytes of greeting and READY still to come; 0: ready */
    size_t in_bytes;
    size_t out_off, out_bytes;
    uint8_t *in, *out; /* in_max, out_max bytes */
} conn_t;

static conn_t *sides[2][CONNS_MAX]; /* 0 back, 1 front */
static int counts[2];
static int next_back;
static uint8_t subscriptions[64 * 1024]; /* forwarder: all that came from the back, for sources that connect later */
static size_t subscription_bytes;
static size_t in_max = 256 * 1024, out_max = 1024 * 1024;
static char mode; /* first letter of the mode's name */
static char through; /* 0, m or p */

static size_t conn_room(const conn_t *self)
{
    return out_max - self->out_bytes;
}

static void conn_append(conn_t *self, const uint8_t *data, size_t bytes)
{
    memcpy(self->out + self->out_bytes, data, bytes);
    self->out_bytes += bytes;
}

/* Whether anything went out. */
static int conn_flush(conn_t *self)
{
    ssize_t n;

    if (self->fd < 0)
        self->out_off = self->out_bytes;
    if (self->out_off == self->out_bytes) {
        self->out_off = self->out_bytes = 0;
        return 0;
    }
    n = send(self->fd, self->out + self->out_off, self->out_bytes - self->out_off, MSG_NOSIGNAL);
    if (n > 0)
        self->out_off += (size_t)n;
    if (self->out_off == self->out_bytes) {
        self->out_off = self->out_bytes = 0;
    } else if (self->out_off > out_max / 2) {
        self->out_bytes -= self->out_off;
        memmove(self->out, self->out + self->out_off, self->out_bytes);
        self->out_off = 0;
    }
    return n > 0;
}

/* The next connection of the back that has room, or NULL. */
static conn_t *back_pick(size_t bytes)
{
    for (int i = 0; i < counts[0]; i++) {
        conn_t *conn = sides[0][next_back];

        next_back = next_back + 1 < counts[0] ? next_back + 1 : 0;
        if (conn->fd >= 0 && !conn->skip && conn_room(conn) >= bytes)
            return conn;
    }
    return NULL;
}

/* Appends to every connection of a side, or to none. */
static int side_append(int is_front, const uint8_t *data, size_t bytes)
{
    for (int i = 0; i < counts[is_front]; i++)
        if (conn_room(sides[is_front][i]) < bytes)
            return 0;
    for (int i = 0; i < counts[is_front]; i++)
        conn_append(sides[is_front][i], data, bytes);
    return 1;
}

/* 1: the message has been taken; 0: no room. */
static int forward(const conn_t *source, int index, const uint8_t *data, size_t bytes)
{
    conn_t *target;
    uint32_t owner;

    if (mode == 'f' && !source->is_front) {
        if (subscription_bytes + bytes > sizeof subscriptions)
            die("subscriptions");
        memcpy(subscriptions + subscription_bytes, data, bytes);
        subscription_bytes += bytes;
    }
    if (mode == 'f')
        return side_append(!source->is_front, data, bytes);
    if (source->is_front) {
        uint8_t id[ID_FRAME_BYTES] = {FLAG_MORE, 5, 0};

        target = back_pick(bytes + ID_FRAME_BYTES);
        if (!target)
            return 0;
        owner = (uint32_t)index;
        memcpy(id + 3, &owner, 4);
        if (mode == 'q')
            conn_append(target, id, ID_FRAME_BYTES);
        conn_append(target, data, bytes);
        return 1;
    }
    if (mode == 's' || bytes < ID_FRAME_BYTES || data[1] != 5)
        return 1;
    memcpy(&owner, data + 3, 4);
    if (owner >= (uint32_t)counts[1])
        return 1;
    target = sides[1][owner];
    if (conn_room(target) < bytes)
        return 0;
    conn_append(target, data + ID_FRAME_BYTES, bytes - ID_FRAME_BYTES);
    return 1;
}

static void conn_pump(conn_t *self, int index)
{
    size_t off = 0, bytes, run_bytes = 0;

    if (self->skip) {
        if (self->skip == GREETING_BYTES && self->in_bytes > GREETING_BYTES)
            self->skip += frame_bytes(self->in + GREETING_BYTES, self->in_bytes - GREETING_BYTES);
        if (self->skip == GREETING_BYTES || self->in_bytes < self->skip)
            return;
        off = self->skip;
        self->skip = 0;
    }
    self->is_blocked = 0;
    while ((bytes = message_bytes(self->in + off, self->in_bytes - off))) {
        /* With one target the run goes over whole, as the real proxy would hand it on. */
        if (mode == 'f' || (mode == 's' && counts[0] == 1)) {
            run_bytes = bytes;
            while (off + run_bytes < self->in_bytes &&
                   (bytes = message_bytes(self->in + off + run_bytes, self->in_bytes - off - run_bytes)))
                run_bytes += bytes;
            bytes = run_bytes;
        }
        if (!forward(self, index, self->in + off, bytes)) {
            self->is_blocked = 1;
            break;
        }
        off += bytes;
    }
    if (off) {
        self->in_bytes -= off;
        memmove(self->in, self->in + off, self->in_bytes);
    }
}

static void conn_read(conn_t *self)
{
    size_t wanted = in_max;
    ssize_t n;

    if (through) /* not a byte beyond the handshake, whose READY has a short header */
        wanted = self->skip > GREETING_BYTES ? self->skip : GREETING_BYTES + 2;
    n = recv(self->fd, self->in + self->in_bytes, wanted - self->in_bytes, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close(self->fd);
        self->fd = -1;
        return;
    }
    if (n > 0)
        self->in_bytes += (size_t)n;
}

static void side_accept(int listener, int is_front)
{
    static const char *const types[] = {"PUSH", "PULL", "XPUB", "XSUB", "DEALER", "ROUTER"};
    conn_t *conn = calloc(1, sizeof *conn);
    int kind = mode == 's' ? 0 : mode == 'f' ? 2 : 4;
    int on = 1;

    if (!conn || counts[is_front] == CONNS_MAX || !(conn->in = malloc(in_max)) || !(conn->out = malloc(out_max)))
        die("connection");
    conn->fd = accept(listener, NULL, NULL);
    if (conn->fd < 0 || fcntl(conn->fd, F_SETFL, O_NONBLOCK))
        die("accept");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->is_front = is_front;
    conn->skip = GREETING_BYTES;
    conn->out_bytes = handshake_put(conn->out, types[kind + is_front]);
    sides[is_front][counts[is_front]++] = conn;
    if (is_front)
        conn_append(conn, subscriptions, subscription_bytes);
    conn_flush(conn);
}

/* Binds the path, or a free port, and prints its endpoint. */
static int side_listen(const char *name, const char *at)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET};
    struct sockaddr_un ipc = {.sun_family = AF_UNIX};
    socklen_t tcp_bytes = sizeof tcp;
    int is_ipc = !strncmp(at, "ipc://", 6);
    int fd = socket(is_ipc ? AF_UNIX : AF_INET, SOCK_STREAM, 0);

    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (is_ipc)
        snprintf(ipc.sun_path, sizeof ipc.sun_path, "%s", at + 6);
    if (fd < 0 || (is_ipc ? bind(fd, (struct sockaddr *)&ipc, sizeof ipc) : bind(fd, (struct sockaddr *)&tcp, sizeof tcp)) ||
        listen(fd, CONNS_MAX) || (!is_ipc && getsockname(fd, (struct sockaddr *)&tcp, &tcp_bytes)))
        die("listen");
    if (is_ipc)
        printf("\"%s\": \"%s\", ", name, at);
    else
        printf("\"%s\": \"tcp://127.0.0.1:%d\", ", name, ntohs(tcp.sin_port));
    return fd;
}

static int poll_spinning(struct pollfd *polls, nfds_t count, long spin_us)
{
    struct timespec begin, now;

    if (spin_us) {
        clock_gettime(CLOCK_MONOTONIC, &begin);
        do {
            int ready = poll(polls, count, 0);
            if (ready)
                return ready;
            clock_gettime(CLOCK_MONOTONIC, &now);
        } while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 < spin_us);
    }
    return poll(polls, count, -1);
}

/* Moves frames until one side ends. `held` is what has left the source and not yet reached the target. */
static void stream(const conn_t *source, const conn_t *target)
{
    static uint8_t memory[STREAM_BYTES];
    size_t frame_left = 0, held = 0, off = 0;
    int ends[2];

    if (pipe(ends) || fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) < 0)
        die("pipe");
    for (;;) {
        struct pollfd wait;
        ssize_t n;

        if (!held) {
            uint8_t header[HEADER_MAX_BYTES];

            if (!frame_left) {
                n = recv(source->fd, header, sizeof header, MSG_PEEK);
                frame_left = n > 0 ? frame_bytes(header, (size_t)n) : 0;
            }
            if (!frame_left && n > 0) { /* a part of a header */
                n = -1;
                errno = EAGAIN;
            } else if (!frame_left)
                ; /* nothing, or the end */
            else if (through == 'p')
                n = splice(source->fd, NULL, ends[1], NULL, frame_left, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            else
                n = recv(source->fd, memory, frame_left < STREAM_BYTES ? frame_left : STREAM_BYTES, 0);
            if (n == 0)
                return;
            if (n > 0) {
                held = (size_t)n;
                frame_left -= held;
                off = 0;
            }
        }
        while (held) {
            if (through == 'p')
                n = splice(ends[0], NULL, target->fd, NULL, held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            else
                n = send(target->fd, memory + off, held, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            held -= (size_t)n;
            off += (size_t)n;
        }
        if (n > 0)
            continue;
        if (errno != EAGAIN && errno != EINTR)
            return;
        wait.fd = held ? target->fd : source->fd;
        wait.events = held ? POLLOUT : POLLIN;
        poll(&wait, 1, -1);
    }
}

int main(int argc, char **argv)
{
    static struct pollfd polls[2 + 2 * CONNS_MAX];
    static conn_t *polled[2 + 2 * CONNS_MAX];
    static int indexes[2 + 2 * CONNS_MAX];
    size_t size = strtoull(argument(argv, "size", "64"), NULL, 10);
    long spin_us = atol(argument(argv, "spin_us", "0"));
    int listeners[2];
    int has_blocked = 0;

    (void)argc;
    mode = argument(argv, "mode", "streamer")[0];
    through = argument(argv, "through", "")[0];
    alarm((unsigned)atoi(argument(argv, "seconds", "60")));
    if (in_max < 2 * size)
        in_max = 2 * size;
    if (out_max < 4 * size)
        out_max = 4 * size;
    putchar('{');
    listeners[1] = side_listen("front", argument(argv, "front", ""));
    listeners[0] = side_listen("back", argument(argv, "back", ""));
    printf("\"spin_us\": %ld}\n", spin_us);
    fflush(stdout);
    for (;;) {
        int used = 0;

        for (int is_front = 0; is_front < 2; is_front++) {
            polls[used].fd = listeners[is_front];
            polls[used++].events = POLLIN;
        }
        for (int is_front = 0; is_front < 2; is_front++) {
            for (int i = 0; i < counts[is_front]; i++) {
                conn_t *conn = sides[is_front][i];

                int is_waiting = conn->is_blocked || (through && !conn->skip); /* for the other side */

                polls[used].fd = conn->fd;
                polls[used].events = (short)((is_waiting ? 0 : POLLIN) | (conn->out_bytes ? POLLOUT : 0));
                indexes[used] = i;
                polled[used++] = conn;
            }
        }
        /* The flush that ends a turn may empty the buffer that a source waits for; then no event would come. */
        if ((has_blocked ? poll(polls, (nfds_t)used, 0) : poll_spinning(polls, (nfds_t)used, spin_us)) < 0)
            die("poll");
        for (int i = 2; i < used; i++) {
            if (polls[i].revents & POLLOUT)
                conn_flush(polled[i]);
            if (polls[i].revents & ~POLLOUT)
                conn_read(polled[i]);
        }
        for (int i = 2; i < used; i++)
            if (polled[i]->in_bytes)
                conn_pump(polled[i], indexes[i]);
        has_blocked = 0;
        for (int i = 2; i < used; i++)
            if (conn_flush(polled[i]))
                for (int j = 2; j < used; j++)
                    has_blocked |= polled[j]->is_blocked;
        for (int is_front = 0; is_front < 2; is_front++)
            if (polls[is_front].revents)
                side_accept(listeners[is_front], is_front);
        if (through && counts[0] && counts[1] && !sides[0][0]->skip && !sides[1][0]->skip &&
            !sides[0][0]->out_bytes && !sides[1][0]->out_bytes) {
            stream(sides[1][0], sides[0][0]);
            return 0;
        }
    }
}
