# zmqcore/_frame.pyx -- see the door.
cimport cython
from cpython.buffer cimport (
    PyBUF_ANY_CONTIGUOUS, PyBuffer_FillInfo, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint8_t, uint32_t
from zmqcore._errno cimport fail
from zmqcore._limits cimport LARGE_BODY_BYTES, PIN_BYTES, SMALL_BYTES
from zmqcore._message cimport (
    batch_add, batch_end, batch_has_room, batch_reserve, batch_t, msg_push, msg_push_copy, msg_t, part_t, store_new,
    store_ref, store_t, store_unref,
)
from zmqcore._metadata cimport metadata_find
from zmqcore._pin cimport pin_buffer, pin_bytes
from zmqcore._sys cimport EINVAL, memcpy, zc_load
from zmqcore._zmtp cimport slice_t

from zmqcore import tracker as _tracker

cdef enum:
    MESSAGE_MORE = 1            # ZMQ_MORE
    MESSAGE_SRCFD = 2           # ZMQ_SRCFD
    MESSAGE_SHARED = 3          # ZMQ_SHARED


cdef class Frame:
    """Frame(data=None, track=False, copy=None, copy_threshold=None)

    One part of a message, immutable, with the buffer protocol: what recv(copy=False) returns and send() takes.
    data: bytes-like. Copied when copy is true, or unspecified and data is smaller than copy_threshold bytes (COPY_THRESHOLD when
    None); else shared, and not to be changed before the tracker asked for with track=True is done.
    """

    def __init__(self, data=None, bint track=False, copy=None, copy_threshold=None):
        cdef size_t share_bytes
        cdef Py_buffer view
        cdef store_t *store = NULL
        cdef object watch = _tracker.FINISHED if track else None
        if data is None:
            self.become(NULL, watch)
            return
        if isinstance(data, str):
            raise TypeError("Unicode strings are not allowed. Only: bytes, buffer interfaces.")
        if copy is None:
            share_bytes = _tracker.COPY_THRESHOLD if copy_threshold is None else copy_threshold
        else:
            share_bytes = <size_t>SHARE_NONE if copy else 0
        PyObject_GetBuffer(data, &view, PyBUF_ANY_CONTIGUOUS)
        try:
            if <size_t>view.len < share_bytes:
                store = store_new(view.len)
                if store == NULL:
                    raise MemoryError()
                memcpy(store.data, view.buf, view.len)
            else:
                event = _tracker.Released() if track else None
                store = pin_buffer(data, event)
                if track:
                    watch = _tracker.MessageTracker(event)
        finally:
            PyBuffer_Release(&view)
        self.become(store, watch)

    @cython.critical_section
    cdef void become(self, store_t *store, object watch) noexcept:
        # Once only, and the count on the store with it: somebody may hold a buffer of what is here.
        if self._is_made:
            if store != NULL:
                store_unref(store)
            return
        self._is_made = True
        self._tracker = watch
        if store != NULL:
            self._store = store
            self._at = store.data
            self._size = store.size

    def __dealloc__(self):
        if self._store != NULL:
            store_unref(self._store)
        if self._metadata != NULL:
            store_unref(self._metadata)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, <void *>self._at if self._at != NULL else <void *>b"", self._size, 1, flags)

    def __len__(self):
        return self._size

    def __eq__(self, other):
        if isinstance(other, Frame):
            return self.bytes == other.bytes
        return NotImplemented

    __hash__ = None

    def __getitem__(self, item):
        return self.get(item) if isinstance(item, str) else self.bytes[item]

    def __copy__(self):
        """Another Frame of the same bytes, which are shared."""
        cdef Frame copy = Frame.__new__(Frame)
        frame_share(copy, self)
        return copy

    def __bytes__(self):
        return self.bytes

    def __str__(self):
        return self.bytes.decode("utf8", "replace")

    def __repr__(self):
        return f"<{type(self).__module__}.{type(self).__name__}({bytes(self.bytes[:16])!r}{'...' if self._size > 16 else ''})>"

    @property
    def bytes(self):
        """The contents as bytes; a copy, made at each access."""
        return PyBytes_FromStringAndSize(<const char *>self._at, self._size)

    @property
    def buffer(self):
        """The contents as a read-only memoryview, without a copy."""
        return memoryview(self)

    @property
    def more(self):
        """Whether more parts of the same message follow (ZMQ_RCVMORE)."""
        return self._more

    @property
    def tracker(self):
        """The MessageTracker asked for with track=True, else None."""
        return self._tracker

    def get(self, option):
        """get(option) -> int or str: MORE, SHARED or SRCFD (zmq_msg_get(3)), or a property by its name (zmq_msg_gets(3))

        Properties tell who sent a received message: Socket-Type, Identity, Peer-Address, User-Id (of ZAP), and what else the peer
        (METADATA) and the ZAP handler say. EINVAL: there is none of that name; nor is there any over inproc.
        """
        value = frame_option(self, option)
        if value is None:
            fail(-EINVAL)
        return value

    def set(self, option, value):
        """set(option, value): there is no property that can be set: EINVAL (zmq_msg_set(3))."""
        fail(-EINVAL)


