# zmqcore/_transport.pyx -- see _transport.pxd for the contracts.
#
# bind and connect read the same text differently, because libzmq does and programs rely on the errno:
#   bind      parses strictly and resolves at once: "*", interface, literal, host name; what it cannot find is ENODEV.
#   connect   only looks for impossible characters and a port that begins with a digit; whatever else is wrong shows at
#             each attempt to connect as EINVAL, which the session retries.
# Where libzmq cuts a port to 16 bits or stops at the first non-digit, this parser says EINVAL.
#
# With IPv6 switched on, every tcp socket is dual stack and IPv4 addresses are mapped (::ffff:a.b.c.d); on a machine
# without IPv6 the address falls back to IPv4.
from libc.stdint cimport int32_t

from zmqcore._limits cimport ACCEPTS_MAX
from zmqcore._sys cimport (
    EAFNOSUPPORT, EAGAIN, ECONNREFUSED, EINPROGRESS, EINTR, EINVAL, ENAMETOOLONG, ENOCOMPATPROTO, ENODEV,
    EPROTONOSUPPORT,
    close, memcmp, memcpy, memset, snprintf, strchr, strcmp, strlen,
)
from zmqcore._sys_net cimport (
    AF_INET, AF_INET6, AF_UNIX, IP_TOS, IPC_PATH_BYTES_MAX, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_V6ONLY, NET_IPV6_TCLASS,
    NET_TCP_KEEPCNT, NET_TCP_KEEPIDLE, NET_TCP_KEEPINTVL, NET_TCP_USER_TIMEOUT, SO_KEEPALIVE, SO_RCVBUF, SO_REUSEADDR,
    SO_SNDBUF, SOL_SOCKET, TCP_NODELAY,
    net_accept, net_accept_passed, net_address_any, net_address_equal, net_address_family, net_address_host,
    net_address_interface, net_address_is_loopback, net_address_local, net_address_path, net_address_port,
    net_address_resolve, net_address_set_port, net_address_set_zone, net_address_t, net_bind, net_connect, net_error,
    net_is_literal, net_listen, net_mkdtemp, net_open, net_own_address, net_peer_address, net_prepare, net_rmdir, net_set,
    net_set_device, net_temp_directory, net_unlink, net_unpace, net_zone_index,
)

cdef enum:
    NUMBER_MAX = 65535          # ports; interface numbers as zones stay far below
    # A literal address of 45 characters, '%' and an interface name of 15.
    HOST_TEXT_BYTES = 80
    TEMP_NAME_BYTES = 9         # "tmpXXXXXX"

# What a host may be, by the place where it stands.
cdef enum host_role:
    HOST_BIND                   # "*", interface, literal or host name
    HOST_SOURCE                 # "*", interface or literal
    HOST_TARGET                 # literal or host name


# --- text ------------------------------------------------------------------------------------------------------------

cdef inline bint is_digit(char c) noexcept nogil:
    return c"0" <= c <= c"9"


# ASCII whatever the locale says.
cdef inline bint is_alnum(char c) noexcept nogil:
    return is_digit(c) or c"a" <= c <= c"z" or c"A" <= c <= c"Z"


cdef bint is_scheme(const char *text, size_t size, const char *scheme) noexcept nogil:
    return size == strlen(scheme) and memcmp(text, scheme, size) == 0


# The offset of the last c, or -1.
cdef ssize_t find_last(const char *text, size_t size, char c) noexcept nogil:
    cdef size_t left = size
    while left > 0:
        left -= 1
        if text[left] == c:
            return <ssize_t>left
    return -1


# The offset of "://", or -1.
cdef ssize_t find_scheme_end(const char *text, size_t size) noexcept nogil:
    cdef size_t at = 0
    while at + 3 <= size:
        if text[at] == c":" and text[at + 1] == c"/" and text[at + 2] == c"/":
            return <ssize_t>at
        at += 1
    return -1


