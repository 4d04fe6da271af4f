# zmqcore/_frame.pxd -- messages from and to Python objects (floor 9, a half of _core). Needs the GIL.
from libc.stdint cimport uint8_t, uint32_t
from zmqcore._message cimport msg_t, store_t

cdef class Frame:
    cdef const uint8_t *_at
    cdef size_t _size
    cdef store_t *_store
    cdef bint _more
    cdef object _tracker
    cdef object __weakref__

# Appends one part of data for the time of the call, or (is_kept) for longer. TypeError; MemoryError; BufferError.
cdef int push_data(msg_t *msg, object data, bint is_kept) except -1

# The part i of msg as bytes, or (not copy) as a Frame that knows whether more parts follow.
cdef object take_part(msg_t *msg, uint32_t i, bint copy, bint more)
