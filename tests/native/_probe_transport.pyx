# Thin def wrappers around zmqcore/_transport, for the tests only. Codes are returned as they are: 0 or -errno.
from zmqcore._transport cimport (
    ENDPOINT_BYTES_MAX, TRANSPORT_INPROC, TRANSPORT_IPC, TRANSPORT_TCP, address_t, transport_accept,
    transport_connect, transport_connected, transport_kind, transport_listen, transport_needs_resolver,
    transport_options_t, transport_figures, transport_parse, transport_peer, transport_unlisten,
)

TCP = <int>TRANSPORT_TCP
IPC = <int>TRANSPORT_IPC
INPROC = <int>TRANSPORT_INPROC
TEXT_MAX = <int>ENDPOINT_BYTES_MAX


cdef transport_options_t options_from(dict given):
    cdef transport_options_t options
    cdef bytes device = given.get("device", b"")
    cdef size_t at
    options.ipv6 = given.get("ipv6", False)
    options.backlog = given.get("backlog", 100)
    options.sndbuf = given.get("sndbuf", -1)
    options.rcvbuf = given.get("rcvbuf", -1)
    options.tos = given.get("tos", 0)
    options.keepalive = given.get("keepalive", -1)
    options.keepalive_cnt = given.get("keepalive_cnt", -1)
    options.keepalive_idle_s = given.get("keepalive_idle_s", -1)
    options.keepalive_intvl_s = given.get("keepalive_intvl_s", -1)
    options.maxrt_ms = given.get("maxrt_ms", 0)
    options.use_fd = given.get("use_fd", -1)
    if <size_t>len(device) >= sizeof(options.device):
        raise ValueError("device name too long")
    for at in range(sizeof(options.device)):
        options.device[at] = device[at] if at < <size_t>len(device) else 0
    return options


def parse(bytes text, bint is_bind, bint ipv6=False):
    cdef address_t out
    cdef const char *at = text
    cdef size_t size = len(text)
    cdef int code
    with nogil:
        code = transport_parse(at, size, is_bind, ipv6, &out)
    if code != 0:
        return code, None
    return code, {"kind": <int>out.kind, "text": out.text, "host": out.host, "source": out.source, "port": out.port}


def needs_resolver(bytes text):
    cdef address_t address
    if transport_parse(text, len(text), False, False, &address) != 0:
        raise ValueError(text)
    return transport_needs_resolver(&address)


def listen(bytes text, **given):
    cdef transport_options_t options = options_from(given)
    cdef address_t address
    cdef const char *at = text
    cdef size_t size = len(text)
    cdef char resolved[ENDPOINT_BYTES_MAX]
    cdef int fd = -1
    cdef int code
    with nogil:
        code = transport_parse(at, size, True, options.ipv6, &address)
        if code == 0:
            code = transport_listen(&address, &options, &fd, resolved)
    return code, fd, resolved if code == 0 else b""


def unlisten(bytes text, bytes resolved, int fd):
    cdef address_t address
    cdef int code = transport_parse(text, len(text), True, True, &address)
    if code != 0:
        raise ValueError(text)
    return transport_unlisten(&address, resolved, fd)


def connect(bytes text, **given):
    cdef transport_options_t options = options_from(given)
    cdef address_t address
    cdef const char *at = text
    cdef size_t size = len(text)
    cdef int fd = -1
    cdef int code
    with nogil:
        code = transport_parse(at, size, False, options.ipv6, &address)
        if code == 0:
            code = transport_connect(&address, &options, &fd)
    return code, fd


def connected(int fd):
    return transport_connected(fd)


def accept(int listen_fd, int kind, **given):
    cdef transport_options_t options = options_from(given)
    cdef int fd = -1
    cdef int code
    with nogil:
        code = transport_accept(listen_fd, <transport_kind>kind, &options, &fd)
    return code, fd


def peer(int fd, int kind, size_t size=ENDPOINT_BYTES_MAX):
    cdef char out[ENDPOINT_BYTES_MAX + 1]
    if size > ENDPOINT_BYTES_MAX:
        raise ValueError("size")
    # A mark behind the buffer shows a write past its end.
    out[size] = 0x7e
    transport_peer(fd, <transport_kind>kind, out, size)
    if out[size] != 0x7e:
        raise AssertionError("transport_peer wrote past its buffer")
    return out if size else b""


def figures(bytes text, bint ipv6=False):
    """The text in figures, or the -errno of parsing or resolving it."""
    cdef const char *at = text
    cdef size_t size = len(text)
    cdef address_t address
    cdef char out[ENDPOINT_BYTES_MAX]
    cdef int rc
    with nogil:
        rc = transport_parse(at, size, True, ipv6, &address)
        if rc == 0:
            rc = transport_figures(&address, ipv6, out)
    return <bytes>out if rc == 0 else rc
