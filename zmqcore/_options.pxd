# zmqcore/_options.pxd -- socket options: numbers, bounds, defaults, where each value is kept (floor 4).
# Lock:   the socket lock for every function; the engines of the socket read the fields under the same lock.
# Memory: an options_t owns its variable-length values (blob_t); options_fini frees them. Whatever is let go of is wiped.
# Source: zmq_setsockopt(3), zmq_getsockopt(3); errnos as libzmq 4.3.5 gives them.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from zmqcore._transport cimport transport_options_t

# Socket types (zmq.h).
cdef enum:
    TYPE_PAIR = 0
    TYPE_PUB = 1
    TYPE_SUB = 2
    TYPE_REQ = 3
    TYPE_REP = 4
    TYPE_DEALER = 5
    TYPE_ROUTER = 6
    TYPE_PULL = 7
    TYPE_PUSH = 8
    TYPE_XPUB = 9
    TYPE_XSUB = 10
    TYPE_STREAM = 11
    TYPE_COUNT = 12

# Option numbers (zmq.h) that other modules name; the rest lives in the table of _options.pyx.
cdef enum:
    OPTION_ROUTING_ID = 5
    OPTION_SUBSCRIBE = 6
    OPTION_UNSUBSCRIBE = 7
    OPTION_RCVMORE = 13
    OPTION_FD = 14
    OPTION_EVENTS = 15
    OPTION_TYPE = 16
    OPTION_LINGER = 17
    OPTION_SNDHWM = 23
    OPTION_RCVHWM = 24
    OPTION_RCVTIMEO = 27
    OPTION_SNDTIMEO = 28
    OPTION_LAST_ENDPOINT = 32
    OPTION_MECHANISM = 43
    OPTION_CURVE_SERVER = 47
    OPTION_CURVE_PUBLICKEY = 48
    OPTION_CURVE_SECRETKEY = 49
    OPTION_CURVE_SERVERKEY = 50
    OPTION_THREAD_SAFE = 81
    OPTION_TOPICS_COUNT = 116
    OPTION_SPIN_US = 10001      # ours: microseconds of polling before a blocking call sleeps; default 0

# What ZMQ_MECHANISM reads: the option of a mechanism that was set last says which.
cdef enum:
    SECURITY_NULL = 0
    SECURITY_PLAIN = 1
    SECURITY_CURVE = 2

cdef enum:
    CURVE_KEY_BYTES = 32
    CURVE_KEY_Z85_BYTES = 40    # without a final NUL

# A byte string of any length; at is NULL exactly when size is 0.
cdef struct blob_t:
    uint8_t *at
    size_t size

# One entry of TCP_ACCEPT_FILTER.
cdef struct ip_network_t:
    uint8_t is_ipv6
    uint8_t bits                # leading bits that a peer must share
    uint8_t at[16]              # network byte order; IPv4: the first 4

