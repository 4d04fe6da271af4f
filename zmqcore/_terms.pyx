# zmqcore/_terms.pyx -- see the door.
from zmqcore._options cimport options_copy, options_fini
from zmqcore._sys cimport calloc, free


cdef terms_t *terms_new(const options_t *options) noexcept nogil:
    cdef terms_t *self = <terms_t *>calloc(1, sizeof(terms_t))
    if self == NULL:
        return NULL
    self.refs = 1
    if options_copy(&self.options, options) != 0:
        terms_unref(self)
        return NULL
    return self


cdef terms_t *terms_ref(terms_t *self) noexcept nogil:
    self.refs += 1
    return self


cdef void terms_unref(terms_t *self) noexcept nogil:
    if self == NULL:
        return
    self.refs -= 1
    if self.refs:
        return
    options_fini(&self.options)
    free(self)