# Reads 1..NUMBER_MAX. The digits used, 0 for no such number.
cdef size_t number_read(const char *text, size_t size, int32_t *number) noexcept nogil:
    cdef size_t at = 0
    number[0] = 0
    while at < size and is_digit(text[at]):
        number[0] = number[0] * 10 + (text[at] - c"0")
        if number[0] > NUMBER_MAX:
            return 0
        at += 1
    return at if number[0] > 0 else 0


# "*", "0", or 1..65535 with an ignored "/path" behind it. The port or -EINVAL.
cdef int32_t port_read(const char *text, size_t size) noexcept nogil:
    cdef int32_t port
    cdef size_t used
    if size == 1 and (text[0] == c"*" or text[0] == c"0"):
        return 0
    used = number_read(text, size, &port)
    if used == 0 or (used < size and text[used] != c"/"):
        return -EINVAL
    return port


# Splits "host:port" or "[host]:port"; host takes size bytes. 0 or -EINVAL.
cdef int host_port_read(const char *text, size_t size, char *host, int32_t *port) noexcept nogil:
    cdef ssize_t colon = find_last(text, size, c":")
    cdef size_t host_bytes
    host[0] = 0
    port[0] = 0
    if colon < 0:
        return -EINVAL
    port[0] = port_read(text + colon + 1, size - <size_t>colon - 1)
    if port[0] < 0:
        port[0] = 0
        return -EINVAL
    host_bytes = <size_t>colon
    if host_bytes >= 2 and text[0] == c"[" and text[host_bytes - 1] == c"]":
        text += 1
        host_bytes -= 2
    memcpy(host, text, host_bytes)
    host[host_bytes] = 0
    return 0


# All that connect looks at before it accepts a tcp address.
cdef bint is_connectable(const char *text, size_t size) noexcept nogil:
    cdef ssize_t colon = find_last(text, size, c":")
    cdef size_t at
    if not (is_alnum(text[0]) or text[0] == c"[" or text[0] == c":"):
        return False
    for at in range(size):
        if not is_alnum(text[at]) and strchr("%*-.:;[]_", text[at]) == NULL:
            return False
    return colon >= 0 and <size_t>colon + 1 < size and is_digit(text[colon + 1])


cdef int tcp_parse(const char *text, size_t size, bint is_bind, bint ipv6, address_t *out) noexcept nogil:
    cdef ssize_t semicolon = find_last(text, size, c";")
    cdef net_address_t literal
    cdef int rc
    if not is_bind and not is_connectable(text, size):
        return -EINVAL
    if semicolon >= 0:
        # A bind checks the source as a connect would use it, and leaves it at that.
        if is_bind and host_port_read(text, <size_t>semicolon, out.source, &out.port) < 0:
            return -EINVAL
        memcpy(out.source, text, <size_t>semicolon)
        out.source[semicolon] = 0
        text += semicolon + 1
        size -= <size_t>semicolon + 1
    rc = host_port_read(text, size, out.host, &out.port)
    if not is_bind:
        # Port 0 stands for every port that cannot be connected to.
        return 0
    if rc < 0:
        return rc
    if out.host[0] == 0:
        return -ENODEV
    if host_is_literal(out.host):
        return host_resolve(out.host, ipv6, HOST_BIND, &literal)
    return 0


cdef int ipc_parse(const char *text, size_t size, bint is_bind, address_t *out) noexcept nogil:
    # Whatever follows the '*' is ignored.
    if is_bind and text[0] == c"*":
        out.host[0] = c"*"
        return 0
    if size == 1 and text[0] == c"@":
        return -EINVAL
    if size > IPC_PATH_BYTES_MAX:
        return -ENAMETOOLONG
    memcpy(out.host, text, size)
    return 0


