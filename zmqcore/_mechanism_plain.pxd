# zmqcore/_mechanism_plain.pxd -- PLAIN (RFC 24): user name and password in the clear (floor 4, a half of _mechanism).
from zmqcore._mechanism cimport mechanism_ops_t

cdef mechanism_ops_t mechanism_plain        # written at import only
