# zmqcore/_options.pyx -- see the door for contracts.
#
# One row an option, in rows_fill(): number, kind, where the value lives, bounds, default, who accepts it. Setting,
# reading, defaults and clean-up all go by the rows, so a new option is one row and its field in the door. What a plain
# range cannot say is a small function of its own that the row names (set_heartbeat_ttl, get_ipv4only, ...).
#
# A row without a setter cannot be set, one without a getter cannot be read, and one with neither is a number that
# zmq.h has and this engine refuses: the face still learns its kind, and the errno is the one libzmq gives.
from libc.stdint cimport INT32_MAX, INT32_MIN, INT64_MAX
from zmqcore._sys cimport (
    EINVAL, ENOENT, ENOMEM, free, malloc, memcmp, memcpy, memset, strlen, zc_store, zc_wipe,
)
from zmqcore._sys_net cimport net_ip_read
from zmqcore._z85 cimport z85_decode, z85_encode
from zmqcore._zmtp cimport slice_t, zmtp_property_next, zmtp_property_write

cdef enum:
    ROW_SPIN_US = 128           # behind the numbers of zmq.h, which index the table directly
    ROW_COUNT = 129
    NAME_BYTES_MAX = 255        # routing id, ZAP domain, metadata key, PLAIN and SOCKS user: one length byte on some wire
    DEVICE_BYTES_MAX = 16       # IFNAMSIZ
    FILTER_TEXT_BYTES_MAX = 255
    IPV4_BITS = 32
    IPV6_BITS = 128
    # The property list goes into one READY, and mechanism_next reports a frame's size as an int.
    METADATA_BYTES_MAX = 0x7FFF0000
    # libzmq takes a METADATA of 4 bytes for an int and refuses it.
    METADATA_BYTES_REFUSED = 4

# Sets of types as bits, 1 << TYPE_*. REP is a ROUTER and PUB an XPUB to their options.
cdef enum:
    TYPES_ALL = (1 << TYPE_COUNT) - 1
    TYPES_REQ = 1 << TYPE_REQ
    TYPES_ROUTER = 1 << TYPE_ROUTER | 1 << TYPE_REP
    TYPES_PROBE = 1 << TYPE_ROUTER | 1 << TYPE_REP | 1 << TYPE_DEALER | 1 << TYPE_REQ
    TYPES_CONNECT_ID = 1 << TYPE_ROUTER | 1 << TYPE_REP | 1 << TYPE_STREAM
    TYPES_XPUB = 1 << TYPE_XPUB | 1 << TYPE_PUB
    TYPES_FIRST_ONLY = 1 << TYPE_XPUB | 1 << TYPE_PUB | 1 << TYPE_XSUB
    TYPES_SUBSCRIBE = 1 << TYPE_XPUB | 1 << TYPE_PUB | 1 << TYPE_SUB
    TYPES_TOPICS = 1 << TYPE_XPUB | 1 << TYPE_PUB | 1 << TYPE_SUB | 1 << TYPE_XSUB
    TYPES_STREAM = 1 << TYPE_STREAM

cdef enum storage:
    STORED_NOWHERE = 0          # the row's own functions know where
    STORED_INT                  # int32_t or bint
    STORED_INT64                # int64_t or uint64_t
    STORED_BLOB

