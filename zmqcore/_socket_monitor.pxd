# zmqcore/_socket_monitor.pxd -- the monitor of a socket: starting and stopping it, sending it events (floor 7).
# The queue is in _monitor; this half of _socket knows that a target is a PAIR socket of the engine's own.
# Lock:   taken inside, unless it says "locked". The lock of the watched socket and of the target are never held together.
# Invariant
#   K5  a monitor's target is closed and let go by whoever sends its last record, and by nobody else
from libc.stdint cimport uint64_t
from zmqcore._socket cimport socket_t

# Sends the events of wanted (EVENT_*) from now on to a PAIR bound to text, an inproc name. The monitor there was before gets
# EVENT_MONITOR_STOPPED, if it wanted that; with text NULL that is all. UNLOCKS while that is sent. 0; -EPROTONOSUPPORT: not
# inproc; -EINVAL; -EADDRINUSE (the one before is stopped all the same); -EMFILE; -ENOMEM; -ETERM; -ENOTSOCK.
cdef int socket_monitor(socket_t *self, const char *text, size_t size, uint64_t wanted) noexcept nogil
# locked: sends what is queued (K4); monitor_is_due has said so. UNLOCKS.
cdef void socket_tell(socket_t *self) noexcept nogil
