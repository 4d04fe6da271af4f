# zmqcore/_frame.pxd -- messages from and to Python objects (floor 10). Needs the GIL.
from libc.stdint cimport uint8_t, uint32_t
from zmqcore._message cimport batch_t, msg_t, store_t

cdef class Frame:
    cdef const uint8_t *_at
    cdef size_t _size
    cdef store_t *_store
    cdef store_t *_metadata     # of the message that it was received in; NULL none
    cdef bint _more
    cdef bint _is_made          # nothing above changes any more
    cdef object _tracker
    cdef object __weakref__
    cdef void become(self, store_t *store, object watch) noexcept

# Makes an empty frame one of these bytes: shares the store, or copies a small body, so that it does not keep a whole read buffer
# alive.
cdef int frame_fill(Frame frame, const uint8_t *at, size_t size, store_t *store, bint more) except -1
# Makes an empty frame the part i of msg.
cdef int frame_receive(Frame frame, const msg_t *msg, uint32_t i, bint more) except -1
# Makes an empty frame a copy of another, whose bytes it shares.
cdef void frame_share(Frame frame, Frame other) noexcept

# A message option by its number, or a property by its name (zmq_msg_get(3), zmq_msg_gets(3)): int or str; None: there is none.
# TypeError; UnicodeDecodeError: a property that is no UTF-8.
cdef object frame_option(Frame frame, object option)

# Appends one part of data for the time of the call, or (is_kept) for longer. Bytes of PIN_BYTES and more, and other buffers of
# at least share_bytes, are not copied: event (None: none) is set when the engine has let go of them. Whether event will be.
# TypeError; MemoryError; BufferError.
cdef bint push_data(msg_t *msg, object data, bint is_kept, size_t share_bytes, object event) except -1

# Appends each of the parts, as push_data does; all but bytes and Frames is copied.
cdef int push_parts(msg_t *msg, object parts, bint is_kept) except -1

# Appends messages of one part, or of a list or tuple of them, whose bytes are borrowed as long as the caller has both lists.
# TypeError, ValueError and BufferError say which message.
cdef int push_messages(batch_t *batch, list messages, list kept) except -1
# Raises the error that message i has met, with its number.
cdef int name_message(object error, Py_ssize_t i) except -1

# A part, or a message as push_messages takes it, that nobody changes: buffers as bytes of what they hold now, a message of several
# parts as a list. Raises what those raise.
cdef object kept_part(object data)
cdef object kept_message(object message)

# What share_bytes is when everything but bytes and Frames is copied.
cdef enum:
    SHARE_NONE = -1

# The part i of msg as bytes, or (not copy) as a Frame that knows whether more parts follow.
cdef object take_part(msg_t *msg, uint32_t i, bint copy, bint more)
# All parts of msg.
cdef list take_parts(msg_t *msg, bint copy)
# All messages: each bytes, or a list of bytes when it has several parts.
cdef list take_messages(const batch_t *batch)