cdef int frame_fill(Frame frame, const uint8_t *at, size_t size, store_t *store, bint more) except -1:
    frame._is_made = True
    frame._more = more
    frame._size = size
    if size == 0:
        return 0
    if store != NULL and size >= LARGE_BODY_BYTES:
        store_ref(store)
        frame._store = store
        frame._at = at
        return 0
    frame._store = store_new(size)
    if frame._store == NULL:
        raise MemoryError()
    memcpy(frame._store.data, at, size)
    frame._at = frame._store.data
    return 0


cdef int frame_receive(Frame frame, const msg_t *msg, uint32_t i, bint more) except -1:
    frame_label(frame, msg.metadata)
    return frame_fill(frame, msg.parts[i].at, msg.parts[i].size, msg.parts[i].store, more)


cdef inline void frame_label(Frame frame, store_t *metadata) noexcept:
    if metadata != NULL:
        store_ref(metadata)
        frame._metadata = metadata


cdef void frame_share(Frame frame, Frame other) noexcept:
    if other._store != NULL:
        store_ref(other._store)
    frame_label(frame, other._metadata)
    frame._is_made = True
    frame._store = other._store
    frame._at = other._at
    frame._size = other._size
    frame._more = other._more


cdef object property_of(Frame frame, bytes name):
    # str; None: there is none.
    cdef slice_t value
    if frame._metadata == NULL or not metadata_find(frame._metadata, name, &value):
        return None
    return value.at[:value.size].decode() if value.size else ""


cdef object frame_option(Frame frame, object option):
    if isinstance(option, (str, bytes)):
        return property_of(frame, option.encode() if isinstance(option, str) else option)
    if not isinstance(option, int):
        raise TypeError(f"expected int or str, got: {option!r}")
    if option == MESSAGE_MORE:
        return int(frame._more)
    if option == MESSAGE_SHARED:
        return int(frame._store != NULL and zc_load(&frame._store.refs) > 1)
    fd = property_of(frame, b"__fd") if option == MESSAGE_SRCFD else None
    return None if fd is None else int(fd)


cdef bint push_store(msg_t *msg, store_t *store) except -1:
    if msg_push(msg, store.data, store.size, store) != 0:
        store_unref(store)
        raise MemoryError()
    return True


cdef bint push_data(msg_t *msg, object data, bint is_kept, size_t share_bytes, object event) except -1:
    cdef Frame frame
    cdef const uint8_t *at
    cdef size_t size
    cdef int rc
    if PyBytes_CheckExact(data):
        at = <const uint8_t *>PyBytes_AS_STRING(data)
        size = PyBytes_GET_SIZE(data)
        if size >= PIN_BYTES or (event is not None and size >= share_bytes):
            return push_store(msg, pin_buffer(data, event))
        if is_kept or size >= LARGE_BODY_BYTES:
            rc = msg_push_copy(msg, at, size)
        else:
            rc = msg_push(msg, at, size, NULL)
    elif isinstance(data, Frame):
        frame = <Frame>data
        if frame._store != NULL:
            store_ref(frame._store)
        rc = msg_push(msg, frame._at, frame._size, frame._store)
        if rc != 0 and frame._store != NULL:
            store_unref(frame._store)
    else:
        return push_buffer(msg, data, share_bytes, event)
    if rc != 0:
        raise MemoryError()
    return False


cdef int need_buffer(object data) except -1:
    if isinstance(data, str):
        raise TypeError("unicode not allowed, use send_string")
    if not PyObject_CheckBuffer(data):
        raise TypeError(f"{data!r} does not support the buffer interface")
    return 0