cdef struct row_t:
    option_kind kind
    storage stored
    size_t off                  # of the value in options_t
    uint32_t types              # who accepts it
    int64_t least               # bounds, inclusive: of an int's value, of a blob's size
    int64_t most
    int64_t initial
    bint is_switch              # any accepted value but 0 is kept as 1
    bint null_clears            # NULL with size 0 empties a blob whose least is 1
    int32_t security            # SECURITY_* that it switches to
    # NULL: cannot be set; cannot be read. The type and NULL with a size have been refused before.
    int (*set)(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil
    int (*get)(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil

cdef row_t rows[ROW_COUNT]      # written at import only
cdef options_t layout           # never read: rows_fill takes offsets from its fields


# --- blobs -------------------------------------------------------------------------------------------------------

cdef int blob_set(blob_t *self, const void *at, size_t size) noexcept nogil:
    cdef uint8_t *copy
    if size == 0:
        blob_clear(self)
        return 0
    copy = <uint8_t *>malloc(size)
    if copy == NULL:
        return -ENOMEM
    memcpy(copy, at, size)
    blob_clear(self)
    self.at = copy
    self.size = size
    return 0


cdef void blob_clear(blob_t *self) noexcept nogil:
    zc_wipe(self.at, self.size)
    free(self.at)
    self.at = NULL
    self.size = 0


# Makes room for size (> 0) more bytes at off. The room, or NULL without memory (then nothing has changed).
cdef uint8_t *blob_widen(blob_t *self, size_t off, size_t size) noexcept nogil:
    cdef blob_t wider
    wider.size = self.size + size
    wider.at = <uint8_t *>malloc(wider.size)
    if wider.at == NULL:
        return NULL
    if self.size:
        memcpy(wider.at, self.at, off)
        memcpy(wider.at + off + size, self.at + off, self.size - off)
    blob_clear(self)
    self[0] = wider
    return self.at + off


cdef int blob_append(blob_t *self, const void *at, size_t size) noexcept nogil:
    cdef uint8_t *room = blob_widen(self, self.size, size)
    if room == NULL:
        return -ENOMEM
    memcpy(room, at, size)
    return 0


# --- the general setters and getters -----------------------------------------------------------------------------

cdef void *field(options_t *self, const row_t *row) noexcept nogil:
    return <uint8_t *>self + row.off


cdef const void *const_field(const options_t *self, const row_t *row) noexcept nogil:
    return <const uint8_t *>self + row.off


# The value of an int within the row's bounds. 0; -EINVAL.
cdef int read_int(const row_t *row, const void *at, size_t size, int32_t *value) noexcept nogil:
    if size != sizeof(int32_t):
        return -EINVAL
    memcpy(value, at, size)
    if value[0] < row.least or value[0] > row.most:
        return -EINVAL
    if row.is_switch:
        value[0] = value[0] != 0
    return 0


# All of value, in a buffer of exactly its size, as libzmq wants it for numbers.
cdef int write_exactly(const void *value, size_t value_bytes, void *at, size_t *size) noexcept nogil:
    if size[0] != value_bytes or at == NULL:
        return -EINVAL
    memcpy(at, value, value_bytes)
    return 0


cdef int set_int(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef int32_t value
    cdef int rc = read_int(row, at, size, &value)
    if rc == 0:
        zc_store(<int32_t *>field(self, row), value)        # the timeouts are read without the lock
    return rc


cdef int get_int(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    return write_exactly(const_field(self, row), sizeof(int32_t), at, size)


cdef int set_int64(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    if size != sizeof(int64_t):
        return -EINVAL
    memcpy(field(self, row), at, size)
    return 0


cdef int get_int64(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    return write_exactly(const_field(self, row), sizeof(int64_t), at, size)


cdef int set_blob(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    if not (at == NULL and row.null_clears) and (<int64_t>size < row.least or <int64_t>size > row.most):
        return -EINVAL
    return blob_set(<blob_t *>field(self, row), at, size)


# A text reads back with a final NUL, which its size counts. 0; -EINVAL when the buffer is too small.
cdef int write_text(const void *text, size_t text_bytes, void *at, size_t *size) noexcept nogil:
    if size[0] <= text_bytes or at == NULL:
        return -EINVAL
    if text_bytes != 0:
        memcpy(at, text, text_bytes)
    (<char *>at)[text_bytes] = 0
    size[0] = text_bytes + 1
    return 0


cdef int get_blob(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    cdef const blob_t *blob = <const blob_t *>const_field(self, row)
    if row.kind == OPTION_STRING:
        return write_text(blob.at, blob.size, at, size)
    if size[0] < blob.size:
        return -EINVAL
    if blob.size != 0:
        if at == NULL:
            return -EINVAL
        memcpy(at, blob.at, blob.size)
    size[0] = blob.size
    return 0


# --- what is special about some options --------------------------------------------------------------------------

cdef int get_from_socket(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    return -ENOENT


cdef int set_subscription(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    if self.type != TYPE_SUB and not self.xpub_manual:
        return -EINVAL
    return -ENOENT


# PLAIN_SERVER, CURVE_SERVER; row.security says which. 0 takes any mechanism away.
cdef int set_as_server(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef int32_t value
    cdef int rc = read_int(row, at, size, &value)
    if rc == 0:
        self.as_server = value
        self.security = row.security if value else SECURITY_NULL
    return rc


cdef int get_as_server(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    cdef int32_t value = self.as_server and self.security == row.security
    return write_exactly(&value, sizeof(value), at, size)


# PLAIN_USERNAME, PLAIN_PASSWORD. NULL takes the mechanism away and leaves the name.
cdef int set_plain(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef int rc
    if at == NULL:
        self.security = SECURITY_NULL
        return 0
    rc = set_blob(self, row, at, size)
    if rc == 0:
        self.as_server = False
        self.security = SECURITY_PLAIN
    return rc


# CURVE_*KEY: raw, or Z85 with or without a final NUL.
cdef int set_curve_key(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef const char *text = <const char *>at
    cdef uint8_t key[CURVE_KEY_BYTES]
    cdef int rc = 0
    if size == CURVE_KEY_BYTES:
        memcpy(key, at, size)
    elif size == CURVE_KEY_Z85_BYTES or (size == CURVE_KEY_Z85_BYTES + 1 and text[CURVE_KEY_Z85_BYTES] == 0):
        rc = z85_decode(text, CURVE_KEY_Z85_BYTES, key)
    else:
        return -EINVAL
    if rc == 0:
        memcpy(field(self, row), key, CURVE_KEY_BYTES)
        self.security = SECURITY_CURVE
        if row == row_at(OPTION_CURVE_SERVERKEY):
            self.as_server = False
    zc_wipe(key, sizeof(key))
    return rc


cdef int get_curve_key(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    cdef char text[CURVE_KEY_Z85_BYTES + 1]
    cdef int rc
    if size[0] == CURVE_KEY_BYTES:
        return write_exactly(const_field(self, row), CURVE_KEY_BYTES, at, size)
    z85_encode(<const uint8_t *>const_field(self, row), CURVE_KEY_BYTES, text)
    text[CURVE_KEY_Z85_BYTES] = 0
    rc = write_exactly(text, sizeof(text), at, size)
    zc_wipe(text, sizeof(text))
    return rc


# None of libzmq's thread-safe types is here, and pyzmq takes its own way with a type that says 1.
cdef int get_thread_safe(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    cdef int32_t value = 0
    # Unlike the other ints this one may be read into a larger buffer.
    if size[0] > sizeof(value):
        size[0] = sizeof(value)
    return write_exactly(&value, sizeof(value), at, size)


cdef int set_ipv4only(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef int32_t value
    cdef int rc = read_int(row, at, size, &value)
    if rc == 0:
        self.transport.ipv6 = not value
    return rc


cdef int get_ipv4only(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    cdef int32_t value = not self.transport.ipv6
    return write_exactly(&value, sizeof(value), at, size)


# On the wire a TTL is in tenths of a second (RFC 37); cut towards 0.
cdef int set_heartbeat_ttl(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef int32_t value
    cdef int rc = read_int(row, at, size, &value)
    if rc == 0:
        self.heartbeat_ttl_ms = value // 100 * 100
    return rc


cdef int set_xpub_verbose(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef int32_t value
    cdef int rc = read_int(row, at, size, &value)
    if rc == 0:
        self.xpub_verbose = value
        self.xpub_verboser = False
    return rc


cdef int set_xpub_verboser(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef int32_t value
    cdef int rc = read_int(row, at, size, &value)
    if rc == 0:
        self.xpub_verbose = value
        self.xpub_verboser = value
    return rc


cdef int set_xpub_manual_last_value(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef int32_t value
    cdef int rc = read_int(row, at, size, &value)
    if rc == 0:
        self.xpub_manual = value
        self.xpub_manual_last_value = value
    return rc


# A name with a NUL inside ends there, as it does for the kernel.
cdef int set_device(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    if at != NULL and (size == 0 or size > DEVICE_BYTES_MAX):
        return -EINVAL
    memset(self.transport.device, 0, sizeof(self.transport.device))
    if at != NULL:
        memcpy(self.transport.device, at, size)
    return 0


cdef int get_device(const options_t *self, const row_t *row, void *at, size_t *size) noexcept nogil:
    return write_text(self.transport.device, strlen(self.transport.device), at, size)


cdef int set_ipc_filter(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef blob_t *ids = <blob_t *>field(self, row)
    if at == NULL:
        blob_clear(ids)
        return 0
    if size != sizeof(int32_t):
        return -EINVAL
    return blob_append(ids, at, size)


# The figures behind '/' in a network, at most `most`. -EINVAL for anything else.
cdef int mask_read(const char *text, int most) noexcept nogil:
    cdef int bits = 0
    cdef size_t off = 0
    if text[0] == 0:
        return -EINVAL
    while text[off] != 0:
        if text[off] < c'0' or text[off] > c'9':
            return -EINVAL
        bits = bits * 10 + (text[off] - c'0')
        if bits > most:
            return -EINVAL
        off += 1
    return bits


# "address" or "address/bits"; is_ipv6 allows both families. text is cut at the '/'. 0; -EINVAL.
cdef int network_read(char *text, bint is_ipv6, ip_network_t *out) noexcept nogil:
    cdef size_t off = 0
    cdef bint has_mask
    cdef int most, bits
    while text[off] != 0 and text[off] != c'/':
        off += 1
    has_mask = text[off] == c'/'
    text[off] = 0
    memset(out, 0, sizeof(ip_network_t))
    if net_ip_read(text, False, out.at):
        most = IPV4_BITS
    elif is_ipv6 and net_ip_read(text, True, out.at):
        most = IPV6_BITS
        out.is_ipv6 = 1
    else:
        return -EINVAL
    bits = mask_read(text + off + 1, most) if has_mask else most
    if bits < 0:
        return bits
    out.bits = <uint8_t>bits
    return 0


cdef int set_tcp_accept_filter(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef char text[FILTER_TEXT_BYTES_MAX + 1]
    cdef ip_network_t network
    if at == NULL:
        blob_clear(&self.tcp_accept_filters)
        return 0
    if size == 0 or size > FILTER_TEXT_BYTES_MAX:
        return -EINVAL
    memcpy(text, at, size)
    text[size] = 0
    if network_read(text, self.transport.ipv6, &network) < 0:
        return -EINVAL
    return blob_append(&self.tcp_accept_filters, &network, sizeof(network))


# Byte order, the shorter first where one begins the other. < 0, 0, > 0.
cdef int name_order(slice_t one, const char *other, size_t other_bytes) noexcept nogil:
    cdef size_t common = one.size if one.size < other_bytes else other_bytes
    cdef int order = memcmp(one.at, other, common)
    if order != 0:
        return order
    return (one.size > other_bytes) - (one.size < other_bytes)


# Adds a property in its place; a name that is there keeps its value, as in libzmq. 0; -EINVAL; -ENOMEM.
cdef int metadata_add(blob_t *self, const char *name, const uint8_t *value, size_t size) noexcept nogil:
    cdef slice_t known, known_value, properties
    cdef size_t name_bytes = strlen(name)
    cdef size_t more = 1 + name_bytes + sizeof(uint32_t) + size
    cdef size_t place = 0
    cdef size_t off = 0
    cdef int order
    cdef uint8_t *room
    properties.at = self.at
    properties.size = self.size
    while zmtp_property_next(properties, &off, &known, &known_value) > 0:
        order = name_order(known, name, name_bytes)
        if order == 0:
            return 0
        if order > 0:
            break
        place = off
    if more > METADATA_BYTES_MAX - self.size:
        return -EINVAL
    room = blob_widen(self, place, more)
    if room == NULL:
        return -ENOMEM
    zmtp_property_write(room, name, value, <uint32_t>size)
    return 0


# "X-name:value"; the first ':' ends the name. A NUL in the name is refused: RFC 37 allows none there.
cdef int set_metadata(options_t *self, const row_t *row, const void *at, size_t size) noexcept nogil:
    cdef const char *text = <const char *>at
    cdef char name[NAME_BYTES_MAX + 1]
    cdef size_t off = 0
    if size == METADATA_BYTES_REFUSED or size > METADATA_BYTES_MAX:
        return -EINVAL
    while off < size and text[off] != c':':
        if off == NAME_BYTES_MAX or text[off] == 0:
            return -EINVAL
        name[off] = text[off]
        off += 1
    name[off] = 0
    if off + 1 >= size or off < 2 or memcmp(name, "X-", 2) != 0:
        return -EINVAL
    return metadata_add(&self.metadata, name, <const uint8_t *>text + off + 1, size - off - 1)


# --- the table ---------------------------------------------------------------------------------------------------

cdef row_t *row_at(int32_t option) noexcept nogil:
    if option == OPTION_SPIN_US:
        return &rows[ROW_SPIN_US]
    if option <= 0 or option >= ROW_SPIN_US:
        return NULL
    return &rows[option]


cdef row_t *row_new(int32_t option, option_kind kind, const void *where, storage stored) noexcept nogil:
    cdef row_t *row = row_at(option)
    row.kind = kind
    row.types = TYPES_ALL
    row.stored = stored
    if where != NULL:
        row.off = <size_t>(<const uint8_t *>where - <const uint8_t *>&layout)
    return row


# An int that every type has, with these bounds.
cdef row_t *row_int(int32_t option, const void *where, int32_t least, int32_t most, int32_t initial) noexcept nogil:
    cdef row_t *row = row_new(option, OPTION_INT, where, STORED_INT)
    row.least = least
    row.most = most
    row.initial = initial
    row.set = set_int
    row.get = get_int
    return row


# An int of any value that reads back as 0 or 1.
cdef void row_switch(int32_t option, const void *where, int32_t initial) noexcept nogil:
    cdef row_t *row = row_int(option, where, INT32_MIN, INT32_MAX, initial)
    row.is_switch = True


# A switch of some types, which cannot be read: any int >= 0.
cdef row_t *row_mode(int32_t option, const void *where, uint32_t types) noexcept nogil:
    cdef row_t *row = row_int(option, where, 0, INT32_MAX, 0)
    row.types = types
    row.is_switch = True
    row.get = NULL
    return row


cdef void row_int64(int32_t option, const void *where, int64_t initial) noexcept nogil:
    cdef row_t *row = row_new(option, OPTION_INT64, where, STORED_INT64)
    row.initial = initial
    row.set = set_int64
    row.get = get_int64


cdef row_t *row_blob(int32_t option, option_kind kind, const void *where, int64_t least,
                     int64_t most) noexcept nogil:
    cdef row_t *row = row_new(option, kind, where, STORED_BLOB)
    row.least = least
    row.most = most
    row.set = set_blob
    row.get = get_blob
    return row


cdef void row_as_server(int32_t option, int32_t security) noexcept nogil:
    cdef row_t *row = row_new(option, OPTION_INT, NULL, STORED_NOWHERE)
    row.most = 1
    row.security = security
    row.set = set_as_server
    row.get = get_as_server


cdef void row_plain(int32_t option, const void *where) noexcept nogil:
    cdef row_t *row = row_blob(option, OPTION_STRING, where, 1, NAME_BYTES_MAX)
    row.set = set_plain


cdef void row_curve_key(int32_t option, const void *where) noexcept nogil:
    cdef row_t *row = row_new(option, OPTION_KEY, where, STORED_NOWHERE)
    row.set = set_curve_key
    row.get = get_curve_key


cdef void row_ipc_filter(int32_t option, const void *where) noexcept nogil:
    cdef row_t *row = row_new(option, OPTION_INT, where, STORED_BLOB)
    row.set = set_ipc_filter


# An option that the socket answers itself.
cdef row_t *row_socket(int32_t option, option_kind kind) noexcept nogil:
    cdef row_t *row = row_new(option, kind, NULL, STORED_NOWHERE)
    row.get = get_from_socket
    return row


cdef void row_subscription(int32_t option) noexcept nogil:
    cdef row_t *row = row_new(option, OPTION_BYTES, NULL, STORED_NOWHERE)
    row.types = TYPES_SUBSCRIBE
    row.set = set_subscription


cdef void row_refused(int32_t option, option_kind kind) noexcept nogil:
    row_new(option, kind, NULL, STORED_NOWHERE)


cdef void rows_fill_all_types() noexcept nogil:
    cdef options_t *at = &layout
    cdef row_t *row
    row_int64(4, &at.affinity, 0)                                                   # AFFINITY
    row_blob(OPTION_ROUTING_ID, OPTION_BYTES, &at.routing_id, 1, NAME_BYTES_MAX)
    row_int(8, &at.rate_kbit, 1, INT32_MAX, 100)                                    # RATE
    row_int(9, &at.recovery_ivl_ms, 0, INT32_MAX, 10000)                            # RECOVERY_IVL
    row_int(11, &at.transport.sndbuf, -1, INT32_MAX, -1)                            # SNDBUF
    row_int(12, &at.transport.rcvbuf, -1, INT32_MAX, -1)                            # RCVBUF
    row = row_int(OPTION_TYPE, &at.type, 0, 0, 0)
    row.set = NULL
    row_int(OPTION_LINGER, &at.linger_ms, -1, INT32_MAX, -1)
    row_int(18, &at.reconnect_ivl_ms, -1, INT32_MAX, 100)                           # RECONNECT_IVL
    row_int(19, &at.transport.backlog, 0, INT32_MAX, 100)                           # BACKLOG
    row_int(21, &at.reconnect_ivl_max_ms, 0, INT32_MAX, 0)                          # RECONNECT_IVL_MAX
    row_int64(22, &at.maxmsgsize, -1)                                               # MAXMSGSIZE
    row_int(OPTION_SNDHWM, &at.sndhwm, 0, INT32_MAX, 1000)
    row_int(OPTION_RCVHWM, &at.rcvhwm, 0, INT32_MAX, 1000)
    row_int(25, &at.multicast_hops, 1, INT32_MAX, 1)                                # MULTICAST_HOPS
    row_int(OPTION_RCVTIMEO, &at.rcvtimeo_ms, -1, INT32_MAX, -1)
    row_int(OPTION_SNDTIMEO, &at.sndtimeo_ms, -1, INT32_MAX, -1)
    row = row_int(31, NULL, 0, 1, 0)                                                # IPV4ONLY
    row.stored = STORED_NOWHERE
    row.set = set_ipv4only
    row.get = get_ipv4only
    row_int(34, &at.transport.keepalive, -1, 1, -1)                                 # TCP_KEEPALIVE
    row_int(35, &at.transport.keepalive_cnt, -1, INT32_MAX, -1)                     # TCP_KEEPALIVE_CNT
    row_int(36, &at.transport.keepalive_idle_s, -1, INT32_MAX, -1)                  # TCP_KEEPALIVE_IDLE
    row_int(37, &at.transport.keepalive_intvl_s, -1, INT32_MAX, -1)                 # TCP_KEEPALIVE_INTVL
    row = row_new(38, OPTION_STRING, &at.tcp_accept_filters, STORED_BLOB)           # TCP_ACCEPT_FILTER
    row.set = set_tcp_accept_filter
    row_int(39, &at.immediate, 0, 1, 0)                                             # IMMEDIATE
    row_int(42, &at.transport.ipv6, 0, 1, 0)                                        # IPV6
    row = row_int(OPTION_MECHANISM, &at.security, 0, 0, SECURITY_NULL)
    row.set = NULL
    row_as_server(44, SECURITY_PLAIN)                                               # PLAIN_SERVER
    row_plain(45, &at.plain_username)                                               # PLAIN_USERNAME
    row_plain(46, &at.plain_password)                                               # PLAIN_PASSWORD
    row_as_server(OPTION_CURVE_SERVER, SECURITY_CURVE)
    row_curve_key(OPTION_CURVE_PUBLICKEY, at.curve_publickey)
    row_curve_key(OPTION_CURVE_SECRETKEY, at.curve_secretkey)
    row_curve_key(OPTION_CURVE_SERVERKEY, at.curve_serverkey)
    row_int(54, &at.conflate, 0, 1, 0)                                              # CONFLATE
    row_blob(55, OPTION_STRING, &at.zap_domain, 1, NAME_BYTES_MAX)                  # ZAP_DOMAIN
    row_int(57, &at.transport.tos, 0, INT32_MAX, 0)                                 # TOS
    row_ipc_filter(58, &at.ipc_filter_pids)                                         # IPC_FILTER_PID
    row_ipc_filter(59, &at.ipc_filter_uids)                                         # IPC_FILTER_UID
    row_ipc_filter(60, &at.ipc_filter_gids)                                         # IPC_FILTER_GID
    row_int(66, &at.handshake_ivl_ms, 0, INT32_MAX, 30000)                          # HANDSHAKE_IVL
    row = row_blob(68, OPTION_STRING, &at.socks_proxy, 1, INT64_MAX)                # SOCKS_PROXY
    row.null_clears = True
    row_switch(74, &at.invert_matching, 0)                                          # INVERT_MATCHING
    row_int(75, &at.heartbeat_ivl_ms, 0, INT32_MAX, 0)                              # HEARTBEAT_IVL
    row = row_int(76, &at.heartbeat_ttl_ms, -99, 6553599, 0)                        # HEARTBEAT_TTL; 16 bits of tenths
    row.set = set_heartbeat_ttl
    row_int(77, &at.heartbeat_timeout_ms, 0, INT32_MAX, -1)                         # HEARTBEAT_TIMEOUT
    row_int(79, &at.connect_timeout_ms, 0, INT32_MAX, 0)                            # CONNECT_TIMEOUT
    row_int(80, &at.transport.maxrt_ms, 0, INT32_MAX, 0)                            # TCP_MAXRT
    row = row_new(OPTION_THREAD_SAFE, OPTION_INT, NULL, STORED_NOWHERE)
    row.get = get_thread_safe
    row_int(84, &at.multicast_maxtpdu, 1, INT32_MAX, 1500)                          # MULTICAST_MAXTPDU
    row_int(89, &at.transport.use_fd, -1, INT32_MAX, -1)                            # USE_FD
    row = row_new(92, OPTION_STRING, NULL, STORED_NOWHERE)                          # BINDTODEVICE
    row.set = set_device
    row.get = get_device
    row_switch(93, &at.zap_enforce_domain, 0)                                       # ZAP_ENFORCE_DOMAIN
    row_switch(94, &at.loopback_fastpath, 0)                                        # LOOPBACK_FASTPATH
    row = row_new(95, OPTION_BYTES, &at.metadata, STORED_BLOB)                      # METADATA
    row.set = set_metadata
    row_switch(96, &at.multicast_loop, 1)                                           # MULTICAST_LOOP
    row_blob(99, OPTION_STRING, &at.socks_username, 0, NAME_BYTES_MAX)              # SOCKS_USERNAME
    row_blob(100, OPTION_STRING, &at.socks_password, 0, NAME_BYTES_MAX)             # SOCKS_PASSWORD
    row_int(109, &at.reconnect_stop, INT32_MIN, INT32_MAX, 0)                       # RECONNECT_STOP
    row_int(OPTION_SPIN_US, &at.spin_us, 0, INT32_MAX, 0)


cdef void rows_fill_some_types() noexcept nogil:
    cdef options_t *at = &layout
    cdef row_t *row
    row_mode(33, &at.router_mandatory, TYPES_ROUTER)                                # ROUTER_MANDATORY
    row_mode(41, &at.router_raw, TYPES_ROUTER)                                      # ROUTER_RAW
    row_mode(56, &at.router_handover, TYPES_ROUTER)                                 # ROUTER_HANDOVER
    row_mode(51, &at.probe_router, TYPES_PROBE)                                     # PROBE_ROUTER
    row = row_blob(61, OPTION_BYTES, &at.connect_routing_id, 1, INT64_MAX)          # CONNECT_ROUTING_ID
    row.types = TYPES_CONNECT_ID
    row.get = NULL
    row_mode(52, &at.req_correlate, TYPES_REQ)                                      # REQ_CORRELATE
    row_mode(53, &at.req_relaxed, TYPES_REQ)                                        # REQ_RELAXED
    row = row_mode(40, &at.xpub_verbose, TYPES_XPUB)                                # XPUB_VERBOSE
    row.set = set_xpub_verbose
    row = row_mode(78, &at.xpub_verboser, TYPES_XPUB)                               # XPUB_VERBOSER
    row.set = set_xpub_verboser
    row_mode(69, &at.xpub_nodrop, TYPES_XPUB)                                       # XPUB_NODROP
    row_mode(71, &at.xpub_manual, TYPES_XPUB)                                       # XPUB_MANUAL
    row = row_mode(98, &at.xpub_manual_last_value, TYPES_XPUB)                      # XPUB_MANUAL_LAST_VALUE
    row.set = set_xpub_manual_last_value
    row = row_blob(72, OPTION_BYTES, &at.xpub_welcome, 0, INT64_MAX)                # XPUB_WELCOME_MSG
    row.types = TYPES_XPUB
    row.get = NULL
    row_mode(108, &at.only_first_subscribe, TYPES_FIRST_ONLY)                       # ONLY_FIRST_SUBSCRIBE
    row = row_mode(73, &at.stream_notify, TYPES_STREAM)                             # STREAM_NOTIFY
    row.most = 1
    row.initial = 1


cdef void rows_fill_socket() noexcept nogil:
    cdef row_t *row
    row_subscription(OPTION_SUBSCRIBE)
    row_subscription(OPTION_UNSUBSCRIBE)
    row_socket(OPTION_RCVMORE, OPTION_INT)
    row_socket(OPTION_FD, OPTION_FD_KIND)
    row_socket(OPTION_EVENTS, OPTION_INT)
    row_socket(OPTION_LAST_ENDPOINT, OPTION_STRING)
    row = row_socket(OPTION_TOPICS_COUNT, OPTION_INT)
    row.types = TYPES_TOPICS


cdef void rows_fill_refused() noexcept nogil:
    cdef int32_t option
    # libzmq's stable build refuses these too.
    row_refused(62, OPTION_INT)                                                     # GSSAPI_SERVER
    row_refused(63, OPTION_STRING)                                                  # GSSAPI_PRINCIPAL
    row_refused(64, OPTION_STRING)                                                  # GSSAPI_SERVICE_PRINCIPAL
    row_refused(65, OPTION_INT)                                                     # GSSAPI_PLAINTEXT
    row_refused(70, OPTION_INT)                                                     # BLOCKY, the context's
    row_refused(85, OPTION_INT64)                                                   # VMCI_BUFFER_SIZE
    row_refused(86, OPTION_INT64)                                                   # VMCI_BUFFER_MIN_SIZE
    row_refused(87, OPTION_INT64)                                                   # VMCI_BUFFER_MAX_SIZE
    row_refused(88, OPTION_INT)                                                     # VMCI_CONNECT_TIMEOUT
    row_refused(90, OPTION_INT)                                                     # GSSAPI_PRINCIPAL_NAMETYPE
    row_refused(91, OPTION_INT)                                                     # GSSAPI_SERVICE_PRINCIPAL_NAMETYPE
    row_refused(97, OPTION_INT)                                                     # ROUTER_NOTIFY
    row_refused(101, OPTION_INT)                                                    # IN_BATCH_SIZE
    row_refused(102, OPTION_INT)                                                    # OUT_BATCH_SIZE
    row_refused(103, OPTION_STRING)                                                 # WSS_KEY_PEM
    row_refused(104, OPTION_STRING)                                                 # WSS_CERT_PEM
    row_refused(105, OPTION_STRING)                                                 # WSS_TRUST_PEM
    row_refused(106, OPTION_STRING)                                                 # WSS_HOSTNAME
    row_refused(107, OPTION_INT)                                                    # WSS_TRUST_SYSTEM
    row_refused(110, OPTION_BYTES)                                                  # HELLO_MSG
    row_refused(111, OPTION_BYTES)                                                  # DISCONNECT_MSG
    row_refused(112, OPTION_INT)                                                    # PRIORITY
    row_refused(113, OPTION_INT)                                                    # BUSY_POLL
    row_refused(114, OPTION_BYTES)                                                  # HICCUP_MSG
    row_refused(115, OPTION_INT)                                                    # XSUB_VERBOSE_UNSUBSCRIBE
    for option in range(117, 125):                                                  # NORM_*
        row_refused(option, OPTION_INT)


cdef void rows_fill() noexcept nogil:
    rows_fill_all_types()
    rows_fill_some_types()
    rows_fill_socket()
    rows_fill_refused()


rows_fill()


# --- the door ----------------------------------------------------------------------------------------------------

cdef void options_init(options_t *self, int32_t type, bint ipv6, bint blocky) noexcept nogil:
    cdef const row_t *row
    cdef int i
    memset(self, 0, sizeof(options_t))
    for i in range(ROW_COUNT):
        row = &rows[i]
        if row.stored == STORED_INT:
            (<int32_t *>field(self, row))[0] = <int32_t>row.initial
        elif row.stored == STORED_INT64:
            (<int64_t *>field(self, row))[0] = row.initial
    self.type = type
    self.transport.ipv6 = ipv6
    # SUB and XSUB have only subscriptions to send, and those die with the connection.
    if type == TYPE_SUB or type == TYPE_XSUB or not blocky:
        self.linger_ms = 0


cdef void options_fini(options_t *self) noexcept nogil:
    cdef int i
    for i in range(ROW_COUNT):
        if rows[i].stored == STORED_BLOB:
            blob_clear(<blob_t *>field(self, &rows[i]))
    zc_wipe(self.curve_publickey, sizeof(self.curve_publickey))
    zc_wipe(self.curve_secretkey, sizeof(self.curve_secretkey))
    zc_wipe(self.curve_serverkey, sizeof(self.curve_serverkey))


cdef size_t live_from() noexcept nogil:
    return <size_t>(<const uint8_t *>&layout.linger_ms - <const uint8_t *>&layout)


cdef int options_copy(options_t *self, const options_t *options) noexcept nogil:
    cdef const blob_t *blob
    cdef int i
    cdef int rc = 0
    memset(self, 0, sizeof(options_t))
    memcpy(self, options, live_from())
    for i in range(ROW_COUNT):
        if rows[i].stored == STORED_BLOB and rows[i].off < live_from():
            memset(field(self, &rows[i]), 0, sizeof(blob_t))
    for i in range(ROW_COUNT):
        if rc == 0 and rows[i].stored == STORED_BLOB and rows[i].off < live_from():
            blob = <const blob_t *>const_field(options, &rows[i])
            rc = blob_set(<blob_t *>field(self, &rows[i]), blob.at, blob.size)
    return rc


cdef bint options_is_live(int32_t option) noexcept nogil:
    cdef const row_t *row = row_at(option)
    return row != NULL and row.off >= live_from()


cdef int options_set(options_t *self, int32_t option, const void *at, size_t size) noexcept nogil:
    cdef const row_t *row = row_at(option)
    if row == NULL or row.set == NULL or not row.types >> self.type & 1:
        return -EINVAL
    if at == NULL and size != 0:
        return -EINVAL
    return row.set(self, row, at, size)


cdef int options_get(const options_t *self, int32_t option, void *at, size_t *size) noexcept nogil:
    cdef const row_t *row = row_at(option)
    if row == NULL or row.get == NULL or not row.types >> self.type & 1:
        return -EINVAL
    return row.get(self, row, at, size)


cdef option_kind options_kind(int32_t option) noexcept nogil:
    cdef const row_t *row = row_at(option)
    return OPTION_UNKNOWN if row == NULL else row.kind
