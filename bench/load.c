/* Raw ZMTP peers for the proxy bench: sources, sinks, pipelined clients and echoing workers, over TCP or Unix sockets.
 *
 *   load role=push|pub   at=ENDPOINT peers=N size=S count=C [ready=K]   C messages over N connections; pub waits for K subscribers
 *   load role=pull|sub   at=ENDPOINT peers=N size=S count=C             pull: C in all; sub: C on every connection
 *   load role=client     at=ENDPOINT peers=N size=S count=C window=W    C requests in all, W in flight on each connection
 *   load role=worker     at=ENDPOINT peers=N                            sends every byte back until stdin closes
 *   load role=turns      at=ENDPOINT back=ENDPOINT peers=N size=S count=C   N sources send one message each in turn to one sink;
 *                                                                       the next turn begins when the sink has them all
 *   common: seconds=T    the whole life of the process, enforced by alarm(2)
 *   topics=T             pub: bodies begin with one of T topics; sub: subscribes its T/N of them, and C messages come in all
 *
 * Prints "ready" when all handshakes are done, waits for a line on stdin, works, prints one line of JSON. One thread: the
 * generator has to stay cheaper than the proxy, so bytes go out in prepared chunks of whole frames and come in by 256 KiB.
 * A sink compares the frame headers (and topics) of one read in seven with the expected ones ("wrong"): TCP discards the bytes
 * of the others unseen, which saves their copy. Bodies are compared only where a request is answered. */
#include "zmtp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    PEERS_MAX = 1024,
    CHUNK_BYTES = 256 * 1024,
    QUIET_MS = 3000, /* nothing came for so long: what is missing counts as lost */
    CHECKED_READS = 7, /* a sink looks at one read of so many; no divisor of usual peer counts, so that all get their turn */
    TOPIC_BYTES = 14, /* "topic-" and 8 digits */
    STAMP_BYTES = 16, /* a request's body begins with peer (4), sequence (4), time in ns (8), host order */
};

typedef struct {
    int fd;
    uint8_t *in;     /* client and worker: bytes not yet used; before the start: what followed the peer's READY */
    size_t in_bytes;
    uint8_t *out;    /* client: requests built and not yet written */
    size_t out_off, out_bytes;
    uint64_t sent;   /* bytes (source, worker), messages built (client) */
    uint64_t got;    /* bytes (sink), replies (client) */
    uint64_t target; /* bytes (source, sink), messages (client) */
    uint64_t echo_sum; /* client: sum of the sequences that came back */
    size_t phase;    /* sink: bytes of the current frame already seen */
} peer_t;

static peer_t peers[PEERS_MAX + 1]; /* the last one: the sink of role=turns */
static struct pollfd polls[PEERS_MAX + 1];
static int peer_count;
static size_t body_bytes, header_size, frame_size;
static uint8_t header[HEADER_MAX_BYTES];
static size_t chunk_bytes; /* what a source sends over and over: whole frames */
static uint8_t *chunk;
static uint32_t topic_count;
static uint64_t first_ns, last_ns, wrong;

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double cpu_s(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(fd, data, bytes);
        if (n < 0)
            die("write");
        data += n;
        bytes -= (size_t)n;
    }
}

static int endpoint_connect(const char *at)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET};
    struct sockaddr_un ipc = {.sun_family = AF_UNIX};
    int is_ipc = !strncmp(at, "ipc://", 6);
    int fd = socket(is_ipc ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    const char *port = strrchr(at, ':');
    int on = 1;

    if (fd < 0 || !port)
        die("socket");
    if (is_ipc) {
        snprintf(ipc.sun_path, sizeof ipc.sun_path, "%s", at + 6);
        if (connect(fd, (struct sockaddr *)&ipc, sizeof ipc))
            die("connect");
        return fd;
    }
    tcp.sin_port = htons((uint16_t)atoi(port + 1));
    tcp.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&tcp, sizeof tcp))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* BBR, where it is the default, paces even loopback: the source would then be the limit. May be missing. */
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    return fd;
}

