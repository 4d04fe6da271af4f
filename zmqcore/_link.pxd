# zmqcore/_link.pxd -- inproc: two sockets of one process joined by a pair of pipes (floor 4).
# Lock:   link_t.lock, a leaf, taken inside; callers hold at most their own socket lock.
# Memory: a link is counted: once by each side's engine, once by each post on its way.
# Invariants
#   L1  pipes[side] is read by side and written by the other
#   L2  a side that finds its pipe empty is posted to at the next append; a side that finds it full, when it reopens
#   L3  mailboxes[side] is NULL until that side exists (a connect before the bind)
from libc.stdint cimport int32_t, uint32_t, uint8_t
from zmqcore._message cimport msg_t, store_t
from zmqcore._pipe cimport pipe_t
from zmqcore._reactor cimport mailbox_t, post_t
from zmqcore._sys cimport pthread_mutex_t

cdef enum:
    LINK_CONNECTOR = 0
    LINK_BINDER = 1

cdef struct link_t:
    int32_t refs                # atomic
    pthread_mutex_t lock        # guards what follows
    pipe_t pipes[2]
    mailbox_t *mailboxes[2]     # counted
    post_t posts[2]             # posts[side] lies in mailboxes[side]; arg is the link
    bint is_gone[2]             # that side has closed
    bint is_conflated[2]        # the reader or the writer of pipes[side] conflates
    uint32_t hwm[2][2]          # [side]: its SNDHWM and RCVHWM
    store_t *ids[2]             # routing ids, for the other side; counted; NULL none
    # each side's socket lock
    void *engines[2]            # the engine_t of that side; NULL not yet, or gone

cdef enum:
    LINK_SNDHWM = 0
    LINK_RCVHWM = 1

# The connecting side's half: refs is 1. NULL: no memory.
cdef link_t *link_new(mailbox_t *connector, uint32_t sndhwm, uint32_t rcvhwm, bint is_conflated, store_t *own_id) noexcept nogil
cdef void link_ref(link_t *self) noexcept nogil
cdef void link_unref(link_t *self) noexcept nogil

# The binding side appears: joins the bounds and posts the link to it. 0; -ENOENT: that socket is closed.
# Call once; by the connector (bound already) or by the binder (connects that waited).
cdef int link_join(link_t *self, mailbox_t *binder, uint32_t sndhwm, uint32_t rcvhwm, bint is_conflated,
                   store_t *own_id) noexcept nogil

# A side has other bounds now. A pipe that is full stays so until its reader has made room. Before the join, and when the link
# conflates, nothing changes.
cdef void link_set_hwm(link_t *self, int side, uint32_t sndhwm, uint32_t rcvhwm) noexcept nogil

# A side leaves: what it wrote stays readable; the other is posted to.
cdef void link_leave(link_t *self, int side) noexcept nogil

# Whether both sides exist, or did.
cdef bint link_is_joined(link_t *self) noexcept nogil
# Whether the other side has left.
cdef bint link_is_abandoned(link_t *self, int side) noexcept nogil

cdef bint link_writable(link_t *self, int side) noexcept nogil
# 0; -ENOMEM. No bound is checked: ask link_writable first. *sleeper: NULL, or the counted mailbox of the other side, for which
# mailbox_wake has to follow.
cdef int link_push(link_t *self, int side, const msg_t *msg, mailbox_t **sleeper) noexcept nogil
# What the connector has pushed is wiped when its memory is let go of. Before the link is joined: nobody else knows it yet.
cdef void link_keep_secret(link_t *self) noexcept nogil
# The same for a message of one part that is copied; asks for the bound itself. 0; -EAGAIN: not this way; -ENOMEM.
cdef int link_push_body(link_t *self, int side, const uint8_t *at, size_t size, mailbox_t **sleeper) noexcept nogil
cdef bint link_readable(link_t *self, int side) noexcept nogil
# As pipe_pop; the other side is posted to when this reopens a full pipe.
cdef int link_pop(link_t *self, int side, msg_t *msg, mailbox_t **sleeper) noexcept nogil
# As pipe_pop_body; the other side is posted to when this reopens a full pipe.
cdef int link_pop_body(link_t *self, int side, uint8_t *at, size_t room, size_t *size, mailbox_t **sleeper) noexcept nogil
