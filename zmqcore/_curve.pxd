# zmqcore/_curve.pxd -- the messages of a CURVE connection: plain frames from and to boxes (floor 4; sees no fd and no pipe).
# Lock:   none: the input and the output half have one user each at a time (E2), and no field in common but the key.
# Memory: owns its buffers; curve_free wipes the key.
# Source: RFC 26. Each frame is one MESSAGE: 7 "MESSAGE", counter (8), box of the flags and the body.
# Invariants
#   V1  a counter is used once: sent_counter grows with each frame, and received_counter with each that is accepted
#   V2  the input begins with the head of a frame; only frames whose box has opened get to the caller
#   V3  the output holds whole frames, but for the part that was taken already
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from zmqcore._sys cimport iovec
from zmqcore._zmtp cimport slice_t

cdef struct curve_t:
    # set once
    uint8_t key[32]
    bint is_derived             # these are there: the key of all boxes of a direction
    uint8_t sent_key[32]
    uint8_t received_key[32]
    const char *sent_text       # 16 bytes of a nonce
    const char *received_text
    # reader only
    uint8_t *input
    size_t input_off            # what is before has been opened
    size_t input_bytes          # where the input ends
    size_t input_room
    uint64_t received_counter
    uint32_t error              # why opening failed: ERROR_* of a monitor event; 0 none
    # writer only
    uint8_t *output
    size_t output_off
    size_t output_bytes
    size_t output_room
    uint64_t sent_counter

# Begins with what the handshake has agreed on, and the bytes of the peer behind it. NULL: no memory.
cdef curve_t *curve_new(const uint8_t *key, bint is_server, uint64_t sent_counter, uint64_t received_counter,
                        slice_t rest) noexcept nogil
# NULL will do.
cdef void curve_free(curve_t *self) noexcept nogil

# Room for the peer's next bytes. 0; -ENOMEM.
cdef int curve_reserve(curve_t *self, uint8_t **at, size_t *room) noexcept nogil
cdef void curve_filled(curve_t *self, size_t bytes) noexcept nogil
# Opens whole frames of the input into out, as plain frames. need: the room that the next one wants, when it is here and did
# not fit; else 0. Bytes written; -EPROTO with error set, or 0 there: beyond maxmsgsize (< 0: no limit).
# What came before an error is not told.
cdef ssize_t curve_open(curve_t *self, int64_t maxmsgsize, uint8_t *out, size_t room, size_t *need) noexcept nogil
# The room that the first frame of the input wants as a plain frame; 0: it is not whole.
cdef size_t curve_next_bytes(const curve_t *self) noexcept nogil

# Seals the frames that begin the buffers of vec into the output, which is empty, as many as are worth a write. A frame whose
# body is not in the same buffer as its head has it as the whole next one. Bytes of vec used; -ENOMEM.
cdef ssize_t curve_seal(curve_t *self, const iovec *vec, int count) noexcept nogil
# What is to be written.
cdef inline slice_t curve_output(const curve_t *self) noexcept nogil:
    cdef slice_t output
    output.at = self.output + self.output_off
    output.size = self.output_bytes - self.output_off
    return output
cdef void curve_sent(curve_t *self, size_t bytes) noexcept nogil