static void peer_open(peer_t *self, const char *at, const char *socket_type)
{
    uint8_t handshake[GREETING_BYTES + READY_MAX_BYTES];
    size_t skip;

    self->fd = endpoint_connect(at);
    write_all(self->fd, handshake, handshake_put(handshake, socket_type));
    self->in = malloc(CHUNK_BYTES);
    if (!self->in)
        die("malloc");
    for (;;) {
        ssize_t n = read(self->fd, self->in + self->in_bytes, CHUNK_BYTES - self->in_bytes);
        if (n <= 0)
            die("handshake");
        self->in_bytes += (size_t)n;
        if (self->in_bytes <= GREETING_BYTES)
            continue;
        skip = frame_bytes(self->in + GREETING_BYTES, self->in_bytes - GREETING_BYTES);
        if (skip && GREETING_BYTES + skip <= self->in_bytes)
            break;
    }
    skip += GREETING_BYTES;
    self->in_bytes -= skip;
    memmove(self->in, self->in + skip, self->in_bytes);
}

static size_t subscription_put(uint8_t *out, const char *topic)
{
    size_t topic_bytes = strlen(topic);
    size_t off = header_put(out, 0, 1 + topic_bytes);

    out[off] = 1;
    memcpy(out + off + 1, topic, topic_bytes);
    return off + 1 + topic_bytes;
}

static void topic_print(char *out, uint32_t number)
{
    snprintf(out, TOPIC_BYTES + 1, "topic-%08u", number % 100000000u);
}

/* All or its share of the topics, then one that tells the source that this subscriber is done. */
static void peer_subscribe(peer_t *self, int index)
{
    uint8_t *data = malloc((size_t)(topic_count / (uint32_t)peer_count + 3) * 32);
    size_t bytes = 0;
    char topic[32];

    if (!data)
        die("malloc");
    if (!topic_count)
        bytes = subscription_put(data, "");
    for (uint32_t number = (uint32_t)index; number < topic_count; number += (uint32_t)peer_count) {
        topic_print(topic, number);
        bytes += subscription_put(data + bytes, topic);
    }
    snprintf(topic, sizeof topic, "ready-%d", index);
    bytes += subscription_put(data + bytes, topic);
    write_all(self->fd, data, bytes);
    free(data);
}

/* Until the last subscription of each of `count` subscribers has travelled up to this source. */
static void peer_await_subscribers(peer_t *self, int count)
{
    while (count) {
        size_t off = 0, bytes;
        ssize_t n;

        while (count && (bytes = message_bytes(self->in + off, self->in_bytes - off))) {
            count -= bytes > 9 && !memcmp(self->in + off + 2, "\1ready-", 7);
            off += bytes;
        }
        self->in_bytes -= off;
        memmove(self->in, self->in + off, self->in_bytes);
        if (!count)
            return;
        n = read(self->fd, self->in + self->in_bytes, CHUNK_BYTES - self->in_bytes);
        if (n <= 0)
            die("subscriptions");
        self->in_bytes += (size_t)n;
    }
}

/* The order of the topics jumps about, so that no cache of the proxy holds the next one by chance. */
static void chunk_make(void)
{
    size_t frames = CHUNK_BYTES / frame_size ? CHUNK_BYTES / frame_size : 1;
    char topic[32];

    if (topic_count > frames)
        frames = topic_count;
    else if (topic_count)
        frames = frames / topic_count * topic_count;
    chunk_bytes = frames * frame_size;
    chunk = malloc(chunk_bytes > CHUNK_BYTES ? chunk_bytes : CHUNK_BYTES);
    if (!chunk)
        die("malloc");
    memset(chunk, 'z', chunk_bytes);
    for (size_t i = 0; i < frames; i++) {
        memcpy(chunk + i * frame_size, header, header_size);
        if (topic_count) {
            topic_print(topic, (uint32_t)(i * 7919 % topic_count));
            memcpy(chunk + i * frame_size + header_size, topic, TOPIC_BYTES);
        }
    }
}

static int would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

static void run_source(void)
{
    size_t send_max = frame_size > CHUNK_BYTES ? frame_size : CHUNK_BYTES;
    int unfinished = peer_count;

    first_ns = now_ns();
    while (unfinished) {
        unfinished = 0;
        for (int i = 0; i < peer_count; i++) {
            polls[i].events = peers[i].sent < peers[i].target ? POLLOUT : 0;
            unfinished += polls[i].events != 0;
        }
        if (unfinished && poll(polls, (nfds_t)peer_count, -1) < 0)
            die("poll");
        for (int i = 0; i < peer_count; i++) {
            peer_t *peer = &peers[i];
            size_t off = peer->sent % chunk_bytes;
            size_t want = chunk_bytes - off < send_max ? chunk_bytes - off : send_max;
            ssize_t n;

            if (polls[i].events == 0 || !polls[i].revents)
                continue;
            if (want > peer->target - peer->sent)
                want = peer->target - peer->sent;
            n = send(peer->fd, chunk + off, want, MSG_NOSIGNAL);
            if (n < 0 && !would_block())
                die("send");
            if (n > 0)
                peer->sent += (uint64_t)n;
        }
    }
    last_ns = now_ns();
}