cdef int transport_parse(const char *text, size_t size, bint is_bind, bint ipv6, address_t *out) noexcept nogil:
    cdef ssize_t scheme_bytes = find_scheme_end(text, size)
    cdef const char *rest
    cdef size_t rest_bytes
    cdef bint is_ipc
    memset(out, 0, sizeof(address_t))
    if scheme_bytes <= 0 or find_last(text, size, 0) >= 0:
        return -EINVAL
    rest = text + scheme_bytes + 3
    rest_bytes = size - <size_t>scheme_bytes - 3
    is_ipc = is_scheme(text, <size_t>scheme_bytes, "ipc")
    if rest_bytes == 0:
        return -EINVAL
    if size >= ENDPOINT_BYTES_MAX:
        return -ENAMETOOLONG if is_ipc else -EINVAL
    memcpy(out.text, text, size)
    if is_scheme(text, <size_t>scheme_bytes, "tcp"):
        out.kind = TRANSPORT_TCP
        return tcp_parse(rest, rest_bytes, is_bind, ipv6, out)
    if is_ipc:
        out.kind = TRANSPORT_IPC
        return ipc_parse(rest, rest_bytes, is_bind, out)
    if is_scheme(text, <size_t>scheme_bytes, "inproc"):
        out.kind = TRANSPORT_INPROC
        memcpy(out.host, rest, rest_bytes)
        return 0
    # Known, but carries none of the socket types.
    if is_scheme(text, <size_t>scheme_bytes, "udp"):
        return -ENOCOMPATPROTO
    return -EPROTONOSUPPORT


# --- host -> address -------------------------------------------------------------------------------------------------

# Splits "host%zone". zone: 0 when there is none. 0 or -EINVAL for a zone that is no interface and no number.
cdef int host_zone_read(const char *host, char *bare, unsigned int *zone) noexcept nogil:
    cdef const char *mark = strchr(host, c"%")
    cdef size_t bare_bytes = strlen(host) if mark == NULL else <size_t>(mark - host)
    cdef size_t number_bytes
    cdef int32_t number
    memcpy(bare, host, bare_bytes)
    bare[bare_bytes] = 0
    zone[0] = 0
    if mark == NULL:
        return 0
    zone[0] = net_zone_index(mark + 1)
    if zone[0] == 0:
        number_bytes = strlen(mark + 1)
        if number_bytes == 0 or number_read(mark + 1, number_bytes, &number) != number_bytes:
            return -EINVAL
        zone[0] = <unsigned int>number
    return 0


cdef bint host_is_literal(const char *host) noexcept nogil:
    cdef char bare[ENDPOINT_BYTES_MAX]
    cdef unsigned int zone
    # An address is a literal also when its zone is not here (yet): no resolver will be asked.
    host_zone_read(host, bare, &zone)
    return net_is_literal(bare)


# 0, -EINVAL (zone), -ENOMEM, -ENODEV.
cdef int host_resolve(const char *host, bint ipv6, host_role role, net_address_t *out) noexcept nogil:
    cdef char bare[ENDPOINT_BYTES_MAX]
    cdef unsigned int zone
    cdef int family = AF_INET6 if ipv6 else AF_INET
    cdef int rc = host_zone_read(host, bare, &zone)
    if rc < 0:
        return rc
    if bare[0] == 0:
        return -ENODEV
    if strcmp(bare, "*") == 0:
        if role == HOST_TARGET:
            return -ENODEV
        net_address_any(out, family)
        return 0
    rc = -ENODEV
    if role != HOST_TARGET:
        rc = net_address_interface(out, bare, family)
    if rc == -ENODEV:
        rc = net_address_resolve(out, bare, family, role == HOST_SOURCE)
    if rc == 0 and zone != 0:
        net_address_set_zone(out, zone)
    return rc


# The address of a source, "host:port". 0 or -errno.
cdef int source_resolve(const char *source, bint ipv6, net_address_t *out) noexcept nogil:
    cdef char host[ENDPOINT_BYTES_MAX]
    cdef int32_t port
    cdef int rc = host_port_read(source, strlen(source), host, &port)
    if rc < 0:
        return rc
    rc = host_resolve(host, ipv6, HOST_SOURCE, out)
    if rc == 0:
        net_address_set_port(out, port)
    return rc


