# zmqcore/_pin.pyx -- see the door.
from cpython.buffer cimport PyBUF_ANY_CONTIGUOUS, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE, _PyBytes_Resize
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport int32_t, uint8_t, uint64_t
from zmqcore._message cimport store_t, store_wrap
from zmqcore._sys cimport (
    calloc, free, pthread_atfork, pthread_cond_broadcast, pthread_cond_t, pthread_mutex_init, pthread_mutex_lock,
    pthread_mutex_t, pthread_mutex_unlock, zc_cond_init, zc_cond_wait_until, zc_load, zc_now_us, zc_store,
)

import atexit
import sys

ctypedef int (*pending_fn)(void *) noexcept

cdef extern from "Python.h":
    int Py_AddPendingCall(pending_fn call, void *arg) nogil
    Py_ssize_t Py_REFCNT(object data)

cdef enum:
    SIGNALS_US = 50000

cdef struct pin_t:
    pin_t *next
    Py_buffer view
    PyObject *event             # NULL: none

cdef struct pins_t:
    pthread_mutex_t lock
    pthread_cond_t changed      # the engine has let go of something, or an event has been set
    pin_t *first                # let go of
    int32_t waiting             # atomic: whether first is there
    int waiters
    pending_fn call             # NULL when the interpreter ends: no more pending calls

# Without the GIL only the thread that has made them may cut bytes.
cdef bint may_cut = "t" not in sys.abiflags

cdef pins_t pins
pthread_mutex_init(&pins.lock, NULL)
zc_cond_init(&pins.changed)


cdef void on_fork() noexcept nogil:
    # What the engine of the parent holds stays where it is; its threads are not here.
    pthread_mutex_init(&pins.lock, NULL)
    zc_cond_init(&pins.changed)
    pins.first = NULL
    pins.waiters = 0
    zc_store(&pins.waiting, 0)


pthread_atfork(NULL, NULL, on_fork)


cdef int32_t *pins_waiting() noexcept nogil:
    return &pins.waiting


cdef int on_pending_call(void *arg) noexcept:
    pins_release()
    return 0


cdef void on_release(void *arg) noexcept nogil:
    # Any thread, with any locks.
    cdef pin_t *pin = <pin_t *>arg
    cdef bint is_first
    cdef pending_fn call
    pthread_mutex_lock(&pins.lock)
    is_first = pins.first == NULL
    call = pins.call
    pin.next = pins.first
    pins.first = pin
    zc_store(&pins.waiting, 1)
    if pins.waiters:
        pthread_cond_broadcast(&pins.changed)
    pthread_mutex_unlock(&pins.lock)
    # When the interpreter has no room for the call, the next one who looks will find the pin.
    if is_first and call != NULL:
        Py_AddPendingCall(call, NULL)


pins.call = on_pending_call


cdef void unpin(pin_t *pin) noexcept:
    cdef object event
    PyBuffer_Release(&pin.view)
    if pin.event != NULL:
        event = <object>pin.event
        Py_XDECREF(pin.event)
        event.set()
    free(pin)


cdef void pins_release() noexcept:
    cdef pin_t *pin
    cdef pin_t *next
    cdef bint has_events = False
    pthread_mutex_lock(&pins.lock)
    pin = pins.first
    pins.first = NULL
    zc_store(&pins.waiting, 0)
    pthread_mutex_unlock(&pins.lock)
    while pin != NULL:
        next = pin.next
        has_events = has_events or pin.event != NULL
        unpin(pin)
        pin = next
    if has_events:
        pthread_mutex_lock(&pins.lock)
        pthread_cond_broadcast(&pins.changed)
        pthread_mutex_unlock(&pins.lock)


cdef store_t *pin_buffer(object data, object event) except NULL:
    cdef store_t *store
    cdef pin_t *pin = <pin_t *>calloc(1, sizeof(pin_t))
    if pin == NULL:
        raise MemoryError()
    try:
        PyObject_GetBuffer(data, &pin.view, PyBUF_ANY_CONTIGUOUS)
    except BaseException:
        free(pin)
        raise
    if event is not None:
        Py_INCREF(event)
        pin.event = <PyObject *>event
    store = store_wrap(pin.view.buf, pin.view.len, on_release, pin)
    if store == NULL:
        unpin(pin)
        raise MemoryError()
    return store


cdef void release_nothing(void *arg) noexcept nogil:
    pass


cdef object cut_bytes(PyObject *data, size_t size):
    # Takes over the count on data, which is the only one.
    cdef object found
    _PyBytes_Resize(&data, size)
    found = <object>data
    Py_DECREF(found)
    return found


cdef object pin_bytes(store_t *store, const uint8_t *at, size_t size):
    cdef pin_t *pin = <pin_t *>store.arg
    cdef bint is_last = zc_load(&store.refs) == 1
    cdef object found
    cdef PyObject *whole
    if store.release != on_release:
        return None
    found = <object>pin.view.obj
    if not PyBytes_CheckExact(found) or at != <const uint8_t *>PyBytes_AS_STRING(found):
        return None
    if size != <size_t>PyBytes_GET_SIZE(found) and not (is_last and may_cut and Py_REFCNT(found) == 2):
        return None
    if not is_last:
        return found
    # What holds the store is the caller's, and lets go of nothing but the store.
    store.release = release_nothing
    unpin(pin)
    if size == <size_t>PyBytes_GET_SIZE(found):
        return found
    whole = <PyObject *>found
    Py_INCREF(found)
    found = None
    return cut_bytes(whole, size)


def wait_for_release(double seconds):
    """wait_for_release(seconds): releases what can be released, and waits at most so long for more; negative: for ever."""
    cdef uint64_t due_us = 0
    cdef uint64_t until_us = zc_now_us() + SIGNALS_US
    pins_release()
    if seconds >= 0:
        due_us = zc_now_us() + <uint64_t>(seconds * 1e6)
        if due_us < until_us:
            until_us = due_us
    with nogil:
        pthread_mutex_lock(&pins.lock)
        if not zc_load(&pins.waiting):
            pins.waiters += 1
            zc_cond_wait_until(&pins.changed, &pins.lock, until_us)
            pins.waiters -= 1
        pthread_mutex_unlock(&pins.lock)
    PyErr_CheckSignals()
    pins_release()


def stop_pending_calls():
    """For the end of the interpreter: what the engine lets go of now is left alone."""
    pthread_mutex_lock(&pins.lock)
    pins.call = NULL
    pthread_mutex_unlock(&pins.lock)


atexit.register(stop_pending_calls)