/* A topic of this subscriber stands at `data`. */
static int is_own_topic(const uint8_t *data, int index)
{
    uint32_t number = 0;

    for (int i = 6; i < TOPIC_BYTES; i++)
        number = number * 10 + (uint32_t)(data[i] - '0');
    return number < topic_count && number % (uint32_t)peer_count == (uint32_t)index;
}

/* All frames are alike, so a frame begins wherever `phase` is 0: flags and the last length byte are looked at. */
static void sink_check(const peer_t *self, const uint8_t *data, size_t bytes)
{
    size_t off = self->phase ? frame_size - self->phase : 0;
    size_t length_off = header_size - 1;

    for (; off + length_off < bytes; off += frame_size) {
        wrong += data[off] != header[0] || data[off + length_off] != header[length_off];
        if (topic_count && off + header_size + TOPIC_BYTES <= bytes)
            wrong += !is_own_topic(data + off + header_size, (int)(self - peers));
    }
}

static void run_sink(int is_shared, uint64_t total)
{
    uint64_t got = 0;
    unsigned reads = 0;

    for (;;) {
        int ready = poll(polls, (nfds_t)peer_count, first_ns ? QUIET_MS : -1);
        if (ready < 0)
            die("poll");
        if (ready == 0)
            return;
        for (int i = 0; i < peer_count; i++) {
            int is_checked = reads++ % CHECKED_READS == 0;
            ssize_t n;

            if (!polls[i].revents)
                continue;
            n = recv(peers[i].fd, chunk, CHUNK_BYTES, is_checked ? 0 : MSG_TRUNC);
            if (n == 0 || (n < 0 && !would_block())) {
                polls[i].fd = -1;
                continue;
            }
            if (n < 0)
                continue;
            last_ns = now_ns();
            if (!first_ns)
                first_ns = last_ns;
            if (is_checked)
                sink_check(&peers[i], chunk, (size_t)n);
            peers[i].phase = (peers[i].phase + (size_t)n) % frame_size;
            peers[i].got += (uint64_t)n;
            got += (uint64_t)n;
        }
        if (got >= (is_shared ? total : total * (uint64_t)peer_count))
            return;
    }
}

static void run_turns(uint64_t total)
{
    peer_t *sink = &peers[peer_count];
    struct pollfd sink_poll = {.fd = sink->fd, .events = POLLIN};

    first_ns = now_ns();
    for (uint64_t turn_end = 0; turn_end < total;) {
        uint64_t sent = turn_end;

        turn_end = total - sent < (uint64_t)peer_count ? total : sent + (uint64_t)peer_count;
        for (int i = 0; sent < turn_end; i++, sent++)
            write_all(peers[i].fd, chunk, frame_size);
        while (sink->got < turn_end * frame_size) {
            ssize_t n;

            if (poll(&sink_poll, 1, QUIET_MS) <= 0)
                return;
            n = recv(sink->fd, sink->in, CHUNK_BYTES, 0);
            if (n <= 0)
                die("the proxy closed the sink's connection");
            sink_check(sink, sink->in, (size_t)n);
            sink->phase = (sink->phase + (size_t)n) % frame_size;
            sink->got += (uint64_t)n;
        }
        last_ns = now_ns();
    }
}

static uint32_t *latencies; /* ns, one a reply */
static uint64_t replies, replies_max;

