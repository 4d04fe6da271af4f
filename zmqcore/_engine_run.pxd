# zmqcore/_engine_run.pxd -- runs: messages that go from one engine's in pipe to others' out pipes as they stand (floor 5).
# The proxy's way: no message is taken apart, and many are moved by one call.
# Lock: the locks of both sockets.
from libc.stdint cimport uint32_t, uint64_t
from zmqcore._engine cimport engine_attention, engine_t
from zmqcore._engine_output cimport engine_passes
from zmqcore._message cimport store_t
from zmqcore._pipe cimport (
    pipe_append_prefixed, pipe_append_run, pipe_append_small, pipe_consume_run, pipe_has_reopened, pipe_is_full,
    pipe_peek_run, raw_t, run_t,
)

# Whether runs can be appended to it: not over inproc (the pipe has a lock of its own), not with ZMQ_CONFLATE.
cdef inline bint engine_takes_runs(const engine_t *self) noexcept nogil:
    return self.link == NULL and not self.is_conflated

# Messages that fit below its high-water mark.
cdef inline uint64_t engine_out_room(engine_t *self) noexcept nogil:
    if self.outbound.hwm_msgs == 0:
        return <uint64_t>-1
    if self.outbound.msgs < self.outbound.hwm_msgs and not self.outbound.is_full:
        return self.outbound.hwm_msgs - self.outbound.msgs
    if pipe_is_full(&self.outbound):
        return 0
    return self.outbound.hwm_msgs - self.outbound.msgs

# Whether bytes more may be appended: below the mark, or when they leave at once. engine_takes_runs.
cdef inline bint engine_has_room(engine_t *self, size_t bytes) noexcept nogil:
    if self.outbound.hwm_msgs == 0 or (self.outbound.msgs < self.outbound.hwm_msgs and not self.outbound.is_full):
        return True
    return self.outbound.bytes + bytes < self.pass_bytes or engine_passes(self, bytes) or not pipe_is_full(&self.outbound)

# How many messages of the run may be appended. engine_takes_runs.
cdef inline uint64_t engine_run_room(engine_t *self, const run_t *run) noexcept nogil:
    if self.outbound.hwm_msgs == 0 or (not self.outbound.is_full
                                       and self.outbound.msgs + run.msgs <= self.outbound.hwm_msgs):
        return run.msgs
    return run.msgs if engine_passes(self, run.bytes) else engine_out_room(self)

# Appends the first msgs messages, bytes long, of the run. 0; -ENOMEM.
cdef inline int engine_append_run(engine_t *self, const run_t *run, size_t bytes, uint32_t msgs) noexcept nogil:
    engine_attention(self)
    return pipe_append_run(&self.outbound, run.at, bytes, msgs, run.store)

# Appends one message of the run without its first skip bytes, behind prefix (NULL: none). 0; -ENOMEM.
cdef inline int engine_append_raw(engine_t *self, const run_t *run, const raw_t *raw, size_t skip,
                                  const store_t *prefix) noexcept nogil:
    if not self.in_attention:
        engine_attention(self)
    if prefix != NULL:
        return pipe_append_prefixed(&self.outbound, prefix, raw.at + skip, raw.bytes - skip, run.store)
    return pipe_append_small(&self.outbound, raw.at + skip, raw.bytes - skip, run.store)

# The run at the beginning of its input. Whether there is one (engine_pop serves what is no run).
cdef inline bint engine_peek_run(const engine_t *self, run_t *run) noexcept nogil:
    return self.link == NULL and pipe_peek_run(&self.inbound, run)

# What lies between before and after has been taken from the input.
cdef inline void engine_consume_run(engine_t *self, const run_t *before, const run_t *after) noexcept nogil:
    pipe_consume_run(&self.inbound, before.bytes - after.bytes, before.msgs - after.msgs, before.frames - after.frames,
                     before.payload_bytes - after.payload_bytes)
    if self.is_in_stalled and pipe_has_reopened(&self.inbound):
        engine_attention(self)
