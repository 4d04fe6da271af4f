# zmqcore/_engine_zap.pyx -- see the door.
#
#   engine_shake --ASKS--> engine_zap_ask --> link ... handler ... post --> engine_on_post --> host_attend -->
#   engine_zap_go_on --> engine_shaken
from libc.stdint cimport int32_t
from zmqcore._engine cimport END_FAILED, ENGINE_HANDSHAKE, engine_lose, engine_stop
from zmqcore._engine_host cimport host_owe
from zmqcore._engine_input cimport engine_shaken
from zmqcore._handshake cimport handshake_answered
from zmqcore._link cimport (
    LINK_CONNECTOR, link_is_abandoned, link_keep_secret, link_leave, link_new, link_pop, link_push, link_t, link_unref,
)
from zmqcore._mechanism cimport mechanism_unasked
from zmqcore._message cimport msg_fini, msg_init, msg_t
from zmqcore._reactor cimport mailbox_t
from zmqcore._security cimport security_needs_handler
from zmqcore._sys cimport EFAULT, ENOMEM, snprintf
from zmqcore._sys_net cimport net_peer_ids
from zmqcore._transport cimport TRANSPORT_IPC, transport_peer
from zmqcore._zap cimport zap_answer, zap_ask, zap_forget, zap_name

cdef enum:
    ADDRESS_BYTES = 64


cdef void engine_peer_address(engine_t *self, char *out, size_t size) noexcept nogil:
    cdef int32_t pid = -1, uid = -1, gid = -1
    transport_peer(self.watch.fd, self.kind, out, size)
    if self.kind == TRANSPORT_IPC and net_peer_ids(self.watch.fd, &pid, &uid, &gid) == 0:
        snprintf(out, size, "localhost:%d:%d:%d", uid, gid, pid)


cdef int send_request(engine_t *self) noexcept nogil:
    # 0; -ENOMEM; -ECONNREFUSED.
    cdef char address[ADDRESS_BYTES]
    cdef link_t *link = link_new(self.host.mailbox, 0, 0, False, NULL)
    cdef mailbox_t *sleeper = NULL
    cdef msg_t msg
    cdef int rc
    if link == NULL:
        return -ENOMEM
    msg_init(&msg)
    engine_peer_address(self, address, sizeof(address))
    rc = zap_ask(&self.handshake.mechanism, address, &msg)
    if rc == 0:
        rc = link_push(link, LINK_CONNECTOR, &msg, &sleeper)
        host_owe(self.host, sleeper)
        # A password may be in it.
        link_keep_secret(link)
        zap_forget(&msg)
    msg_fini(&msg)
    if rc == 0:
        rc = self.host.ops.join(self.host.arg, zap_name(), link)
    if rc != 0:
        link_leave(link, LINK_CONNECTOR)
        link_unref(link)
        return rc
    link.engines[LINK_CONNECTOR] = self
    self.zap = link
    return 0


cdef void engine_zap_ask(engine_t *self) noexcept nogil:
    cdef int rc
    if self.zap != NULL:
        return
    rc = send_request(self)
    if rc == 0:
        return
    if rc == -ENOMEM:
        engine_lose(self, ENOMEM)
    elif security_needs_handler(&self.terms.options):
        engine_lose(self, EFAULT)
    else:
        mechanism_unasked(&self.handshake.mechanism)
        engine_shaken(self, handshake_answered(&self.handshake))


cdef void engine_zap_go_on(engine_t *self) noexcept nogil:
    cdef msg_t msg
    cdef mailbox_t *sleeper = NULL
    cdef int rc
    self.is_answered = False
    if self.zap == NULL or self.state != ENGINE_HANDSHAKE or self.is_ending:
        return
    msg_init(&msg)
    rc = link_pop(self.zap, LINK_CONNECTOR, &msg, &sleeper)
    host_owe(self.host, sleeper)
    if rc != 0:
        msg_fini(&msg)
        # Also the post of the joining comes here.
        if link_is_abandoned(self.zap, LINK_CONNECTOR):
            engine_lose(self, EFAULT)
        return
    rc = zap_answer(&self.handshake.mechanism, &msg)
    msg_fini(&msg)
    engine_zap_forget(self)
    if rc != 0:
        engine_stop(self, END_FAILED)
    else:
        engine_shaken(self, handshake_answered(&self.handshake))


cdef void engine_zap_forget(engine_t *self) noexcept nogil:
    self.is_answered = False
    if self.zap == NULL:
        return
    self.zap.engines[LINK_CONNECTOR] = NULL
    link_leave(self.zap, LINK_CONNECTOR)
    link_unref(self.zap)
    self.zap = NULL