static int compare_u32(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

static void client_fill(peer_t *self, uint32_t index, uint64_t window)
{
    uint64_t stamp_ns = now_ns();

    while (self->sent < self->target && self->sent - self->got < window &&
           self->out_bytes + 2 + frame_size <= CHUNK_BYTES) {
        uint8_t *at = self->out + self->out_bytes;
        uint32_t sequence = (uint32_t)self->sent++;

        at[0] = FLAG_MORE;
        at[1] = 0;
        memcpy(at + 2, chunk, frame_size);
        at += 2 + header_size;
        memcpy(at, &index, 4);
        memcpy(at + 4, &sequence, 4);
        memcpy(at + 8, &stamp_ns, 8);
        self->out_bytes += 2 + frame_size;
    }
}

static void client_flush(peer_t *self)
{
    ssize_t n;

    if (self->out_off == self->out_bytes)
        return;
    n = send(self->fd, self->out + self->out_off, self->out_bytes - self->out_off, MSG_NOSIGNAL);
    if (n < 0 && !would_block())
        die("send");
    if (n > 0)
        self->out_off += (size_t)n;
    if (self->out_off == self->out_bytes)
        self->out_off = self->out_bytes = 0;
}

static void client_take(peer_t *self, uint32_t index)
{
    size_t reply_bytes = 2 + frame_size, off = 0;

    for (; off + reply_bytes <= self->in_bytes; off += reply_bytes) {
        const uint8_t *at = self->in + off;
        uint32_t owner, sequence;
        uint64_t stamp_ns, took_ns;

        memcpy(&owner, at + 2 + header_size, 4);
        memcpy(&sequence, at + 6 + header_size, 4);
        memcpy(&stamp_ns, at + 10 + header_size, 8);
        wrong += at[0] != FLAG_MORE || at[1] != 0 || memcmp(at + 2, header, header_size) || owner != index;
        self->echo_sum += sequence;
        took_ns = last_ns - stamp_ns;
        if (replies < replies_max)
            latencies[replies++] = took_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)took_ns;
        self->got++;
    }
    self->in_bytes -= off;
    memmove(self->in, self->in + off, self->in_bytes);
}

static void run_client(uint64_t total, uint64_t window)
{
    replies_max = total;
    latencies = malloc(replies_max * sizeof *latencies);
    if (!latencies)
        die("malloc");
    first_ns = now_ns();
    while (replies < total) {
        int ready;

        for (int i = 0; i < peer_count; i++) {
            client_fill(&peers[i], (uint32_t)i, window);
            client_flush(&peers[i]);
            polls[i].events = peers[i].out_bytes ? POLLIN | POLLOUT : POLLIN;
        }
        ready = poll(polls, (nfds_t)peer_count, QUIET_MS);
        if (ready < 0)
            die("poll");
        if (ready == 0)
            break;
        last_ns = now_ns();
        for (int i = 0; i < peer_count; i++) {
            peer_t *peer = &peers[i];
            ssize_t n;

            if (!(polls[i].revents & (POLLIN | POLLHUP | POLLERR)))
                continue;
            n = recv(peer->fd, peer->in + peer->in_bytes, CHUNK_BYTES - peer->in_bytes, 0);
            if (n == 0 || (n < 0 && !would_block()))
                die("the proxy closed a client's connection");
            if (n < 0)
                continue;
            peer->in_bytes += (size_t)n;
            client_take(peer, (uint32_t)i);
        }
    }
    /* Replies may come in any order, but each sequence exactly once. */
    for (int i = 0; i < peer_count; i++)
        if (peers[i].got == peers[i].target && peers[i].echo_sum != peers[i].target * (peers[i].target - 1) / 2)
            wrong++;
    qsort(latencies, replies, sizeof *latencies, compare_u32);
}

static void run_worker(void)
{
    polls[peer_count].fd = 0;
    polls[peer_count].events = POLLIN;
    for (;;) {
        for (int i = 0; i < peer_count; i++)
            polls[i].events = peers[i].in_bytes ? POLLOUT : POLLIN;
        if (poll(polls, (nfds_t)peer_count + 1, -1) < 0)
            die("poll");
        for (int i = 0; i < peer_count; i++) {
            peer_t *peer = &peers[i];
            ssize_t n;

            if (!polls[i].revents)
                continue;
            if (!peer->in_bytes) {
                n = recv(peer->fd, peer->in, CHUNK_BYTES, 0);
                if (n == 0 || (n < 0 && !would_block()))
                    polls[i].fd = -1;
                if (n <= 0)
                    continue;
                peer->in_bytes = (size_t)n;
                peer->out_off = 0;
            }
            n = send(peer->fd, peer->in + peer->out_off, peer->in_bytes - peer->out_off, MSG_NOSIGNAL);
            if (n < 0 && !would_block())
                die("send");
            if (n > 0) {
                peer->out_off += (size_t)n;
                peer->sent += (uint64_t)n;
            }
            if (peer->out_off == peer->in_bytes)
                peer->in_bytes = 0;
        }
        if (polls[peer_count].revents)
            return;
    }
}

