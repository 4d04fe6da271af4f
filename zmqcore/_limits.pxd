# zmqcore/_limits.pxd -- every tuning number: unit, trade-off, what it was measured with (floor 0).
cdef enum:
    # Pipes. A body of at least this size travels by reference, never through a second copy: below it the copy is
    # cheaper than the extra buffer in writev (design.md, "bodies by reference").
    LARGE_BODY_BYTES = 8192
    # Messages of one part and at most this size have a way of their own between a pipe and a caller who holds the GIL, by way of
    # his stack: one more copy, and no message is built.
    SMALL_BYTES = 2048
    # `bytes` of at least this size are not even copied into the engine: below it the copy is cheaper than letting the
    # interpreter know when they are not needed any more.
    PIN_BYTES = 65536
    # The first chunk of a pipe, and the largest that a stream of small frames grows to: small, so that a thousand
    # idle connections stay cheap; large, so that a flood needs few system calls.
    CHUNK_BYTES_MIN = 2048
    CHUNK_BYTES_MAX = 262144
    # A frame longer than what has come of it: memory for so much of it is taken at once, and for twice what is here when that
    # is more. Below it a body is read into its place; a peer that only announces gets no more than this. 16 MiB and
    # a header (with 4 MiB, bodies of 16 MiB cost a proxy 1.4 times the CPU: the allocator does not always move pages).
    FRAME_BYTES_AT_ONCE = 16777472
    # Chunks of the largest size kept for reuse, in the whole process.
    SPARE_STORES_MAX = 16
    # The same for longer bodies: how many, how long they may be, and about how much of them all. They come and go one by one, each
    # time with page faults if the allocator gives memory back in between (1 MiB bodies into bytes: 0.4 to 0.5 of the CPU with
    # four of them, a tenth less with 16).
    SPARE_BODIES_MAX = 16
    SPARE_BODY_BYTES_MAX = 4194560
    SPARE_BODIES_BYTES_MAX = 20972800
    # Memory that is lent for the next long body of each socket (socket_lend), in the whole process; beyond that a socket gets none.
    LENT_BYTES_MAX = 67108864
    # One writev: buffers and bytes taken at once. More bytes than a kernel socket buffer holds gain nothing.
    GATHER_BUFFERS_MAX = 64
    GATHER_BYTES_MAX = 1048576
    # A proxy appends so many bytes to a pipe beyond its high-water mark, if the kernel has room for all of them: two reads of the
    # largest size. Smaller writes wake up the receiver more often (design.md, "A receiver is woken up for more").
    PASS_BYTES_MAX = 524288
    # Writes an engine makes in one flush before others get their turn.
    FLUSH_WRITES_MAX = 8

    # A peer that has not finished its handshake may make us hold this much, bytes.
    HANDSHAKE_BYTES_MAX = 65536
    HANDSHAKE_BYTES_FIRST = 512
    # Reads of peers in the handshake of CURVE in one turn of a socket; the others wait for the next turn, whose cost is small
    # beside theirs. Each may take some 0.2 ms of multiplications, and strangers can have as many as they like.
    HANDSHAKES_A_TURN = 1
    # CURVE: the buffers of a connection for what has come in boxes, and for what goes out in them, at first.
    CURVE_BUFFER_BYTES_FIRST = 8192
    # Up to so many bytes a box is made and opened with a key derived once; beyond it the blocks of the body are what counts.
    CURVE_DERIVED_BYTES_MAX = 2048
    # Sealed bytes worth a write; more would only keep the sender waiting.
    CURVE_OUTPUT_BYTES = 131072
    # STREAM: most bytes that one message brings. libzmq's are 8192; larger ones need fewer system calls, but ZMQ_RCVHWM
    # messages of a peer are kept when nobody receives.
    RAW_READ_BYTES_MAX = 32768
    # STREAM: bytes worth a write; more would only wait in a second pipe.
    RAW_WRITE_BYTES = 65536
    # Frames beyond this claim cannot be real: closes the connection before any allocation, bytes (2^48).
    FRAME_BYTES_MAX = 281474976710656

    # PONGs queued for a peer that does not read.
    PONGS_MAX = 16

    # Events taken from one wait, accepts from one readiness: bounds a turn so that no fd starves another.
    REACTOR_EVENTS_MAX = 64
    ACCEPTS_MAX = 32
    # A listener that ran out of descriptors rests this long before it tries again.
    ACCEPT_REST_US = 100000
    # An adopted socket whose owner stays outside this long goes back to its I/O thread; also that thread's tick.
    ADOPTION_US = 1000
    # Ticks with every owner inside before the I/O thread goes to sleep until somebody leaves.
    QUIET_TICKS = 10
    # A second thread on a socket that somebody else drives looks for signals this often.
    WAITER_LOOK_US = 100000
    # A connection on which another thread is writing, when its socket is closed with LINGER 0, gets this long for what is queued.
    WRITE_END_MS = 1
    # Sends that follow one another faster than this, with no receive between, are a flood (see hand_over in _socket_messages);
    # a pause of FLOOD_PAUSE_US ends it, a shorter one halves what has been counted, at most FLOOD_SENDS_KEPT.
    FLOOD_GAP_US = 30
    FLOOD_PAUSE_US = 1000
    FLOOD_SENDS = 8
    FLOOD_SENDS_KEPT = 64
    # A thread that waits for an inproc peer looks again and again for so long before it sleeps, while that has paid (SPINS_*): an
    # answer within the process is here sooner than a sleeper wakes up. Each time that it did counts for one, at most SPINS_KEPT;
    # one that did not takes SPINS_LOST, and with none left the next SPINS_REST waits sleep at once.
    INPROC_SPIN_US = 20
    SPINS_KEPT = 4
    SPINS_LOST = 4
    SPINS_REST = 16
    # How long the I/O thread lets messages gather in a flood, before it writes again.
    FLOOD_NAP_US = 50
    # Unless so much gathers, or half the messages of a pipe's high-water mark: then the caller writes.
    FLOOD_WRITE_BYTES = 262144
    # While the caller does that, the I/O thread only sees to the last messages, and each time that it wakes up costs him time.
    FLOOD_NAP_LONG_US = 200

    # Events of one turn that a monitor may fall behind by before some are dropped: they wait only until the socket lock
    # is let go, so that this bounds memory and is met by floods of connections alone.
    MONITOR_RECORDS_MAX = 1000
    # Notifications an XPUB keeps for a user who does not read them; then its subscribers are not read any more.
    NOTIFICATIONS_MAX = 1048576
    # Topics from which on a run of messages is matched with trie_warm: fewer lie in the cache anyway, and it costs
    # some 20 ns a message (design.md, "A match waits for memory").
    TRIE_WARM_TOPICS = 10000
    # The proxy: messages a direction may move in one turn, and bytes. Large, so that each of several targets is written to in
    # large pieces (four sources, four sinks, 64 B: 67 ns of CPU a message with 1000, 54 with 16000); the bytes bound the turn.
    PROXY_BURST_MSGS = 8192
    PROXY_BURST_BYTES = 1048576
    # Turns without a look at the poll sets while there is more to move.
    PROXY_INNER_TURNS = 8
    # Messages of one source in a row while others wait.
    PROXY_RUN_MSGS = 128
    # How long a busy proxy, and one that has just become idle, may go without looking for signals; and an idle one, because
    # a signal between the look and the sleep is not seen by the sleep.
    PROXY_SIGNALS_US = 50000
    PROXY_IDLE_SIGNALS_US = 1000000
    # Threads of the process that wait for a name server. More wait in the thread that drives the socket.
    LOOKUPS_MAX = 32
    # ZMQ_THREAD_AFFINITY_CPU_ADD: as many as a cpu_set_t holds.
    CPUS_MAX = 1024
    # Awaited calls that were ready at once, before the event loop gets a turn: about a quarter of a millisecond.
    # A turn costs about as much as 30 such calls.
    READY_RUN_MAX = 512
    # Messages of an awaited batch that take as long as one such call.
    READY_RUN_BATCH = 16
    MAX_SOCKETS_DEFAULT = 1023
    SOCKET_LIMIT = 65535
