"""zmqcore._link for its tests: a link with two mailboxes, and the post that each side takes."""
from libc.stdint cimport int32_t, uint32_t
from zmqcore._link cimport (
    LINK_BINDER as _LINK_BINDER, LINK_CONNECTOR as _LINK_CONNECTOR, link_is_abandoned, link_is_joined, link_join,
    link_leave, link_new, link_pop, link_push, link_readable, link_ref, link_t, link_unref, link_writable,
)
from zmqcore._message cimport (
    msg_fini, msg_init, msg_push, msg_push_copy, msg_t, store_new, store_ref, store_t, store_unref,
)
from zmqcore._reactor cimport (
    mailbox_close, mailbox_new, mailbox_t, mailbox_take, mailbox_unref, mailbox_wake, post_t,
)
from zmqcore._sys cimport EAGAIN as _EAGAIN, ENOENT as _ENOENT, ENOMEM as _ENOMEM, memcpy

from tests.native._probe_fail cimport fail

EAGAIN = _EAGAIN
ENOENT = _ENOENT
ENOMEM = _ENOMEM
CONNECTOR = _LINK_CONNECTOR
BINDER = _LINK_BINDER


cdef void wake(mailbox_t *sleeper) noexcept nogil:
    if sleeper != NULL:
        mailbox_wake(sleeper)
        mailbox_unref(sleeper)


cdef class Mailbox:
    """A socket's mailbox; the posts in it are links."""
    cdef mailbox_t *at

    def __cinit__(self):
        self.at = mailbox_new()

    def __dealloc__(self):
        self.close()
        mailbox_unref(self.at)

    cdef int let_go(self, post_t *post):
        cdef int count = 0
        cdef post_t *next
        while post != NULL:
            next = post.next        # the post lies in the link
            link_unref(<link_t *>post.arg)
            post = next
            count += 1
        return count

    def take(self):
        """How many posts there were; the counts that they held are given up."""
        return self.let_go(mailbox_take(self.at))

    def close(self):
        return self.let_go(mailbox_close(self.at))

    @property
    def refs(self):
        return self.at.refs


cdef class Store:
    cdef store_t *at

    def __cinit__(self, bytes data not None):
        self.at = store_new(len(data))
        memcpy(self.at.data, <const char *>data, len(data))

    def __dealloc__(self):
        store_unref(self.at)

    @property
    def refs(self):
        return self.at.refs


cdef class Link:
    cdef link_t *at

    def __cinit__(self, Mailbox connector not None, uint32_t sndhwm=0, uint32_t rcvhwm=0, bint is_conflated=False,
                  Store own_id=None, long fail_after=-1):
        fail(fail_after)
        self.at = link_new(connector.at, sndhwm, rcvhwm, is_conflated, own_id.at if own_id is not None else NULL)
        fail(-1)
        if self.at == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.at != NULL:
            link_unref(self.at)

    def ref(self):
        link_ref(self.at)

    def unref(self):
        link_unref(self.at)

    @property
    def refs(self):
        return self.at.refs

    @property
    def bounds(self):
        """Of what the connector and of what the binder reads."""
        return self.at.pipes[_LINK_CONNECTOR].hwm_msgs, self.at.pipes[_LINK_BINDER].hwm_msgs

    @property
    def has_ids(self):
        return self.at.ids[_LINK_CONNECTOR] != NULL, self.at.ids[_LINK_BINDER] != NULL

    def join(self, Mailbox binder not None, uint32_t sndhwm=0, uint32_t rcvhwm=0, bint is_conflated=False,
             Store own_id=None):
        return link_join(self.at, binder.at, sndhwm, rcvhwm, is_conflated, own_id.at if own_id is not None else NULL)

    def leave(self, int side):
        link_leave(self.at, side)

    @property
    def is_joined(self):
        return bool(link_is_joined(self.at))

    def is_abandoned(self, int side):
        return bool(link_is_abandoned(self.at, side))

    def writable(self, int side):
        return bool(link_writable(self.at, side))

    def readable(self, int side):
        return bool(link_readable(self.at, side))

    def push(self, int side, list bodies not None, long fail_after=-1):
        cdef msg_t msg
        cdef Store store
        cdef mailbox_t *sleeper
        cdef int rc
        msg_init(&msg)
        for body in bodies:
            if isinstance(body, Store):
                store = body
                store_ref(store.at)
                msg_push(&msg, store.at.data, store.at.size, store.at)
            else:
                msg_push_copy(&msg, <const unsigned char *><const char *>body, len(body))
        fail(fail_after)
        rc = link_push(self.at, side, &msg, &sleeper)
        fail(-1)
        wake(sleeper)
        msg_fini(&msg)
        return rc

    def pop(self, int side):
        """The bodies, or the error."""
        cdef msg_t msg
        cdef mailbox_t *sleeper
        cdef int rc
        msg_init(&msg)
        rc = link_pop(self.at, side, &msg, &sleeper)
        wake(sleeper)
        parts = [(<const char *>msg.parts[i].at)[:msg.parts[i].size] if msg.parts[i].size else b""
                 for i in range(msg.count)]
        msg_fini(&msg)
        return rc if rc != 0 else parts

    def stream(self, int side, int32_t count):
        """Pushes so many one-byte messages as a writer that waits its turn; for a thread of its own."""
        cdef msg_t msg
        cdef mailbox_t *sleeper
        cdef int32_t i = 0
        cdef int rc = 0
        msg_init(&msg)
        msg_push_copy(&msg, <const unsigned char *>b"x", 1)
        with nogil:
            while i < count and rc == 0:
                if link_writable(self.at, side):
                    rc = link_push(self.at, side, &msg, &sleeper)
                    wake(sleeper)
                    i += 1
        msg_fini(&msg)
        return rc