static double percentile_us(double share)
{
    return replies ? latencies[(uint64_t)(share * (double)(replies - 1))] / 1e3 : 0;
}

static void report(const char *role, uint64_t unit_bytes)
{
    uint64_t got = 0, sent = 0;

    for (int i = 0; i <= peer_count; i++) {
        got += peers[i].got;
        sent += peers[i].sent;
    }
    printf("{\"role\": \"%s\", \"sent\": %llu, \"received\": %llu, \"wrong\": %llu, \"seconds\": %.9f, \"cpu_s\": %.6f", role,
           (unsigned long long)(sent / unit_bytes), (unsigned long long)(got / unit_bytes), (unsigned long long)wrong,
           (double)(last_ns - first_ns) / 1e9, cpu_s());
    if (latencies)
        printf(", \"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f", percentile_us(.5), percentile_us(.99),
               percentile_us(.999));
    printf(", \"shares\": [");
    for (int i = 0; i < peer_count; i++)
        printf("%s%llu", i ? ", " : "", (unsigned long long)((peers[i].got ? peers[i].got : peers[i].sent) / unit_bytes));
    printf("]}\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *role = argument(argv, "role", "");
    const char *at = argument(argv, "at", "");
    uint64_t total = strtoull(argument(argv, "count", "0"), NULL, 10);
    uint64_t window = strtoull(argument(argv, "window", "1"), NULL, 10);
    int is_client = !strcmp(role, "client"), is_worker = !strcmp(role, "worker");
    int is_sub = !strcmp(role, "sub"), is_pub = !strcmp(role, "pub");
    int is_turns = !strcmp(role, "turns");
    int is_source = is_turns || is_pub || !strcmp(role, "push"), is_sink = is_sub || !strcmp(role, "pull");
    const char *socket_type = is_client   ? "DEALER"
                              : is_worker ? "REP"
                              : is_pub    ? "PUB"
                              : is_sub    ? "SUB"
                              : is_source ? "PUSH"
                                          : "PULL";
    char line[16];

    (void)argc;
    peer_count = atoi(argument(argv, "peers", "1"));
    topic_count = (uint32_t)strtoul(argument(argv, "topics", "0"), NULL, 10);
    body_bytes = strtoull(argument(argv, "size", "64"), NULL, 10);
    if (!(is_client || is_worker || is_source || is_sink) || peer_count < 1 || peer_count > PEERS_MAX ||
        window < 1 || (is_client && (body_bytes < STAMP_BYTES || body_bytes > CHUNK_BYTES / 2)) ||
        (topic_count && body_bytes < TOPIC_BYTES)) {
        fprintf(stderr, "load: bad arguments\n");
        return 2;
    }
    alarm((unsigned)atoi(argument(argv, "seconds", "60")));
    header_size = header_put(header, 0, body_bytes);
    frame_size = header_size + body_bytes;
    chunk_make();
    for (int i = 0; i < peer_count; i++) {
        peer_t *peer = &peers[i];
        uint64_t part = total / (uint64_t)peer_count + ((uint64_t)i < total % (uint64_t)peer_count);

        peer_open(peer, at, socket_type);
        peer->target = is_source ? part * frame_size : part;
        if (is_client && !(peer->out = malloc(CHUNK_BYTES)))
            die("malloc");
        if (is_sub)
            peer_subscribe(peer, i);
        if (is_pub)
            peer_await_subscribers(peer, atoi(argument(argv, "ready", "0")));
        polls[i].fd = peer->fd;
        polls[i].events = POLLIN;
        if (fcntl(peer->fd, F_SETFL, is_turns ? 0 : O_NONBLOCK))
            die("fcntl");
    }
    if (is_turns)
        peer_open(&peers[peer_count], argument(argv, "back", ""), "PULL");
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 2;
    if (is_turns)
        run_turns(total);
    else if (is_source)
        run_source();
    else if (is_sink)
        run_sink(!is_sub || topic_count, total * frame_size);
    else if (is_client)
        run_client(total, window);
    else
        run_worker();
    report(role, is_source || is_sink ? frame_size : 1);
    /* A source leaves only when it is told so: closing with unread subscriptions would reset what the proxy still reads. */
    if (is_source)
        while (fgets(line, sizeof line, stdin))
            continue;
    return 0;
}
