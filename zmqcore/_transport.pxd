# zmqcore/_transport.pxd -- address text <-> fd: tcp and ipc, listen, connect, accept (floor 1).
# inproc has no fd: its names are kept by _context; transport_parse only recognises it.
# Lock:   none. Thread: any; transport_connect and transport_listen may block in the resolver when a host name is given.
# Memory: addresses are plain values; fds belong to the caller from the return on.
# Errors: negative errno, as libzmq's bind and connect report them (zmq_bind(3), zmq_connect(3)).
from libc.stdint cimport int32_t

cdef enum transport_kind:
    TRANSPORT_TCP = 1
    TRANSPORT_IPC = 2
    TRANSPORT_INPROC = 3

cdef enum:
    ENDPOINT_BYTES_MAX = 1024   # with the final NUL

# Options of the socket that touch its fds; numbers as in zmq_setsockopt(3).
cdef struct transport_options_t:
    bint ipv6                   # ZMQ_IPV6
    int32_t backlog             # ZMQ_BACKLOG
    int32_t sndbuf              # ZMQ_SNDBUF, bytes; -1 leaves the system's
    int32_t rcvbuf              # ZMQ_RCVBUF, bytes; -1 leaves the system's
    int32_t tos                 # ZMQ_TOS; 0 leaves
    int32_t keepalive           # ZMQ_TCP_KEEPALIVE: -1 leave, 0 off, 1 on
    int32_t keepalive_cnt       # -1 leaves; only with keepalive != -1
    int32_t keepalive_idle_s
    int32_t keepalive_intvl_s
    int32_t maxrt_ms            # ZMQ_TCP_MAXRT, TCP_USER_TIMEOUT; 0 leaves
    int32_t use_fd              # ZMQ_USE_FD: an fd that already listens; -1 none
    char device[17]             # ZMQ_BINDTODEVICE; "" none

# A parsed endpoint. text is what the caller gave, kept for disconnect and unbind.
cdef struct address_t:
    transport_kind kind
    char text[ENDPOINT_BYTES_MAX]     # as given
    char host[ENDPOINT_BYTES_MAX]     # tcp: host, interface or "*"; ipc: path, "@name" or "*"; inproc: name
    char source[ENDPOINT_BYTES_MAX]   # tcp "source;host:port": the part before ';'; "" none; a bind only checks it
    int32_t port                      # tcp: bind: 0 lets the system choose; connect: 0 is no usable port (-EINVAL later)

# Whether connecting needs the resolver (a host name that is no literal address).
cdef bint transport_needs_resolver(const address_t *address) noexcept nogil

# Replaces a host name by its address in figures, as connecting would find it. May block in the resolver. 0 or -errno.
cdef int transport_resolve(address_t *address, bint ipv6) noexcept nogil

# Checks the text as bind (is_bind) or connect would. 0 or -EINVAL, -EPROTONOSUPPORT, -ENOCOMPATPROTO, -ENODEV,
# -ENAMETOOLONG.
# text need not be NUL-terminated; an embedded NUL or a size >= ENDPOINT_BYTES_MAX is -EINVAL (inproc: no limit but that;
# ipc: -ENAMETOOLONG).
cdef int transport_parse(const char *text, size_t size, bint is_bind, bint ipv6, address_t *out) noexcept nogil

# Listens. 0 and a non-blocking close-on-exec fd; resolved is the endpoint for ZMQ_LAST_ENDPOINT ("tcp://127.0.0.1:5555")
# and takes ENDPOINT_BYTES_MAX.
# ipc wildcards ("*") make a fresh directory, see transport_unlisten.
cdef int transport_listen(const address_t *address, const transport_options_t *options, int *fd,
                          char *resolved) noexcept nogil

# Closes a listening fd; removes the file and directory of an ipc wildcard address (and only of those). 0 or -errno of the removal.
cdef int transport_unlisten(const address_t *address, const char *resolved, int fd) noexcept nogil

# Starts to connect. 0 connected; -EINPROGRESS wait for writability, then transport_connected; other errors: no fd is left.
cdef int transport_connect(const address_t *address, const transport_options_t *options, int *fd) noexcept nogil

# The outcome of a connection in progress: 0 or -errno.
cdef int transport_connected(int fd) noexcept nogil

# Accepts one connection and applies the options. 0 and a non-blocking close-on-exec fd; -EAGAIN none waiting; other -errno.
cdef int transport_accept(int listen_fd, transport_kind kind, const transport_options_t *options, int *fd) noexcept nogil

# The endpoint text of an fd's own end, listening or connected; takes ENDPOINT_BYTES_MAX. 0; -EINVAL when the fd is of
# another kind; -errno.
cdef int transport_own_text(int fd, transport_kind kind, char *out) noexcept nogil

# The peer's address as ZAP and 'Peer-Address' show it ("127.0.0.1"; "" for ipc); NUL-terminated, cut to size.
cdef void transport_peer(int fd, transport_kind kind, char *out, size_t size) noexcept nogil

# The endpoint text of a tcp address in figures, as ZMQ_LAST_ENDPOINT has it: by that an endpoint is found when it is called by
# another name. A host name is resolved (transport_needs_resolver: may block); "*" and interface names are not, as in libzmq: what
# was bound by those goes by its resolved text. out takes ENDPOINT_BYTES_MAX. 0; -EINVAL: no tcp; other -errno.
cdef int transport_figures(const address_t *address, bint ipv6, char *out) noexcept nogil