cdef int tcp_text(const net_address_t *address, char *out, size_t size) noexcept nogil:
    cdef char host[HOST_TEXT_BYTES]
    cdef int rc = net_address_host(address, host, sizeof(host))
    if rc < 0:
        return rc
    if net_address_family(address) == AF_INET6:
        snprintf(out, size, "tcp://[%s]:%d", host, net_address_port(address))
    else:
        snprintf(out, size, "tcp://%s:%d", host, net_address_port(address))
    return 0


cdef bint transport_needs_resolver(const address_t *address) noexcept nogil:
    if address.kind != TRANSPORT_TCP or address.port == 0:
        return False
    if address.host[0] == 0 or strcmp(address.host, "*") == 0:
        return False
    return not host_is_literal(address.host)


cdef int transport_resolve(address_t *address, bint ipv6) noexcept nogil:
    cdef net_address_t found
    cdef char host[HOST_TEXT_BYTES]
    cdef int fd
    cdef int rc
    if ipv6:
        # As tcp_open: without IPv6 in the system the name is looked up for IPv4.
        fd = net_open(AF_INET6)
        if fd >= 0:
            close(fd)
        ipv6 = fd != -EAFNOSUPPORT
    rc = host_resolve(address.host, ipv6, HOST_TARGET, &found)
    if rc == 0:
        rc = net_address_host(&found, host, sizeof(host))
    if rc == 0:
        memcpy(address.host, host, strlen(host) + 1)
    return rc


cdef int transport_figures(const address_t *address, bint ipv6, char *out) noexcept nogil:
    cdef net_address_t target
    cdef int rc
    if address.kind != TRANSPORT_TCP or address.port == 0:
        return -EINVAL
    rc = host_resolve(address.host, ipv6, HOST_TARGET, &target)
    if rc < 0:
        return rc
    net_address_set_port(&target, address.port)
    return tcp_text(&target, out, ENDPOINT_BYTES_MAX)


# --- options ---------------------------------------------------------------------------------------------------------

# A socket for the host and its address. An fd, or -errno.
cdef int tcp_open(const char *host, host_role role, bint ipv6, net_address_t *address) noexcept nogil:
    cdef int fd
    cdef int rc = host_resolve(host, ipv6, role, address)
    if rc < 0:
        return rc
    fd = net_open(net_address_family(address))
    if fd == -EAFNOSUPPORT and ipv6:
        rc = host_resolve(host, False, role, address)
        if rc < 0:
            return rc
        fd = net_open(net_address_family(address))
    return fd


# What has to be set before bind and connect, and may be set on an accepted socket.
cdef int tcp_set_buffers(int fd, const transport_options_t *options) noexcept nogil:
    cdef int rc = 0
    cdef int rc_v6
    if options.sndbuf >= 0:
        rc = net_set(fd, SOL_SOCKET, SO_SNDBUF, options.sndbuf)
    if rc == 0 and options.rcvbuf >= 0:
        rc = net_set(fd, SOL_SOCKET, SO_RCVBUF, options.rcvbuf)
    if rc < 0 or options.tos <= 0:
        return rc
    # Dual stack sockets need both; an IPv4 socket has only the first, and some systems allow only the second on IPv6.
    # The field has 8 bits: IP_TOS cuts by itself, IPV6_TCLASS would refuse.
    rc = net_set(fd, IPPROTO_IP, IP_TOS, options.tos & 0xff)
    rc_v6 = net_set(fd, IPPROTO_IPV6, NET_IPV6_TCLASS, options.tos & 0xff)
    return rc if rc_v6 < 0 else 0


# What only a socket that will be listening or connecting takes.
cdef int tcp_set_before(int fd, const net_address_t *address, const transport_options_t *options) noexcept nogil:
    cdef int rc = 0
    if net_address_family(address) == AF_INET6:
        rc = net_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)
    if rc == 0 and options.device[0] != 0:
        rc = net_set_device(fd, options.device)
    if rc == 0:
        rc = tcp_set_buffers(fd, options)
    return rc