cdef bint push_buffer(msg_t *msg, object data, size_t share_bytes, object event) except -1:
    cdef Py_buffer view
    cdef int rc
    need_buffer(data)
    PyObject_GetBuffer(data, &view, PyBUF_ANY_CONTIGUOUS)
    if <size_t>view.len >= share_bytes:
        PyBuffer_Release(&view)
        return push_store(msg, pin_buffer(data, event))
    rc = msg_push_copy(msg, <const uint8_t *>view.buf, view.len)
    PyBuffer_Release(&view)
    if rc != 0:
        raise MemoryError()
    return False


cdef int push_parts(msg_t *msg, object parts, bint is_kept) except -1:
    for part in parts:
        push_data(msg, part, is_kept, <size_t>SHARE_NONE, None)
    return 0


cdef object bytes_of(const part_t *part):
    cdef object found = None
    if part.size >= PIN_BYTES and part.store != NULL:
        found = pin_bytes(part.store, part.at, part.size)
    return PyBytes_FromStringAndSize(<const char *>part.at, part.size) if found is None else found


cdef object take_part(msg_t *msg, uint32_t i, bint copy, bint more):
    cdef Frame frame
    if copy:
        return bytes_of(&msg.parts[i])
    frame = Frame.__new__(Frame)
    frame_receive(frame, msg, i, more)
    return frame


cdef list take_parts(msg_t *msg, bint copy):
    cdef uint32_t i
    return [take_part(msg, i, copy, i + 1 < msg.count) for i in range(msg.count)]


cdef int push_message(batch_t *batch, object message, list kept) except -1:
    # message itself is kept by the caller.
    if isinstance(message, (list, tuple)):
        parts = tuple(message)
        if not parts:
            raise ValueError("a message needs at least one part")
        kept.append(parts)
        push_parts(&batch.parts, parts, False)
    else:
        push_data(&batch.parts, message, False, <size_t>SHARE_NONE, None)
    if batch_end(batch) != 0:
        raise MemoryError()
    return 0


cdef int push_messages(batch_t *batch, list messages, list kept) except -1:
    cdef Py_ssize_t count = len(messages)
    cdef Py_ssize_t i = 0
    cdef PyObject *message
    if count > 0x7fffffff or batch_reserve(batch, <uint32_t>count) != 0:
        raise MemoryError()
    try:
        for i in range(count):
            # Borrowed: the list is the caller's own, and nobody changes it.
            message = PyList_GET_ITEM(messages, i)
            if (PyBytes_CheckExact(<object>message) and PyBytes_GET_SIZE(<object>message) <= SMALL_BYTES
                    and batch_has_room(batch)):
                batch_add(batch, <const uint8_t *>PyBytes_AS_STRING(<object>message), PyBytes_GET_SIZE(<object>message), NULL)
            else:
                push_message(batch, <object>message, kept)
    except (TypeError, ValueError, BufferError) as error:
        name_message(error, i)
    return 0


cdef int name_message(object error, Py_ssize_t i) except -1:
    for kind in (TypeError, ValueError, BufferError):
        if isinstance(error, kind):
            raise kind(f"message {i}: {error}") from None
    raise error


cdef object kept_part(object data):
    cdef Py_buffer view
    if isinstance(data, (bytes, Frame)):
        return data
    need_buffer(data)
    PyObject_GetBuffer(data, &view, PyBUF_ANY_CONTIGUOUS)
    try:
        return PyBytes_FromStringAndSize(<const char *>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef object kept_message(object message):
    if PyBytes_CheckExact(message):
        return message
    if not isinstance(message, (list, tuple)):
        return kept_part(message)
    parts = [kept_part(part) for part in message]
    if not parts:
        raise ValueError("a message needs at least one part")
    return parts


cdef list take_messages(const batch_t *batch):
    cdef list found = PyList_New(batch.count)
    cdef const part_t *part = batch.parts.parts
    cdef uint32_t first = 0
    cdef uint32_t i, _
    for i in range(batch.count):
        if batch.ends[i] == first + 1:
            message = bytes_of(part)
            part += 1
        else:
            message = []
            for _ in range(first, batch.ends[i]):
                message.append(bytes_of(part))
                part += 1
        first = batch.ends[i]
        Py_INCREF(message)
        PyList_SET_ITEM(found, i, message)
    return found
