# zmqcore/_sys.pxd -- the platform: externs, atomics, clock, byte order (floor 0).
# Nothing here is written by us but the few static inlines; everything below _core imports from here
# what it needs of libc, pthread and Linux, so that no other file names a system header.
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <time.h>
    #include <errno.h>

    /* Fatal in debug builds, nothing in release builds. Never on what a peer or a caller can cause. */
    #ifdef ZMQCORE_DEBUG
    #define zc_check(cond) ((cond) ? (void)0 : zc_check_failed(__FILE__, __LINE__))
    static inline void zc_check_failed(const char *file, int line) {
        fprintf(stderr, "zmqcore: invariant broken at %s:%d\\n", file, line);
        abort();
    }
    #else
    #define zc_check(cond) ((void)0)
    #endif

    #define zc_likely(x) __builtin_expect(!!(x), 1)
    #define zc_unlikely(x) __builtin_expect(!!(x), 0)
    #define zc_prefetch(at) __builtin_prefetch(at)

    /* Orders, the same on every machine: a load acquires, a store releases, an addition does both (counts of references:
     * whoever takes the last one sees what the others did), an exchange is also ordered among all exchanges. A load behind
     * an exchange of another variable may be early: two sides that look at each other's flag must meet on one of them. */
    static inline int32_t zc_load(const int32_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    static inline void zc_store(int32_t *at, int32_t v) { __atomic_store_n(at, v, __ATOMIC_RELEASE); }
    static inline int32_t zc_add(int32_t *at, int32_t v) { return __atomic_add_fetch(at, v, __ATOMIC_ACQ_REL); }
    static inline int32_t zc_swap(int32_t *at, int32_t v) { return __atomic_exchange_n(at, v, __ATOMIC_SEQ_CST); }
    static inline uint64_t zc_load_u64(const uint64_t *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
    static inline uint64_t zc_add_u64(uint64_t *at, uint64_t v) { return __atomic_add_fetch(at, v, __ATOMIC_ACQ_REL); }
    static inline void zc_bump_u64(uint64_t *at, uint64_t by) { __atomic_store_n(at, *at + by, __ATOMIC_RELAXED); }
    static inline void zc_store_u64(uint64_t *at, uint64_t v) { __atomic_store_n(at, v, __ATOMIC_RELEASE); }

    /* Overwrites a secret; the barrier keeps the compiler from leaving it out because nobody reads it again. */
    static inline void zc_wipe(void *at, size_t size) {
        if (size) memset(at, 0, size);
        __asm__ __volatile__("" : : "r"(at) : "memory");
    }

    /* Monotonic microseconds; never 0, so that 0 can mean "none". */
    static inline uint64_t zc_now_us(void) {
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u + 1u;
    }

    static inline uint16_t zc_be16(const uint8_t *at) { return (uint16_t)((at[0] << 8) | at[1]); }
    static inline uint32_t zc_be32(const uint8_t *at) {
        uint32_t v; memcpy(&v, at, 4); return __builtin_bswap32(v);
    }
    static inline uint64_t zc_be64(const uint8_t *at) {
        uint64_t v; memcpy(&v, at, 8); return __builtin_bswap64(v);
    }
    static inline void zc_put_be16(uint8_t *at, uint16_t v) { at[0] = (uint8_t)(v >> 8); at[1] = (uint8_t)v; }
    static inline void zc_put_be32(uint8_t *at, uint32_t v) { v = __builtin_bswap32(v); memcpy(at, &v, 4); }
    static inline void zc_put_be64(uint8_t *at, uint64_t v) { v = __builtin_bswap64(v); memcpy(at, &v, 8); }
    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "zmqcore's byte order helpers are written for little-endian machines"
    #endif
    """
    void zc_check(bint cond)
    bint zc_likely(bint cond)
    bint zc_unlikely(bint cond)
    void zc_prefetch(const void *at)               # to be read soon; any address will do
    int32_t zc_load(const int32_t *at)
    void zc_store(int32_t *at, int32_t value)
    int32_t zc_add(int32_t *at, int32_t value)     # the value after the addition
    int32_t zc_swap(int32_t *at, int32_t value)    # the value before
    uint64_t zc_load_u64(const uint64_t *at)
    void zc_store_u64(uint64_t *at, uint64_t value)
    uint64_t zc_add_u64(uint64_t *at, uint64_t value)   # the value after the addition
    void zc_bump_u64(uint64_t *at, uint64_t by)     # adds, for the only thread that writes it
    uint64_t zc_now_us()
    void zc_wipe(void *at, size_t size)
    uint16_t zc_be16(const uint8_t *at)
    uint32_t zc_be32(const uint8_t *at)
    uint64_t zc_be64(const uint8_t *at)
    void zc_put_be16(uint8_t *at, uint16_t value)
    void zc_put_be32(uint8_t *at, uint32_t value)
    void zc_put_be64(uint8_t *at, uint64_t value)

cdef extern from "<errno.h>" nogil:
    int errno
    enum:
        EAGAIN, EINTR, EINVAL, ENOMEM, ENOENT, ENODEV, EMFILE, EFAULT, EPIPE, EPROTO
        ENOTSUP, EPROTONOSUPPORT, EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED, EINPROGRESS, ENOTSOCK
        EHOSTUNREACH, ENAMETOOLONG, EAFNOSUPPORT, ECONNRESET, ECONNABORTED, ETIMEDOUT, ENOBUFS
        EMSGSIZE, ENETDOWN, ENETUNREACH, EPERM, EACCES

# ZeroMQ's own numbers (zmq.h); ZMQ_HAUSNUMERO is 156384712.
cdef enum:
    EFSM = 156384763
    ENOCOMPATPROTO = 156384764
    ETERM = 156384765
    EMTHREAD = 156384766

cdef extern from "<string.h>" nogil:
    void *memcpy(void *dst, const void *src, size_t size)
    void *memmove(void *dst, const void *src, size_t size)
    void *memset(void *dst, int value, size_t size)
    int memcmp(const void *a, const void *b, size_t size)
    size_t strlen(const char *text)
    char *strchr(const char *text, int c)
    int strcmp(const char *a, const char *b)
    int strncmp(const char *a, const char *b, size_t size)
    char *strstr(const char *text, const char *part)

cdef extern from "<stdlib.h>" nogil:
    void *malloc(size_t size)
    void *calloc(size_t count, size_t size)
    void *realloc(void *at, size_t size)
    void free(void *at)
    int atoi(const char *text)

cdef extern from "<stdio.h>" nogil:
    int snprintf(char *at, size_t size, const char *format, ...)

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct pthread_condattr_t:
        pass
    ctypedef unsigned long pthread_t
    int pthread_mutex_init(pthread_mutex_t *self, void *attr)
    int pthread_mutex_destroy(pthread_mutex_t *self)
    int pthread_mutex_lock(pthread_mutex_t *self)
    int pthread_mutex_trylock(pthread_mutex_t *self)
    int pthread_mutex_unlock(pthread_mutex_t *self)
    int pthread_cond_init(pthread_cond_t *self, pthread_condattr_t *attr)
    int pthread_atfork(void (*prepare)() noexcept nogil, void (*parent)() noexcept nogil, void (*child)() noexcept nogil)
    int pthread_cond_destroy(pthread_cond_t *self)
    int pthread_cond_broadcast(pthread_cond_t *self)
    int pthread_create(pthread_t *thread, void *attr, void *(*start)(void *) noexcept nogil, void *arg)
    int pthread_join(pthread_t thread, void **result)
    int pthread_detach(pthread_t thread)

cdef extern from * nogil:
    """
    #include <pthread.h>
    #include <sched.h>
    #include <signal.h>

    /* A condition whose timed waits use the monotonic clock. 0 or an errno. */
    static inline int zc_cond_init(pthread_cond_t *cond) {
        pthread_condattr_t attr;
        int rc = pthread_condattr_init(&attr);
        if (rc) return rc;
        rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (!rc) rc = pthread_cond_init(cond, &attr);
        pthread_condattr_destroy(&attr);
        return rc;
    }
    /* Waits until due_us on the clock of zc_now_us(); 0 or ETIMEDOUT. */
    static inline int zc_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t due_us) {
        struct timespec ts;
        due_us -= 1u;
        ts.tv_sec = (time_t)(due_us / 1000000u);
        ts.tv_nsec = (long)(due_us % 1000000u) * 1000L;
        return pthread_cond_timedwait(cond, lock, &ts);
    }
    /* Starts a thread with every signal blocked, so that signals stay with Python's threads. 0 or an errno. */
    static inline int zc_thread_start(pthread_t *thread, void *(*start)(void *), void *arg) {
        sigset_t all, old;
        int rc;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        rc = pthread_create(thread, NULL, start, arg);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        return rc;
    }
    /* Where and how a thread runs: the CPUs whose bits are set (none: all), policy and priority (-1: as they are; a
       priority means something to SCHED_FIFO and SCHED_RR alone). 0 or an errno. */
    static inline int zc_thread_tune(pthread_t thread, int policy, int priority, const uint8_t *cpus, size_t cpus_bytes) {
        struct sched_param param;
        int current, rc;
    #ifdef __linux__
        cpu_set_t set;
        size_t i;
        CPU_ZERO(&set);
        for (i = 0; i < cpus_bytes * 8u; i++)
            if (cpus[i / 8u] >> (i % 8u) & 1) CPU_SET(i, &set);
        rc = CPU_COUNT(&set) ? pthread_setaffinity_np(thread, sizeof set, &set) : 0;
        if (rc) return rc;
    #else
        (void)cpus; (void)cpus_bytes;
    #endif
        if (policy == -1 && priority == -1) return 0;
        rc = pthread_getschedparam(thread, &current, &param);
        if (rc) return rc;
        if (policy != -1) current = policy;
        if (current == SCHED_FIFO || current == SCHED_RR)
            param.sched_priority = priority != -1 ? priority : sched_get_priority_min(current);
        else
            param.sched_priority = 0;
        return pthread_setschedparam(thread, current, &param);
    }
    """
    int zc_cond_init(pthread_cond_t *cond)
    int zc_cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t due_us)
    int zc_thread_start(pthread_t *thread, void *(*start)(void *) noexcept nogil, void *arg)
    int zc_thread_tune(pthread_t thread, int policy, int priority, const uint8_t *cpus, size_t cpus_bytes)

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int fd, void *at, size_t size)
    ssize_t write(int fd, const void *at, size_t size)
    int close(int fd)

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len

cdef extern from "<sys/socket.h>" nogil:
    struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen
    ssize_t sendmsg(int fd, const msghdr *msg, int flags)
    ssize_t recv(int fd, void *at, size_t size, int flags)
    ssize_t send(int fd, const void *at, size_t size, int flags)
    enum:
        MSG_NOSIGNAL, MSG_DONTWAIT

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int timeout_ms)
    enum:
        POLLIN, POLLOUT, POLLPRI