# What a socket that carries a connection takes.
cdef int tcp_set_connected(int fd, const transport_options_t *options) noexcept nogil:
    cdef int rc = net_set(fd, IPPROTO_TCP, TCP_NODELAY, 1)
    if rc == 0 and options.keepalive != -1:
        rc = net_set(fd, SOL_SOCKET, SO_KEEPALIVE, options.keepalive)
        if rc == 0 and options.keepalive_cnt != -1:
            rc = net_set(fd, IPPROTO_TCP, NET_TCP_KEEPCNT, options.keepalive_cnt)
        if rc == 0 and options.keepalive_idle_s != -1:
            rc = net_set(fd, IPPROTO_TCP, NET_TCP_KEEPIDLE, options.keepalive_idle_s)
        if rc == 0 and options.keepalive_intvl_s != -1:
            rc = net_set(fd, IPPROTO_TCP, NET_TCP_KEEPINTVL, options.keepalive_intvl_s)
    if rc == 0 and options.maxrt_ms > 0:
        rc = net_set(fd, IPPROTO_TCP, NET_TCP_USER_TIMEOUT, options.maxrt_ms)
    return rc


# --- listen ----------------------------------------------------------------------------------------------------------

cdef int transport_own_text(int fd, transport_kind kind, char *out) noexcept nogil:
    cdef net_address_t own
    cdef char path[IPC_PATH_BYTES_MAX + 2]
    cdef int family
    cdef int rc = net_own_address(fd, &own)
    if rc < 0:
        return rc
    family = net_address_family(&own)
    if kind == TRANSPORT_TCP and (family == AF_INET or family == AF_INET6):
        return tcp_text(&own, out, ENDPOINT_BYTES_MAX)
    if kind == TRANSPORT_IPC and family == AF_UNIX:
        net_address_path(&own, path, sizeof(path))
        snprintf(out, ENDPOINT_BYTES_MAX, "ipc://%s", path)
        return 0
    return -EINVAL


cdef int tcp_listen(const address_t *address, const transport_options_t *options, char *resolved) noexcept nogil:
    cdef net_address_t own
    cdef int rc, fd
    if address.source[0] != 0:
        rc = source_resolve(address.source, options.ipv6, &own)
        if rc < 0:
            return rc
    fd = tcp_open(address.host, HOST_BIND, options.ipv6, &own)
    if fd < 0:
        return fd
    net_address_set_port(&own, address.port)
    rc = tcp_set_before(fd, &own, options)
    if rc == 0:
        rc = net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    if rc == 0:
        rc = net_bind(fd, &own)
    if rc == 0:
        rc = net_listen(fd, options.backlog)
    if rc == 0:
        rc = transport_own_text(fd, TRANSPORT_TCP, resolved)
    if rc < 0:
        close(fd)
        return rc
    return fd


# Makes the directory and names the file in it; path takes ENDPOINT_BYTES_MAX. 0 or -errno.
cdef int ipc_wildcard_make(char *path) noexcept nogil:
    cdef const char *parent = net_temp_directory()
    cdef const char *slash = "/"
    cdef size_t parent_bytes = 0
    cdef int rc
    path[0] = 0
    if parent != NULL:
        parent_bytes = strlen(parent)
        if parent_bytes > IPC_PATH_BYTES_MAX:
            return -ENAMETOOLONG
        if parent_bytes > 0 and parent[parent_bytes - 1] == c"/":
            slash = ""
        snprintf(path, ENDPOINT_BYTES_MAX, "%s%s", parent, slash)
    parent_bytes = strlen(path)
    if parent_bytes + TEMP_NAME_BYTES + strlen("/socket") > IPC_PATH_BYTES_MAX:
        return -ENAMETOOLONG
    memcpy(path + parent_bytes, "tmpXXXXXX", TEMP_NAME_BYTES + 1)
    rc = net_mkdtemp(path)
    if rc == 0:
        memcpy(path + parent_bytes + TEMP_NAME_BYTES, "/socket", strlen("/socket") + 1)
    return rc


