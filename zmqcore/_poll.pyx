# zmqcore/_poll.pyx -- see the door.
#
#   look at all sockets -> nothing there: sit down in each, sleep in poll(2) on their poll sets and the fds, drive, stand up
#   -> look again
#
# fds are looked at by poll(2) alone, so that with an fd among the items there is always one such call, if only a look.
from zmqcore._socket cimport socket_events, socket_sit, socket_stand
from zmqcore._sys cimport ENOMEM, POLLIN, POLLOUT, POLLPRI, calloc, errno, free, poll, pollfd, zc_now_us

cdef enum:
    # Another thread drives one of the sockets and may take its events before we see them: look again this often.
    SHARED_LOOK_MS = 10
    SLEEP_MS_MAX = 2000000000


cdef int prepare(poll_item_t *item, pollfd *slot, bint *may_sleep) noexcept nogil:
    cdef int rc
    item.is_seated = False
    slot.revents = 0
    if item.socket == NULL:
        slot.fd = item.fd
        slot.events = (POLLIN if item.events & POLL_IN else 0) | (POLLOUT if item.events & POLL_OUT else 0) | (
            POLLPRI if item.events & POLL_PRI else 0)
        return 0
    rc = socket_sit(item.socket, item.events, &item.is_seated, may_sleep)
    slot.fd = rc
    slot.events = POLLIN
    return 0 if rc >= 0 else rc


cdef void conclude(poll_item_t *item, const pollfd *slot) noexcept nogil:
    if item.socket != NULL:
        if item.is_seated:
            socket_stand(item.socket, slot.revents != 0)
        return
    item.revents = 0
    if slot.revents & POLLIN:
        item.revents |= POLL_IN
    if slot.revents & POLLOUT:
        item.revents |= POLL_OUT
    if slot.revents & POLLPRI:
        item.revents |= POLL_PRI
    if slot.revents & ~(POLLIN | POLLOUT | POLLPRI):
        item.revents |= POLL_ERR


cdef int sleep_ms(uint64_t due_us) noexcept nogil:
    # Rounded up: a wait that ends early would only be followed by another.
    cdef uint64_t now_us
    cdef uint64_t left_ms
    if due_us == 0:
        return -1
    now_us = zc_now_us()
    if now_us >= due_us:
        return 0
    left_ms = (due_us - now_us + 999) // 1000
    return <int>left_ms if left_ms < SLEEP_MS_MAX else SLEEP_MS_MAX


cdef int wait_once(poll_item_t *items, pollfd *slots, int count, uint64_t due_us) noexcept nogil:
    # Drives all sockets of the items for one wait. 0; -EINTR; -errno.
    cdef bint may_sleep = True
    cdef bint is_shared = False
    cdef int prepared = 0
    cdef int rc = 0
    cdef int timeout_ms
    cdef int i
    while prepared < count and rc == 0:
        rc = prepare(&items[prepared], &slots[prepared], &may_sleep)
        is_shared = is_shared or (items[prepared].socket != NULL and not items[prepared].is_seated)
        prepared += 1
    if rc == 0:
        timeout_ms = sleep_ms(due_us) if may_sleep else 0
        if is_shared and (timeout_ms < 0 or timeout_ms > SHARED_LOOK_MS):
            timeout_ms = SHARED_LOOK_MS
        if poll(slots, count, timeout_ms) < 0:
            rc = -errno
    for i in range(prepared):
        if rc < 0:
            slots[i].revents = 0
        conclude(&items[i], &slots[i])
    return rc


cdef bint has_fds(const poll_item_t *items, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if items[i].socket == NULL:
            return True
    return False


cdef int look_at_all(poll_item_t *items, int count, bint may_look) noexcept nogil:
    # Fills revents of the sockets; those of the fds are as the last wait left them. Count of items with some; -errno.
    cdef int ready = 0
    cdef int i, rc
    for i in range(count):
        if items[i].socket != NULL:
            items[i].revents = 0
            rc = socket_events(items[i].socket, items[i].events, may_look)
            if rc < 0:
                return rc
            items[i].revents = <short>rc
        if items[i].revents:
            ready += 1
    return ready


cdef int poll_wait(poll_item_t *items, int count, uint64_t due_us) noexcept nogil:
    cdef pollfd *slots = <pollfd *>calloc(count + 1, sizeof(pollfd))
    cdef bint is_last = False
    cdef int ready
    cdef int rc = 0
    if slots == NULL:
        return -ENOMEM
    while True:
        ready = look_at_all(items, count, due_us == 1 and not is_last)
        if ready < 0 or is_last or ((ready or due_us == 1) and not has_fds(items, count)):
            break
        is_last = ready or due_us == 1 or (due_us and zc_now_us() >= due_us)
        rc = wait_once(items, slots, count, 1 if is_last else due_us)
        if rc != 0:
            break
    free(slots)
    return ready if rc == 0 else rc
