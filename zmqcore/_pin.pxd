# zmqcore/_pin.pxd -- Python buffers that the engine reads from without a copy (floor 9). Needs the GIL.
#
# The engine lets go of a store on any thread and never takes the GIL. So a pinned object is not released there but put in a
# list, which whoever next holds the GIL in here empties: a pending call of the interpreter, a later send or receive, or a
# thread that waits for a MessageTracker.
# Lock:   pins.lock, a leaf, guards the list.
# Memory: a pin is owned by its store, and then by the list. It holds a view of the buffer and a count on the event.
from libc.stdint cimport int32_t, uint8_t
from zmqcore._message cimport store_t
from zmqcore._sys cimport zc_load

# A store over any contiguous buffer, in the order of its memory. event (None: none) is set when the engine has let go of it.
# TypeError; BufferError; MemoryError.
cdef store_t *pin_buffer(object data, object event) except NULL

# The `bytes` that a store of pin_buffer is over, when they are what lies at `at`; cut to size when nobody else has them yet. None:
# other memory, or more than that.
cdef object pin_bytes(store_t *store, const uint8_t *at, size_t size)

# Lets go of what the engine has let go of. Runs destructors, and so any Python code.
cdef void pins_release() noexcept

cdef int32_t *pins_waiting() noexcept nogil

# The same where it is to cost nothing when there is nothing. waiting: pins_waiting().
cdef inline void pins_look(const int32_t *waiting) noexcept:
    if zc_load(waiting):
        pins_release()