# Removes file and directory of a wildcard. Only a path of the shape that ipc_wildcard_make gives is touched: with
# ZMQ_USE_FD the path is the caller's own. 0 or the first -errno.
cdef int ipc_wildcard_drop(const char *path) noexcept nogil:
    cdef char directory[ENDPOINT_BYTES_MAX]
    cdef ssize_t slash = find_last(path, strlen(path), c"/")
    cdef ssize_t name
    cdef int rc, rc_directory
    if slash < TEMP_NAME_BYTES or slash >= ENDPOINT_BYTES_MAX or strcmp(path + slash, "/socket") != 0:
        return 0
    name = slash - TEMP_NAME_BYTES
    if memcmp(path + name, "tmp", 3) != 0 or (name > 0 and path[name - 1] != c"/"):
        return 0
    memcpy(directory, path, <size_t>slash)
    directory[slash] = 0
    rc = net_unlink(path)
    rc_directory = net_rmdir(directory)
    return rc if rc < 0 else rc_directory


# An fd that listens on path, or -errno.
cdef int ipc_listen_at(const char *path, const transport_options_t *options, char *resolved) noexcept nogil:
    cdef net_address_t own
    cdef int fd
    cdef int rc = net_address_local(&own, path)
    if rc < 0:
        return rc
    if path[0] != c"@":
        # As libzmq: a file left by a crash must not stop the restart, and a live listener's file is taken as well.
        # What cannot be removed shows itself at bind.
        net_unlink(path)
    fd = net_open(AF_UNIX)
    if fd < 0:
        return fd
    rc = net_bind(fd, &own)
    if rc == 0:
        rc = net_listen(fd, options.backlog)
    if rc == 0:
        rc = transport_own_text(fd, TRANSPORT_IPC, resolved)
    if rc < 0:
        close(fd)
        return rc
    return fd


cdef int ipc_listen(const address_t *address, const transport_options_t *options, char *resolved) noexcept nogil:
    cdef char path[ENDPOINT_BYTES_MAX]
    cdef int rc
    if strcmp(address.host, "*") != 0:
        return ipc_listen_at(address.host, options, resolved)
    rc = ipc_wildcard_make(path)
    if rc < 0:
        return rc
    rc = ipc_listen_at(path, options, resolved)
    if rc < 0:
        ipc_wildcard_drop(path)
    return rc


cdef int transport_listen(const address_t *address, const transport_options_t *options, int *fd,
                          char *resolved) noexcept nogil:
    cdef int rc
    fd[0] = -1
    resolved[0] = 0
    if options.use_fd != -1:
        # Somebody else's until this call succeeds: never closed here.
        rc = transport_own_text(options.use_fd, address.kind, resolved)
        if rc == 0:
            rc = net_prepare(options.use_fd)
        if rc == 0:
            fd[0] = options.use_fd
        return rc
    if address.kind == TRANSPORT_TCP:
        rc = tcp_listen(address, options, resolved)
    elif address.kind == TRANSPORT_IPC:
        rc = ipc_listen(address, options, resolved)
    else:
        rc = -EINVAL
    if rc < 0:
        return rc
    fd[0] = rc
    return 0


cdef int transport_unlisten(const address_t *address, const char *resolved, int fd) noexcept nogil:
    close(fd)
    if address.kind != TRANSPORT_IPC or strcmp(address.host, "*") != 0:
        return 0
    return ipc_wildcard_drop(resolved + strlen("ipc://"))


# --- connect ---------------------------------------------------------------------------------------------------------

# Binds fd to "host:port". 0 or -errno.
cdef int tcp_bind_source(int fd, const char *source, bint ipv6) noexcept nogil:
    cdef net_address_t own
    cdef int rc = source_resolve(source, ipv6, &own)
    if rc < 0:
        return rc
    # Several connections may leave from one source port, as long as their targets differ.
    rc = net_set(fd, SOL_SOCKET, SO_REUSEADDR, 1)
    if rc < 0:
        return rc
    return net_bind(fd, &own)


