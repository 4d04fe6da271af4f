# zmqcore/_core_proxy.pyx -- the proxy's Python face (floor 11, a half of _core).
cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport int32_t
from zmqcore._core cimport Socket, stats_dict
from zmqcore._errno cimport check, fail
from zmqcore._proxy cimport (
    ORDER_PAUSE, ORDER_RESUME, PROXY_STOPPED, proxy_begin, proxy_end, proxy_fini, proxy_init, proxy_run, proxy_sample,
    proxy_stats_t, proxy_stats_table, proxy_stop, proxy_t, proxy_tell,
)
from zmqcore._socket cimport socket_t
from zmqcore._sys cimport EFAULT, EINTR, zc_load, zc_store, zc_swap


cdef socket_t *proxy_socket(object socket, str name, bint is_optional) except? NULL:
    if socket is None and is_optional:
        return NULL
    if not isinstance(socket, Socket):
        raise TypeError(f"{name} must be a Socket, not {type(socket).__name__}")
    return (<Socket>socket).open_socket()


cdef class ProxyLoop:
    """ProxyLoop(frontend, backend, capture=None, control=None)

    A proxy that other threads can watch and steer while run() forwards. See zmqcore.Proxy, which adds a thread to it.
    """

    cdef proxy_t _proxy
    cdef int32_t _is_made       # atomic; set last by __init__
    cdef int32_t _is_running    # atomic; one thread is inside run()
    cdef readonly Socket frontend
    cdef readonly Socket backend
    cdef readonly Socket capture
    cdef readonly Socket control
    cdef object __weakref__

    @cython.critical_section
    def __init__(self, frontend, backend, capture=None, control=None):
        if zc_load(&self._is_made):
            return
        proxy_socket(frontend, "frontend", False)
        proxy_socket(backend, "backend", False)
        proxy_socket(capture, "capture", True)
        proxy_socket(control, "control", True)
        self.frontend = frontend
        self.backend = backend
        self.capture = capture
        self.control = control
        proxy_init(&self._proxy, self.frontend._socket, self.backend._socket,
                   self.capture._socket if capture is not None else NULL,
                   self.control._socket if control is not None else NULL)
        zc_store(&self._is_made, 1)

    def __dealloc__(self):
        if zc_load(&self._is_made):
            proxy_fini(&self._proxy)

    cdef proxy_t *open_proxy(self) except NULL:
        # A subclass may not have called __init__.
        if not zc_load(&self._is_made):
            fail(-EFAULT)
        return &self._proxy

    def run(self):
        """Forwards in the calling thread until stop() or TERMINATE; returns None then. Otherwise raises, as proxy does."""
        cdef int rc
        self.open_proxy()
        if zc_swap(&self._is_running, 1):
            raise RuntimeError("this proxy is running already")
        try:
            for socket in (self.frontend, self.backend, self.capture, self.control):
                if socket is not None:
                    (<Socket>socket).open_socket()
            while True:
                with nogil:
                    rc = proxy_begin(&self._proxy)
                if rc != -EINTR:
                    break
                PyErr_CheckSignals()
            check(rc)
            if rc == PROXY_STOPPED:
                return
            try:
                while True:
                    with nogil:
                        rc = proxy_run(&self._proxy)
                    if rc != -EINTR:
                        check(rc)
                        return
                    PyErr_CheckSignals()
            finally:
                with nogil:
                    proxy_end(&self._proxy)
        finally:
            zc_store(&self._is_running, 0)

    @property
    def running(self):
        """Whether run() is under way."""
        return zc_load(&self._is_running) != 0

    def pause(self):
        """Stops forwarding until resume(); messages wait in the sockets."""
        proxy_tell(self.open_proxy(), ORDER_PAUSE)

    def resume(self):
        """Forwards again."""
        proxy_tell(self.open_proxy(), ORDER_RESUME)

    def stop(self):
        """Makes run() return, between two messages; what is queued stays in the sockets. A later run() goes on from there."""
        proxy_stop(self.open_proxy())

    def stats(self):
        """stats() -> dict of str to int: what was forwarded, what waits, who is connected (see stats_help). Any thread."""
        cdef proxy_stats_t sample
        cdef proxy_t *proxy = self.open_proxy()
        with nogil:
            proxy_sample(proxy, &sample)
        return stats_dict(proxy_stats_table(), <const char *>&sample)

    @staticmethod
    def stats_help():
        """stats_help() -> dict of name to (unit, meaning) of what stats() returns."""
        return stats_dict(proxy_stats_table(), NULL)


def proxy(frontend, backend, capture=None):
    """proxy(frontend, backend, capture=None)

    Forwards messages between two sockets, both ways, in the calling thread, until the context ends (zmq_proxy(3)).
    capture: a PUB, DEALER, PUSH or PAIR socket that gets a copy of every message. Never returns: raises
    ContextTerminated (ETERM), another ZMQError, or what a signal handler raises.
    """
    ProxyLoop(frontend, backend, capture).run()


def proxy_steerable(frontend, backend, capture=None, control=None):
    """proxy_steerable(frontend, backend, capture=None, control=None) -> int

    As proxy, steered by the messages PAUSE, RESUME, STATISTICS and TERMINATE on the control socket
    (zmq_proxy_steerable(3)). Returns 0 after TERMINATE.
    """
    ProxyLoop(frontend, backend, capture, control).run()
    return 0