cdef struct options_t:
    # set once
    int32_t type                # TYPE_*
    # read when an endpoint is bound or connected
    transport_options_t transport
    uint64_t affinity
    blob_t routing_id           # 0..255 bytes
    int32_t reconnect_ivl_ms
    int32_t reconnect_ivl_max_ms
    int32_t reconnect_stop
    int32_t connect_timeout_ms
    int32_t handshake_ivl_ms
    int64_t maxmsgsize          # < 0: no limit
    bint immediate
    bint conflate
    int32_t heartbeat_ivl_ms
    int32_t heartbeat_timeout_ms # -1: heartbeat_ivl_ms
    int32_t heartbeat_ttl_ms    # a multiple of 100
    blob_t metadata             # ZMTP properties, ready for the wire, in byte order of their names
    int32_t security            # SECURITY_*
    bint as_server              # PLAIN and CURVE
    blob_t plain_username       # 0..255 bytes
    blob_t plain_password       # 0..255 bytes
    uint8_t curve_publickey[32] # zeros: not set
    uint8_t curve_secretkey[32]
    uint8_t curve_serverkey[32]
    blob_t zap_domain
    int32_t zap_enforce_domain
    int32_t rate_kbit
    int32_t recovery_ivl_ms
    int32_t multicast_hops
    int32_t multicast_maxtpdu
    int32_t multicast_loop
    int32_t loopback_fastpath
    blob_t tcp_accept_filters   # ip_network_t[]; empty: everybody
    blob_t ipc_filter_pids      # int32_t[]; all three empty: everybody
    blob_t ipc_filter_uids      # int32_t[]
    blob_t ipc_filter_gids      # int32_t[]
    blob_t socks_proxy
    blob_t socks_username
    blob_t socks_password
    bint stream_notify
    bint router_raw             # ROUTER also reads it live
    # the same, and what is set is spread to the pipes that are there
    int32_t sndhwm
    int32_t rcvhwm
    # live: read at each use. The first of them is where options_is_live begins
    int32_t linger_ms
    int32_t rcvtimeo_ms
    int32_t sndtimeo_ms
    int32_t spin_us
    bint invert_matching
    # live, of one type each
    bint router_mandatory
    bint router_handover
    bint probe_router
    blob_t connect_routing_id   # consumed by the next connect
    bint req_correlate
    bint req_relaxed
    bint xpub_verbose           # pass every subscribe
    bint xpub_verboser          # pass every unsubscribe too
    bint xpub_nodrop
    bint xpub_manual
    bint xpub_manual_last_value
    blob_t xpub_welcome
    bint only_first_subscribe

# Whether only the newest message is kept. The other types take the option and ignore it.
cdef inline bint options_conflate(const options_t *self) noexcept nogil:
    return self.conflate and (self.type == TYPE_DEALER or self.type == TYPE_PULL or self.type == TYPE_PUSH
                              or self.type == TYPE_PUB or self.type == TYPE_SUB)

# Whether its peers speak no ZMTP.
cdef inline bint options_are_raw(const options_t *self) noexcept nogil:
    return self.type == TYPE_STREAM or self.router_raw

# The defaults of the type; ipv6 and blocky come from the context. Cannot fail.
cdef void options_init(options_t *self, int32_t type, bint ipv6, bint blocky) noexcept nogil
cdef void options_fini(options_t *self) noexcept nogil
# What an endpoint takes of them (self is uninitialized); what is live stays 0. 0; -ENOMEM (options_fini is due all the same).
cdef int options_copy(options_t *self, const options_t *options) noexcept nogil
# Whether an option is read at each use, and not taken by a bind or connect.
cdef bint options_is_live(int32_t option) noexcept nogil

# Sets one option from its bytes, as zmq_setsockopt takes them (at may be NULL with size 0). 0; -EINVAL; -ENOMEM.
# SUBSCRIBE, UNSUBSCRIBE and what only a socket can do are not known here: -ENOENT, and the socket handles them.
cdef int options_set(options_t *self, int32_t option, const void *at, size_t size) noexcept nogil

# Reads one option into at[0:*size], as zmq_getsockopt does; *size becomes the bytes written. 0; -EINVAL;
# -ENOENT for what only a socket knows (RCVMORE, FD, EVENTS, LAST_ENDPOINT, TOPICS_COUNT).
cdef int options_get(const options_t *self, int32_t option, void *at, size_t *size) noexcept nogil

# How the Python face must convert a value of this option.
cdef enum option_kind:
    OPTION_UNKNOWN = 0
    OPTION_INT = 1              # int32
    OPTION_INT64 = 2            # also of the unsigned ones: pyzmq reads and takes them so
    OPTION_BYTES = 4
    OPTION_STRING = 5           # bytes that read back with a final NUL
    OPTION_FD_KIND = 6
    OPTION_KEY = 7              # reads as CURVE_KEY_BYTES, or as Z85 with a final NUL, by the size of the buffer

cdef option_kind options_kind(int32_t option) noexcept nogil

# Copies size bytes into a blob, freeing what it held. 0; -ENOMEM (unchanged).
cdef int blob_set(blob_t *self, const void *at, size_t size) noexcept nogil
cdef void blob_clear(blob_t *self) noexcept nogil
