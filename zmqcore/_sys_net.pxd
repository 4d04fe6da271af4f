# zmqcore/_sys_net.pxd -- the platform's network: addresses, resolver, socket options (floor 0, externs only).
# For _transport, _filter and the texts of _options; the face takes a bound from here. All that differs between systems
# (accept4, close-on-exec at birth, abstract names, options) is behind these static inlines, so a port touches this file and
# not its user.
# Errors: negative errno. An option that the system lacks is skipped, as libzmq skips it.
from libc.stddef cimport size_t
from libc.stdint cimport int32_t, uint8_t

cdef extern from * nogil:
    """
    #include <arpa/inet.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <ifaddrs.h>
    #include <net/if.h>
    #include <netdb.h>
    #include <netinet/in.h>
    #include <netinet/ip.h>
    #include <netinet/tcp.h>
    #include <stddef.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <sys/types.h>
    #include <sys/un.h>
    #include <unistd.h>
    #ifdef SO_MEMINFO
    #include <linux/sock_diag.h>
    #endif

    typedef struct {
        union {
            struct sockaddr any;
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
            struct sockaddr_un local;
        } at;
        socklen_t bytes;
    } net_address_t;

    /* --- addresses ------------------------------------------------------------------------------------------- */

    static inline int net_address_family(const net_address_t *self) { return self->at.any.sa_family; }

    static inline void net_address_any(net_address_t *self, int family) {
        memset(self, 0, sizeof *self);
        self->at.any.sa_family = (sa_family_t)family;
        if (family == AF_INET6) {
            self->at.v6.sin6_addr = in6addr_any;
            self->bytes = sizeof self->at.v6;
        } else {
            self->at.v4.sin_addr.s_addr = htonl(INADDR_ANY);
            self->bytes = sizeof self->at.v4;
        }
    }

    static inline int net_address_port(const net_address_t *self) {
        return ntohs(self->at.any.sa_family == AF_INET6 ? self->at.v6.sin6_port : self->at.v4.sin_port);
    }

    static inline void net_address_set_port(net_address_t *self, int port) {
        if (self->at.any.sa_family == AF_INET6) self->at.v6.sin6_port = htons((uint16_t)port);
        else self->at.v4.sin_port = htons((uint16_t)port);
    }

    /* The zone of a link-local address; an IPv4 address has none. */
    static inline void net_address_set_zone(net_address_t *self, unsigned zone) {
        if (self->at.any.sa_family == AF_INET6) self->at.v6.sin6_scope_id = zone;
    }

    /* Address and port, not what else a sockaddr may carry. */
    static inline int net_address_equal(const net_address_t *self, const net_address_t *other) {
        if (self->at.any.sa_family != other->at.any.sa_family) return 0;
        if (net_address_port(self) != net_address_port(other)) return 0;
        if (self->at.any.sa_family == AF_INET6)
            return memcmp(&self->at.v6.sin6_addr, &other->at.v6.sin6_addr, sizeof(struct in6_addr)) == 0;
        return self->at.v4.sin_addr.s_addr == other->at.v4.sin_addr.s_addr;
    }

    static inline int net_lookup(const char *host, int family, int flags, struct addrinfo **found) {
        struct addrinfo hints;
        memset(&hints, 0, sizeof hints);
        hints.ai_family = family;
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = flags;
        return getaddrinfo(host, NULL, &hints, found);
    }

    static inline int net_is_literal(const char *host) {
        struct addrinfo *found = NULL;
        if (net_lookup(host, AF_UNSPEC, AI_NUMERICHOST, &found) != 0) return 0;
        freeaddrinfo(found);
        return 1;
    }

    /* The first address of a host; asks no name server when literal_only. 0, -ENOMEM, or -ENODEV for all else. */
    static inline int net_address_resolve(net_address_t *self, const char *host, int family, int literal_only) {
        struct addrinfo *found = NULL;
        int flags = literal_only ? AI_NUMERICHOST : 0;
        int rc;
        if (family == AF_INET6) flags |= AI_V4MAPPED;
        rc = net_lookup(host, family, flags, &found);
        if (rc != 0) return rc == EAI_MEMORY ? -ENOMEM : -ENODEV;
        if ((size_t)found->ai_addrlen > sizeof self->at) {
            freeaddrinfo(found);
            return -ENODEV;
        }
        memset(self, 0, sizeof *self);
        memcpy(&self->at, found->ai_addr, found->ai_addrlen);
        self->bytes = found->ai_addrlen;
        freeaddrinfo(found);
        return 0;
    }

    /* The first address of that family on a network interface. 0, -ENODEV, or why the list could not be had. */
    static inline int net_address_interface(net_address_t *self, const char *name, int family) {
        struct ifaddrs *list = NULL, *each;
        size_t bytes = family == AF_INET6 ? sizeof self->at.v6 : sizeof self->at.v4;
        int rc = -ENODEV;
        if (getifaddrs(&list) != 0) return -errno;
        for (each = list; each != NULL; each = each->ifa_next) {
            if (each->ifa_addr == NULL || each->ifa_addr->sa_family != family) continue;
            if (strcmp(each->ifa_name, name) != 0) continue;
            memset(self, 0, sizeof *self);
            memcpy(&self->at, each->ifa_addr, bytes);
            self->bytes = (socklen_t)bytes;
            rc = 0;
            break;
        }
        freeifaddrs(list);
        return rc;
    }

    /* The host in figures, as inet_ntop and a zone where there is one. 0 or -EINVAL. */
    static inline int net_address_host(const net_address_t *self, char *out, size_t size) {
        int rc = getnameinfo(&self->at.any, self->bytes, out, (socklen_t)size, NULL, 0, NI_NUMERICHOST);
        return rc == 0 ? 0 : -EINVAL;
    }

    /* A path, or "@name" in Linux's abstract namespace. 0, -ENAMETOOLONG, -EINVAL where there is no such namespace. */
    static inline int net_address_local(net_address_t *self, const char *path) {
        size_t size = strlen(path);
        memset(self, 0, sizeof *self);
        if (size >= sizeof self->at.local.sun_path) return -ENAMETOOLONG;
        self->at.local.sun_family = AF_UNIX;
        memcpy(self->at.local.sun_path, path, size);
        self->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1u);
        if (path[0] == '@') {
    #ifdef __linux__
            self->at.local.sun_path[0] = 0;
            self->bytes -= 1u;
    #else
            return -EINVAL;
    #endif
        }
        return 0;
    }

    /* The reverse; "" for a nameless socket. size of out: that of sun_path + 1 or more. */
    static inline void net_address_path(const net_address_t *self, char *out, size_t size) {
        size_t head = offsetof(struct sockaddr_un, sun_path);
        size_t left = (size_t)self->bytes > head ? (size_t)self->bytes - head : 0;
        const char *path = self->at.local.sun_path;
        out[0] = 0;
        if (left > sizeof self->at.local.sun_path) left = sizeof self->at.local.sun_path;
        if (left == 0 || (left == 1 && path[0] == 0)) return;
        if (path[0] == 0) snprintf(out, size, "@%.*s", (int)(left - 1), path + 1);
        else snprintf(out, size, "%.*s", (int)left, path);
    }

    /* A literal address without a zone, in network order: 4 or 16 bytes. */
    static inline int net_ip_read(const char *text, int is_ipv6, uint8_t *out) {
        return inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text, out) == 1;
    }

    /* The bits of an address, an IPv4 address that is mapped into IPv6 as what it is. out takes 16 bytes. 4, 16, or 0. */
    static inline size_t net_address_ip(const net_address_t *self, uint8_t *out) {
        if (self->at.any.sa_family == AF_INET) {
            memcpy(out, &self->at.v4.sin_addr, 4);
            return 4;
        }
        if (self->at.any.sa_family != AF_INET6) return 0;
        if (IN6_IS_ADDR_V4MAPPED(&self->at.v6.sin6_addr)) {
            memcpy(out, self->at.v6.sin6_addr.s6_addr + 12, 4);
            return 4;
        }
        memcpy(out, &self->at.v6.sin6_addr, 16);
        return 16;
    }

    /* Whether what is sent there stays in the machine. */
    static inline int net_address_is_loopback(const net_address_t *self) {
        uint8_t ip[16];
        size_t size = net_address_ip(self, ip);
        return size == 4 ? ip[0] == 127 : size == 16 && IN6_IS_ADDR_LOOPBACK(&self->at.v6.sin6_addr);
    }

    static inline unsigned net_zone_index(const char *name) { return if_nametoindex(name); }

    /* --- sockets --------------------------------------------------------------------------------------------- */

    /* Non-blocking, closed by exec, and no SIGPIPE where a socket can be told so. 0 or -errno. */
    static inline int net_prepare(int fd) {
        int flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return -errno;
    #ifdef SO_NOSIGPIPE
        flags = 1;
        if (setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &flags, sizeof flags) < 0) return -errno;
    #endif
        return 0;
    }

    /* An fd >= 0, prepared, or -errno. */
    static inline int net_adopt(int fd) {
        int rc;
        if (fd < 0) return -errno;
        rc = net_prepare(fd);
        if (rc < 0) {
            close(fd);
            return rc;
        }
        return fd;
    }
    static inline int net_open(int family) {
    #ifdef SOCK_CLOEXEC
        int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        return fd < 0 ? -errno : fd;
    #else
        return net_adopt(socket(family, SOCK_STREAM, 0));
    #endif
    }
    static inline int net_accept(int listen_fd) {
    #ifdef SOCK_CLOEXEC
        int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
    #else
        return net_adopt(accept(listen_fd, NULL, NULL));
    #endif
    }

    /* Whether an error of accept belongs to the one connection that was about to come, not to the listener. */
    static inline int net_accept_passed(int code) {
        switch (code) {
    #ifdef ENONET
        case ENONET:
    #endif
        case EINTR: case ECONNABORTED: case ECONNRESET: case EPROTO: case EPERM: case ENOPROTOOPT:
        case ENETDOWN: case ENETUNREACH: case EHOSTDOWN: case EHOSTUNREACH: case ETIMEDOUT:
            return 1;
        default:
            return 0;
        }
    }

    /* A pipe, both ends prepared. 0 or -errno. */
    static inline int net_pipe(int *read_fd, int *write_fd) {
        int ends[2];
        int rc;
        if (pipe(ends) < 0) return -errno;
        rc = net_prepare(ends[0]);
        if (rc == 0) rc = net_prepare(ends[1]);
        if (rc < 0) {
            close(ends[0]);
            close(ends[1]);
            return rc;
        }
        *read_fd = ends[0];
        *write_fd = ends[1];
        return 0;
    }

    #define IPC_PATH_BYTES_MAX (sizeof ((struct sockaddr_un *)NULL)->sun_path - 1u)

    static inline int net_bind(int fd, const net_address_t *address) {
        return bind(fd, &address->at.any, address->bytes) < 0 ? -errno : 0;
    }
    static inline int net_listen(int fd, int backlog) { return listen(fd, backlog) < 0 ? -errno : 0; }
    static inline int net_connect(int fd, const net_address_t *address) {
        return connect(fd, &address->at.any, address->bytes) < 0 ? -errno : 0;
    }
    static inline int net_own_address(int fd, net_address_t *out) {
        memset(out, 0, sizeof *out);
        out->bytes = sizeof out->at;
        return getsockname(fd, &out->at.any, &out->bytes) < 0 ? -errno : 0;
    }
    static inline int net_peer_address(int fd, net_address_t *out) {
        memset(out, 0, sizeof *out);
        out->bytes = sizeof out->at;
        return getpeername(fd, &out->at.any, &out->bytes) < 0 ? -errno : 0;
    }

    /* Reads and clears the error that waits at the socket. */
    static inline int net_error(int fd) {
        int code = 0;
        socklen_t size = sizeof code;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0) return -errno;
        return -code;
    }

    /* Who connected to a local socket, as it was at that moment; -1 what the system does not tell. 0 or -errno. */
    static inline int net_peer_ids(int fd, int32_t *pid, int32_t *uid, int32_t *gid) {
    #ifdef SO_PEERCRED
        struct ucred peer;
        socklen_t size = sizeof peer;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -errno;
        *pid = (int32_t)peer.pid; *uid = (int32_t)peer.uid; *gid = (int32_t)peer.gid;
        return 0;
    #else
        uid_t peer_uid;
        gid_t peer_gid;
        if (getpeereid(fd, &peer_uid, &peer_gid) < 0) return -errno;
        *pid = -1; *uid = (int32_t)peer_uid; *gid = (int32_t)peer_gid;
        return 0;
    #endif
    }

    /* Whether gid is one of its supplementary groups. Asks the kernel: no look-up that could block. */
    static inline int net_peer_has_group(int fd, int32_t gid) {
        int found = 0;
    #ifdef SO_PEERGROUPS
        gid_t few[64];
        gid_t *groups = few;
        socklen_t size = sizeof few;
        size_t i;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) {
            if (errno != ERANGE) return 0;
            groups = malloc(size);
            if (groups == NULL) return 0;
            if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0) size = 0;
        }
        for (i = 0; i < size / sizeof *groups && !found; i++) found = (int32_t)groups[i] == gid;
        if (groups != few) free(groups);
    #else
        (void)fd; (void)gid;
    #endif
        return found;
    }

    /* --- options --------------------------------------------------------------------------------------------- */

    #define NET_OPTION_ABSENT (-1)
    #if defined(TCP_KEEPIDLE)
    #define NET_TCP_KEEPIDLE TCP_KEEPIDLE
    #elif defined(TCP_KEEPALIVE)
    #define NET_TCP_KEEPIDLE TCP_KEEPALIVE
    #else
    #define NET_TCP_KEEPIDLE NET_OPTION_ABSENT
    #endif
    #ifdef TCP_KEEPCNT
    #define NET_TCP_KEEPCNT TCP_KEEPCNT
    #else
    #define NET_TCP_KEEPCNT NET_OPTION_ABSENT
    #endif
    #ifdef TCP_KEEPINTVL
    #define NET_TCP_KEEPINTVL TCP_KEEPINTVL
    #else
    #define NET_TCP_KEEPINTVL NET_OPTION_ABSENT
    #endif
    #ifdef TCP_USER_TIMEOUT
    #define NET_TCP_USER_TIMEOUT TCP_USER_TIMEOUT
    #else
    #define NET_TCP_USER_TIMEOUT NET_OPTION_ABSENT
    #endif
    #ifdef IPV6_TCLASS
    #define NET_IPV6_TCLASS IPV6_TCLASS
    #else
    #define NET_IPV6_TCLASS NET_OPTION_ABSENT
    #endif

    static inline int net_set(int fd, int level, int option, int value) {
        if (option == NET_OPTION_ABSENT) return 0;
        return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
    }
    /* BBR paces what it sends by timers, which within the machine cost more than what is sent. reno is allowed to everybody;
       where it is not there, nothing has changed. */
    static inline void net_unpace(int fd) {
    #ifdef TCP_CONGESTION
        char name[16] = "";
        socklen_t size = sizeof name;
        if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size) == 0 && strncmp(name, "bbr", 3) == 0)
            setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    #else
        (void)fd;
    #endif
    }
    /* Bytes that the next send takes at once, about: what is free of the send buffer. 0: none, or the system does not say. */
    static inline size_t net_send_room(int fd) {
    #ifdef SO_MEMINFO
        uint32_t info[SK_MEMINFO_VARS];
        socklen_t size = sizeof info;
        uint32_t used;
        if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) != 0 || size <= SK_MEMINFO_WMEM_QUEUED * sizeof info[0]) return 0;
        used = info[SK_MEMINFO_WMEM_QUEUED];
        if (used < info[SK_MEMINFO_WMEM_ALLOC]) used = info[SK_MEMINFO_WMEM_ALLOC];
        return used < info[SK_MEMINFO_SNDBUF] ? info[SK_MEMINFO_SNDBUF] - used : 0;
    #else
        (void)fd;
        return 0;
    #endif
    }
    static inline int net_set_device(int fd, const char *device) {
    #ifdef SO_BINDTODEVICE
        return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)) < 0 ? -errno : 0;
    #else
        (void)fd; (void)device;
        return -ENOTSUP;
    #endif
    }

    /* --- files ----------------------------------------------------------------------------------------------- */

    static inline int net_unlink(const char *path) { return unlink(path) < 0 ? -errno : 0; }
    static inline int net_rmdir(const char *path) { return rmdir(path) < 0 ? -errno : 0; }

    /* Makes a fresh directory; its name takes the place of the X's. */
    static inline int net_mkdtemp(char *path) { return mkdtemp(path) == NULL ? -errno : 0; }

    /* The directory that the first usable of libzmq's three variables names; NULL none. Borrowed: copy at once. */
    static inline const char *net_temp_directory(void) {
        static const char *const names[] = {"TMPDIR", "TEMPDIR", "TMP"};
        struct stat info;
        const char *value;
        size_t i;
        for (i = 0; i < sizeof names / sizeof names[0]; i++) {
            value = getenv(names[i]);
            if (value != NULL && stat(value, &info) == 0 && S_ISDIR(info.st_mode)) return value;
        }
        return NULL;
    }
    """
    ctypedef struct net_address_t:
        pass

    int net_address_family(const net_address_t *self)
    void net_address_any(net_address_t *self, int family)
    int net_address_port(const net_address_t *self)
    void net_address_set_port(net_address_t *self, int port)
    void net_address_set_zone(net_address_t *self, unsigned int zone)
    bint net_address_equal(const net_address_t *self, const net_address_t *other)
    int net_address_resolve(net_address_t *self, const char *host, int family, bint literal_only)
    int net_address_interface(net_address_t *self, const char *name, int family)
    int net_address_host(const net_address_t *self, char *out, size_t size)
    int net_address_local(net_address_t *self, const char *path)
    void net_address_path(const net_address_t *self, char *out, size_t size)
    bint net_is_literal(const char *host)
    bint net_ip_read(const char *text, bint is_ipv6, uint8_t *out)
    size_t net_address_ip(const net_address_t *self, uint8_t *out)
    bint net_address_is_loopback(const net_address_t *self)
    unsigned int net_zone_index(const char *name)     # 0: no such interface

    int net_prepare(int fd)
    int net_open(int family)
    int net_accept(int listen_fd)
    bint net_accept_passed(int code)                   # code: a positive errno
    int net_bind(int fd, const net_address_t *address)
    int net_listen(int fd, int backlog)
    int net_connect(int fd, const net_address_t *address)
    int net_own_address(int fd, net_address_t *out)
    int net_peer_address(int fd, net_address_t *out)
    int net_error(int fd)
    int net_pipe(int *read_fd, int *write_fd)
    int net_peer_ids(int fd, int32_t *pid, int32_t *uid, int32_t *gid)
    bint net_peer_has_group(int fd, int32_t gid)
    int net_set(int fd, int level, int option, int value)
    void net_unpace(int fd)
    size_t net_send_room(int fd)
    int net_set_device(int fd, const char *device)

    int net_unlink(const char *path)
    int net_rmdir(const char *path)
    int net_mkdtemp(char *path)
    const char *net_temp_directory()

    enum:
        AF_INET, AF_INET6, AF_UNIX
        SOL_SOCKET, SO_REUSEADDR, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE
        IPPROTO_IP, IP_TOS, IPPROTO_IPV6, IPV6_V6ONLY, NET_IPV6_TCLASS
        IPC_PATH_BYTES_MAX          # sun_path without its final NUL
        IPPROTO_TCP, TCP_NODELAY, NET_TCP_KEEPIDLE, NET_TCP_KEEPCNT, NET_TCP_KEEPINTVL, NET_TCP_USER_TIMEOUT