# An fd that waits for its target, or -errno.
cdef int tcp_connect_prepare(const address_t *address, const transport_options_t *options,
                             net_address_t *target) noexcept nogil:
    cdef int rc
    cdef int fd = tcp_open(address.host, HOST_TARGET, options.ipv6, target)
    if fd < 0:
        return -EINVAL if fd == -ENODEV else fd
    net_address_set_port(target, address.port)
    rc = tcp_set_before(fd, target, options)
    if rc == 0:
        rc = tcp_set_connected(fd, options)
    if rc == 0 and net_address_is_loopback(target):
        net_unpace(fd)
    if rc == 0 and address.source[0] != 0:
        rc = tcp_bind_source(fd, address.source, net_address_family(target) == AF_INET6)
    if rc < 0:
        close(fd)
        return rc
    return fd


cdef int transport_connect(const address_t *address, const transport_options_t *options, int *fd) noexcept nogil:
    cdef net_address_t target
    cdef int rc, new_fd
    fd[0] = -1
    if address.kind == TRANSPORT_TCP and address.port != 0:
        new_fd = tcp_connect_prepare(address, options, &target)
    elif address.kind == TRANSPORT_IPC:
        rc = net_address_local(&target, address.host)
        new_fd = net_open(AF_UNIX) if rc == 0 else rc
    else:
        new_fd = -EINVAL
    if new_fd < 0:
        return new_fd
    rc = net_connect(new_fd, &target)
    if rc == 0:
        rc = transport_connected(new_fd)
    elif rc == -EINTR:
        # The connection goes on being made (connect(2)).
        rc = -EINPROGRESS
    if rc < 0 and rc != -EINPROGRESS:
        close(new_fd)
        return rc
    fd[0] = new_fd
    return rc


cdef int transport_connected(int fd) noexcept nogil:
    cdef net_address_t own, peer
    cdef int family
    cdef int rc = net_error(fd)
    if rc < 0:
        return rc
    # A port of the ephemeral range that nobody serves can be given to the connecting socket itself, which then reaches
    # itself (RFC 9293, simultaneous open) and keeps the server from binding.
    if net_own_address(fd, &own) < 0 or net_peer_address(fd, &peer) < 0:
        return 0
    family = net_address_family(&own)
    if (family == AF_INET or family == AF_INET6) and net_address_equal(&own, &peer):
        return -ECONNREFUSED
    return 0


# --- accept ----------------------------------------------------------------------------------------------------------

cdef int transport_accept(int listen_fd, transport_kind kind, const transport_options_t *options,
                          int *fd) noexcept nogil:
    cdef net_address_t peer
    cdef int tries = 0
    cdef int new_fd = -EAGAIN
    cdef int rc = 0
    fd[0] = -1
    # Connections that vanished before accept are passed over; the bound keeps one peer from holding the thread.
    while tries < ACCEPTS_MAX:
        new_fd = net_accept(listen_fd)
        if new_fd >= 0 or not net_accept_passed(-new_fd):
            break
        new_fd = -EAGAIN
        tries += 1
    if new_fd < 0:
        return new_fd
    if kind == TRANSPORT_TCP:
        rc = tcp_set_buffers(new_fd, options)
        if rc == 0:
            rc = tcp_set_connected(new_fd, options)
        if rc == 0 and net_peer_address(new_fd, &peer) == 0 and net_address_is_loopback(&peer):
            net_unpace(new_fd)
    if rc < 0:
        close(new_fd)
        return rc
    fd[0] = new_fd
    return 0


cdef void transport_peer(int fd, transport_kind kind, char *out, size_t size) noexcept nogil:
    cdef net_address_t peer
    cdef char host[HOST_TEXT_BYTES]
    if size == 0:
        return
    out[0] = 0
    if kind != TRANSPORT_TCP or net_peer_address(fd, &peer) < 0:
        return
    if net_address_host(&peer, host, sizeof(host)) == 0:
        snprintf(out, size, "%s", host)
