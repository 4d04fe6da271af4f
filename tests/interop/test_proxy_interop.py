"""proxy() and proxy_steerable() of zmqcore between libzmq clients: models, capture, control, blocked sides, the end."""

from __future__ import annotations

import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import (
    DEADLINE_MS,
    DEADLINE_S,
    QUIET_MS,
    Peers,
    Side,
    Task,
    fill,
    receive,
    receive_waiting,
    skip_libzmq_quirk,
    wait_until,
)

# How long a proxy that has nothing to do is watched, and how much CPU it may use in that time: its own thread, and
# the whole process (a proxy that hands its spinning to an I/O thread has gained nothing).
WATCH_S = 0.5
THREAD_CPU_LIMIT_S = 0.02
PROCESS_CPU_LIMIT_S = 0.15

# The end must come within this time however blocked the proxy is.
END_S = 5.0

UNLIMITED = {"sndhwm": 0, "rcvhwm": 0}
SMALL_BUFFERS = {"sndbuf": 16 * 1024, "rcvbuf": 16 * 1024}
BODY = bytes(16 * 1024)

TRANSPORTS = pytest.mark.parametrize(
    ("front", "back"), [("tcp", "ipc"), ("ipc", "tcp"), ("tcp", "inproc"), ("inproc", "tcp"), ("inproc", "ipc")]
)
CAPTURES = pytest.mark.parametrize("capture_type", [None, "PUB", "PUSH", "PAIR", "DEALER"])
CAPTURE_READERS = {"PUB": "SUB", "PUSH": "PULL", "PAIR": "PAIR", "DEALER": "DEALER"}
CONTROL_CLIENTS = {"REP": "REQ", "PAIR": "PAIR"}


class Proxy:
    """A proxy in a thread, with a context of its own. Its sockets are closed by that thread after the return.

    Clients are libzmq sockets, except over inproc, where they are sockets of the proxy's own context.
    """

    def __init__(self, peers: Peers, local: Side, remote: Side) -> None:
        self.peers, self.remote = peers, remote
        self.side = Side(f"proxy{id(self)}", local.zmq)
        self.sockets: dict[str, Any] = {}
        self.endpoints: dict[str, str] = {}
        self._task: Task | None = None
        self._has_ended = False
        self._after: Callable[[], None] = lambda: None

    def add(self, name: str, socket_type: str, transport: str, **options: Any) -> None:
        """name: "frontend", "backend", "capture" or "control"."""
        sock = self.peers.socket(self.side, socket_type, **{**UNLIMITED, **options})
        self.peers.forget(self.side, sock)
        self.sockets[name] = sock
        self.endpoints[name] = self.peers.bind(self.side, sock, transport)

    def client(self, name: str, socket_type: str, **options: Any) -> Any:
        """A socket connected to that socket of the proxy."""
        side = self.side if self.endpoints[name].startswith("inproc:") else self.remote
        sock = self.peers.socket(side, socket_type, **{**UNLIMITED, **options})
        sock.connect(self.endpoints[name])
        return sock

    def start(self, after: Callable[[], None] = lambda: None) -> None:
        """after runs in the proxy's thread when the proxy has returned without an error."""
        self._after = after
        self._task = Task(self._run)

    def _run(self) -> str:
        zmq = self.side.zmq
        sides = [self.sockets["frontend"], self.sockets["backend"], self.sockets.get("capture")]
        try:
            if "control" in self.sockets:
                zmq.proxy_steerable(*sides, self.sockets["control"])
            else:
                zmq.proxy(*sides)
            self._after()
            return "returned"
        except zmq.ContextTerminated:
            return "terminated"
        finally:
            for sock in self.sockets.values():
                sock.close(0)

    @property
    def is_running(self) -> bool:
        return self._task is not None and self._task.is_running

    @property
    def task(self) -> Task:
        assert self._task is not None
        return self._task

    def wait_end(self) -> str:
        self._has_ended = True
        return str(self.task.join(END_S))

    def terminate(self) -> None:
        """Ends the proxy by its context and checks that it ended so."""
        self.peers.end_context(self.side, END_S)
        assert self.wait_end() == "terminated"

    def close(self) -> None:
        if self._task is None:
            for sock in self.sockets.values():
                sock.close(0)
        self.peers.end_context(self.side, END_S)
        if self._task is not None and not self._has_ended:
            self.wait_end()

    def assert_idle(self) -> None:
        """Neither the proxy's thread nor any other of this process is busy."""
        # What was just sent may still be on its way: the watch begins when the thread has gone to sleep.
        wait_until(lambda: self._cpu_used(0.05)[0] < THREAD_CPU_LIMIT_S / 10, timeout=3.0, what="a sleeping proxy")
        thread, process = self._cpu_used(WATCH_S)
        assert self.is_running
        assert thread < THREAD_CPU_LIMIT_S
        assert process < PROCESS_CPU_LIMIT_S

    def _cpu_used(self, seconds: float) -> tuple[float, float]:
        thread, process = self.task.cpu_seconds(), time.process_time()
        threading.Event().wait(seconds)
        return self.task.cpu_seconds() - thread, time.process_time() - process


@pytest.fixture
def proxy(peers: Peers, local: Side, remote: Side) -> Iterator[Proxy]:
    made = Proxy(peers, local, remote)
    yield made
    made.close()


def numbered_from(start: int) -> Callable[[int], list[bytes]]:
    return lambda number: [b"%d" % (start + number), BODY]


def serve(sock: Any, name: bytes, side: Side, stop: threading.Event) -> Counter[bytes]:
    """A REP worker: answers with its name before the request; counts the requests by their first part."""
    counts: Counter[bytes] = Counter()
    while not stop.is_set():
        if sock.poll(20):
            parts = sock.recv_multipart()
            counts[parts[0]] += 1
            sock.send_multipart([name, *parts])
    return counts


def ask(sock: Any, name: bytes, count: int) -> Counter[bytes]:
    """A REQ client: each reply must match its request; counts the workers."""
    workers: Counter[bytes] = Counter()
    for number in range(count):
        request = [b"main", name, b"%d" % number, b"", b"tail"]
        sock.send_multipart(request)
        worker, *reply = sock.recv_multipart()
        assert reply == request
        workers[worker] += 1
    return workers


# The three models ------------------------------------------------------------------------------------------------


@TRANSPORTS
@CAPTURES
def test_queue(proxy: Proxy, front: str, back: str, capture_type: str | None) -> None:
    """Several clients and workers; every reply matches; the workers get equal shares; capture sees both directions."""
    clients, workers, requests = 4, 3, 60
    proxy.add("frontend", "ROUTER", front)
    proxy.add("backend", "DEALER", back)
    capture = add_capture(proxy, capture_type)
    proxy.start()
    stop = threading.Event()
    serving = [
        Task(serve, proxy.client("backend", "REP"), b"worker %d" % number, proxy.remote, stop)
        for number in range(workers)
    ]
    asking = [proxy.client("frontend", "REQ") for _ in range(clients)]
    seen: set[bytes] = set()

    def is_warm() -> bool:
        asking[0].send(b"warm-up")
        seen.add(asking[0].recv_multipart()[0])
        return len(seen) == workers and (capture is None or capture.poll(5))

    wait_until(is_warm, what="all workers and the capture")
    shares = [Task(ask, sock, b"client %d" % number, requests) for number, sock in enumerate(asking)]
    total: Counter[bytes] = sum((task.join() for task in shares), Counter())
    stop.set()
    for task in serving:
        task.join()
    assert sum(total.values()) == clients * requests
    assert max(total.values()) - min(total.values()) <= 1
    if capture is not None:
        copies = receive_marked(capture, b"main", 2 * clients * requests)
        requested = Counter(tuple(copy[-5:]) for copy in copies)
        assert set(requested.values()) == {2}
        answered = [copy for copy in copies if any(part.startswith(b"worker") for part in copy)]
        assert len(answered) == clients * requests
    proxy.terminate()


@TRANSPORTS
@CAPTURES
def test_forwarder(proxy: Proxy, front: str, back: str, capture_type: str | None) -> None:
    """Each subscriber gets its topics of all publishers, complete, in the order of each publisher."""
    publishers, messages = 3, 200
    proxy.add("frontend", "XSUB", front)
    proxy.add("backend", "XPUB", back)
    capture = add_capture(proxy, capture_type)
    proxy.start()
    # Each topic with the distance between the messages that match it.
    topics = {b"even": 2, b"odd": 2, b"": 1}
    subs = {topic: proxy.client("backend", "SUB", subscribe=topic) for topic in topics}
    pubs = [proxy.client("frontend", "XPUB") for _ in range(publishers)]
    for pub in pubs:
        # The message that tells of a subscription comes when the publisher has taken note of it.
        assert {message[0] for message in receive(pub, len(topics))} == {b"\x01" + topic for topic in topics}
    if capture is not None:
        wait_until(lambda: pubs[0].send(b"probe") or capture.poll(5), what="the way to the capture")
    for number in range(messages):
        for place, pub in enumerate(pubs):
            pub.send_multipart([b"odd" if number % 2 else b"even", b"%d" % place, b"%d" % number, b""])
    for topic, step in topics.items():
        expected = [b"%d" % number for number in range(1 if topic == b"odd" else 0, messages, step)]
        arrived = receive_marked(subs[topic], b"", publishers * len(expected))
        for place in range(publishers):
            assert [message[2] for message in arrived if message[1] == b"%d" % place] == expected
        assert not subs[topic].poll(0)
    if capture is not None:
        copies = receive_marked(capture, b"", publishers * messages)
        for place in range(publishers):
            numbers = [copy[2] for copy in copies if copy[1] == b"%d" % place]
            assert numbers == [b"%d" % number for number in range(messages)]
    proxy.terminate()


def test_forwarder_to_subscribers_of_everything(proxy: Proxy) -> None:
    """Whoever has the empty topic gets each message once, whatever else it has, and until it gives that one up."""
    proxy.add("frontend", "XSUB", "tcp")
    proxy.add("backend", "XPUB", "tcp")
    proxy.start()
    pub = proxy.client("frontend", "XPUB")
    subs = {topic: proxy.client("backend", "SUB", subscribe=b"") for topic in (b"even", b"odd")}
    for topic, sub in subs.items():
        sub.subscribe(topic)
    # A topic comes after the empty one of the same subscriber.
    assert {message[0] for message in receive(pub, 3)} == {b"\x01", b"\x01even", b"\x01odd"}

    def publish() -> list[list[bytes]]:
        messages = [[b"odd" if number % 2 else b"even", b"%d" % number] for number in range(2000)]
        for begin in range(0, len(messages), 100):
            for message in messages[begin : begin + 100]:
                pub.send_multipart(message)
            assert receive(subs[b"odd"], 100) == messages[begin : begin + 100]
        return messages

    messages = publish()
    assert receive(subs[b"even"], len(messages)) == messages
    subs[b"even"].unsubscribe(b"")
    subs[b"even"].subscribe(b"mark")
    assert receive(pub, 1) == [[b"\x01mark"]]
    messages = publish()
    assert receive(subs[b"even"], len(messages) // 2) == messages[::2]
    assert not subs[b"even"].poll(0) and not subs[b"odd"].poll(0)
    proxy.terminate()


@TRANSPORTS
@CAPTURES
def test_streamer(proxy: Proxy, front: str, back: str, capture_type: str | None) -> None:
    """Nothing lost, order of each source kept, equal shares for the sinks."""
    sources, sinks, messages = 3, 3, 400
    proxy.add("frontend", "PULL", front)
    proxy.add("backend", "PUSH", back)
    capture = add_capture(proxy, capture_type)
    proxy.start()
    pulls = [proxy.client("backend", "PULL") for _ in range(sinks)]
    pushes = [proxy.client("frontend", "PUSH") for _ in range(sources)]
    warm: set[int] = set()

    def is_warm() -> bool:
        pushes[0].send(b"warm-up")
        for place, pull in enumerate(pulls):
            if pull.poll(5):
                assert pull.recv() == b"warm-up"
                warm.add(place)
        return len(warm) == sinks and (capture is None or capture.poll(5))

    wait_until(is_warm, what="all sinks and the capture")
    for number in range(messages):
        for place, push in enumerate(pushes):
            push.send_multipart([b"main", b"%d" % place, b"%d" % number, b"", b"tail"])
    arrived = [receive_all_but(pull, b"warm-up") for pull in pulls]
    together = [message for share in arrived for message in share]
    everything = {(b"%d" % place, b"%d" % number) for place in range(sources) for number in range(messages)}
    assert len(together) == len(everything)
    assert {(message[1], message[2]) for message in together} == everything
    assert all(message[3:] == [b"", b"tail"] for message in together)
    for share in arrived:
        assert abs(len(share) - sources * messages // sinks) <= 1
        for place in range(sources):
            numbers = [int(message[2]) for message in share if message[1] == b"%d" % place]
            assert numbers == sorted(numbers)
    if capture is not None:
        copies = receive_marked(capture, b"main", sources * messages)
        assert {(copy[1], copy[2]) for copy in copies} == everything
    proxy.terminate()


def add_capture(proxy: Proxy, capture_type: str | None) -> Any:
    """The reader of a capture socket, connected; None without capture."""
    if capture_type is None:
        return None
    proxy.add("capture", capture_type, "tcp")
    reader_type = CAPTURE_READERS[capture_type]
    return proxy.client("capture", reader_type, **({"subscribe": b""} if reader_type == "SUB" else {}))


def receive_marked(capture: Any, mark: bytes, count: int) -> list[list[bytes]]:
    """The next `count` copies of five-part bodies with this mark, or of four-part messages when it is empty."""
    copies: list[list[bytes]] = []
    while len(copies) < count:
        copy = capture.recv_multipart()
        if (mark in copy) if mark else len(copy) == 4:
            copies.append(copy)
    return copies


def receive_all_but(sock: Any, unwanted: bytes) -> list[list[bytes]]:
    return [message for message in receive_waiting(sock) if message != [unwanted]]


def test_subscriptions_pass_upstream_and_are_captured(proxy: Proxy, peers: Peers, remote: Side) -> None:
    """A publisher before the proxy sees what subscribers behind it want, and no more; capture sees it as 01 + topic."""
    proxy.add("frontend", "XSUB", "tcp")
    proxy.add("backend", "XPUB", "ipc")
    capture = add_capture(proxy, "PAIR")
    proxy.start()
    xpub = proxy.client("frontend", "XPUB")
    subs = [proxy.client("backend", "SUB", subscribe=b"topic") for _ in range(2)]
    assert capture.recv_multipart() == [b"\x01topic"]
    assert xpub.recv() == b"\x01topic"
    assert not xpub.poll(50)

    def both_get_it() -> bool:
        xpub.send_multipart([b"topic", b"body"])
        return all(sub.poll(5) for sub in subs)

    wait_until(both_get_it, what="the message")
    for sub in subs:
        sub.close(0)
    assert xpub.recv() == b"\x00topic"


def test_large_messages_pass(proxy: Proxy) -> None:
    proxy.add("frontend", "PULL", "tcp")
    proxy.add("backend", "PUSH", "ipc")
    proxy.start()
    push, pull = proxy.client("frontend", "PUSH"), proxy.client("backend", "PULL")
    for size in (0, 255, 256, 8191, 8192, 65536, 1_000_000, 20_000_000):
        message = [b"%d" % size, bytes([size % 251]) * size, b""]
        push.send_multipart(message)
        assert pull.recv_multipart() == message


def test_one_socket_as_both_sides(proxy: Proxy) -> None:
    """A ROUTER echoes each message to its sender."""
    proxy.add("frontend", "ROUTER", "tcp")
    proxy.sockets["backend"] = proxy.sockets["frontend"]
    proxy.start()
    dealers = [proxy.client("frontend", "DEALER") for _ in range(3)]
    for number in range(100):
        for place, dealer in enumerate(dealers):
            dealer.send_multipart([b"", b"%d %d" % (place, number)])
    for place, dealer in enumerate(dealers):
        assert receive(dealer, 100) == [[b"", b"%d %d" % (place, number)] for number in range(100)]
    proxy.terminate()


def test_dealers_on_both_sides(proxy: Proxy) -> None:
    proxy.add("frontend", "DEALER", "tcp")
    proxy.add("backend", "DEALER", "tcp")
    proxy.start()
    left, right = proxy.client("frontend", "DEALER"), proxy.client("backend", "DEALER")
    count = 2000
    for number in range(count):
        left.send(b"l%d" % number)
        right.send(b"r%d" % number)
    assert receive(right, count) == [[b"l%d" % number] for number in range(count)]
    assert receive(left, count) == [[b"r%d" % number] for number in range(count)]


def test_chain_of_two_proxies(peers: Peers, local: Side, remote: Side) -> None:
    """libzmq client, zmqcore queue, libzmq queue, libzmq worker: envelopes of two routers."""
    first = Proxy(peers, local, remote)
    second = Proxy(peers, remote, remote)
    try:
        for proxy in (first, second):
            proxy.add("frontend", "ROUTER", "tcp")
            proxy.add("backend", "DEALER", "ipc")
        first.sockets["backend"].connect(second.endpoints["frontend"])
        first.start()
        second.start()
        req, rep = first.client("frontend", "REQ"), second.client("backend", "REP")
        for number in range(50):
            req.send_multipart([b"question %d" % number, b""])
            assert rep.recv_multipart() == [b"question %d" % number, b""]
            rep.send_multipart([b"", b"answer %d" % number])
            assert req.recv_multipart() == [b"", b"answer %d" % number]
    finally:
        first.close()
        second.close()


# Control ---------------------------------------------------------------------------------------------------------


class Control:
    """The other end of a control socket."""

    def __init__(self, proxy: Proxy, control_type: str) -> None:
        proxy.add("control", control_type, "inproc" if control_type == "PAIR" else "tcp")
        self._is_answered = control_type == "REP"
        self._sock = proxy.client("control", CONTROL_CLIENTS[control_type])

    def command(self, text: bytes) -> None:
        """Returns when the proxy has obeyed. A REP answers each command by one empty part, others STATISTICS only."""
        self._sock.send(text)
        if self._is_answered:
            assert self._sock.recv_multipart() == [b""]
        elif text != b"TERMINATE":
            self.statistics()

    def statistics(self) -> list[int]:
        self._sock.send(b"STATISTICS")
        parts = self._sock.recv_multipart()
        assert [len(part) for part in parts] == [8] * 8
        return [struct.unpack("=Q", part)[0] for part in parts]


STEERED = pytest.mark.parametrize("control_type", ["REP", "PAIR"])


@STEERED
def test_pause_and_resume(proxy: Proxy, local: Side, control_type: str) -> None:
    """libzmq 4.3.5 has the two exchanged, and answers on a PAIR too; here each does what it says. Nothing is lost."""
    skip_libzmq_quirk(local)
    proxy.add("frontend", "PULL", "tcp")
    proxy.add("backend", "PUSH", "tcp")
    control = Control(proxy, control_type)
    proxy.start()
    push, pull = proxy.client("frontend", "PUSH"), proxy.client("backend", "PULL")
    push.send(b"running")
    assert pull.recv() == b"running"
    for turn in range(3):
        control.command(b"PAUSE")
        assert control.statistics()[0] == 1 + 5 * turn
        for number in range(5):
            push.send(b"%d" % number)
        assert not pull.poll(QUIET_MS)
        assert control.statistics()[0] == 1 + 5 * turn
        control.command(b"RESUME")
        assert receive(pull, 5) == [[b"%d" % number] for number in range(5)]
        assert control.statistics()[0] == 1 + 5 * (turn + 1)


@STEERED
def test_statistics_count_parts_and_bytes(proxy: Proxy, control_type: str) -> None:
    """frontend received, sent, backend received, sent; each as count of parts and bytes of payload."""
    proxy.add("frontend", "DEALER", "tcp")
    proxy.add("backend", "DEALER", "tcp")
    control = Control(proxy, control_type)
    proxy.start()
    left, right = proxy.client("frontend", "DEALER"), proxy.client("backend", "DEALER")
    assert control.statistics() == [0] * 8
    left.send_multipart([b"ab", b"c"])
    assert right.recv_multipart() == [b"ab", b"c"]
    wait_until(lambda: control.statistics() == [2, 3, 0, 0, 0, 0, 2, 3])
    right.send_multipart([b"", bytes(300), b"xyz"])
    assert len(left.recv_multipart()) == 3
    wait_until(lambda: control.statistics() == [2, 3, 3, 303, 3, 303, 2, 3])


@STEERED
def test_terminate_leaves_the_sockets_usable(proxy: Proxy, control_type: str) -> None:
    """The proxy returns without an error, and its sockets go on by hand."""
    proxy.add("frontend", "PULL", "tcp")
    proxy.add("backend", "PUSH", "tcp")
    control = Control(proxy, control_type)
    push, pull = proxy.client("frontend", "PUSH"), proxy.client("backend", "PULL")
    by_hand: list[list[bytes]] = []
    has_returned, is_delivered = threading.Event(), threading.Event()

    def after() -> None:
        has_returned.set()
        by_hand.append(proxy.sockets["frontend"].recv_multipart())
        proxy.sockets["backend"].send_multipart([b"by", b"hand"])
        # Closing would throw the message away.
        assert is_delivered.wait(DEADLINE_S)

    proxy.start(after)
    push.send_multipart([b"by", b"proxy"])
    assert pull.recv_multipart() == [b"by", b"proxy"]
    control.command(b"TERMINATE")
    assert has_returned.wait(DEADLINE_S)
    push.send_multipart([b"not", b"proxied"])
    assert pull.recv_multipart() == [b"by", b"hand"]
    is_delivered.set()
    assert proxy.wait_end() == "returned"
    assert by_hand == [[b"not", b"proxied"]]


@STEERED
def test_unknown_commands_do_nothing(proxy: Proxy, control_type: str, local: Side) -> None:
    """In libzmq any message of five bytes acts like one of the commands."""
    skip_libzmq_quirk(local)
    proxy.add("frontend", "PULL", "tcp")
    proxy.add("backend", "PUSH", "tcp")
    control = Control(proxy, control_type)
    proxy.start()
    push, pull = proxy.client("frontend", "PUSH"), proxy.client("backend", "PULL")
    for text in (b"BOGUS", b"pause", b"", b"PAUSE\0", b"TERMINATE!", bytes(10_000)):
        control.command(text)
        push.send(b"goes on")
        assert pull.recv() == b"goes on"
    control.command(b"PAUSE")
    for text in (b"BOGUS", b"resume", b""):
        control.command(text)
    push.send(b"waits")
    assert not pull.poll(QUIET_MS)


@pytest.mark.parametrize(("control_type", "client_type"), [("SUB", "PUB"), ("PULL", "PUSH")])
def test_control_that_cannot_answer(proxy: Proxy, local: Side, control_type: str, client_type: str) -> None:
    """libzmq 4.3.5 ends with ENOTSUP at the first command; here it is obeyed without an answer."""
    skip_libzmq_quirk(local)
    proxy.add("frontend", "PULL", "tcp")
    proxy.add("backend", "PUSH", "tcp")
    proxy.add("control", control_type, "tcp", **({"subscribe": b""} if control_type == "SUB" else {}))
    client = proxy.client("control", client_type)
    proxy.start()
    push, pull = proxy.client("frontend", "PUSH"), proxy.client("backend", "PULL")
    push.send(b"running")
    assert pull.recv() == b"running"

    def is_paused() -> bool:
        client.send(b"STATISTICS")
        client.send(b"PAUSE")
        push.send(b"x")
        return not pull.poll(50) or not pull.recv()

    wait_until(is_paused, what="the pause")
    client.send(b"RESUME")
    assert pull.recv() == b"x"
    client.send(b"TERMINATE")
    assert proxy.wait_end() == "returned"


# Blocked, idle, ended --------------------------------------------------------------------------------------------


def idle(proxy: Proxy) -> None:
    proxy.add("frontend", "ROUTER", "tcp")
    proxy.add("backend", "DEALER", "tcp")
    proxy.start()


def streamer_without_sink(proxy: Proxy) -> None:
    """Messages wait and the output has no peer."""
    proxy.add("frontend", "PULL", "tcp")
    proxy.add("backend", "PUSH", "tcp")
    proxy.start()
    push = proxy.client("frontend", "PUSH")
    for number in range(100):
        push.send(b"%d" % number)


def queue_without_worker(proxy: Proxy) -> None:
    proxy.add("frontend", "ROUTER", "tcp")
    proxy.add("backend", "DEALER", "tcp")
    proxy.start()
    for _ in range(5):
        proxy.client("frontend", "REQ").send(b"request")


def streamer_with_full_sink(proxy: Proxy) -> None:
    """The only sink reads nothing, and everything up to the source is full."""
    proxy.add("frontend", "PULL", "tcp", rcvhwm=2, **SMALL_BUFFERS)
    proxy.add("backend", "PUSH", "tcp", sndhwm=2, **SMALL_BUFFERS)
    proxy.start()
    proxy.client("backend", "PULL", rcvhwm=2, **SMALL_BUFFERS)
    push = proxy.client("frontend", "PUSH", sndhwm=2, **SMALL_BUFFERS)
    fill(push, proxy.remote, numbered_from(0))


def one_direction_full(proxy: Proxy) -> Any:
    """Forward is full, the reply direction has nothing to do. Returns the client before the frontend."""
    proxy.add("frontend", "DEALER", "tcp", sndhwm=2, rcvhwm=2, **SMALL_BUFFERS)
    proxy.add("backend", "DEALER", "tcp", sndhwm=2, rcvhwm=2, **SMALL_BUFFERS)
    proxy.start()
    proxy.client("backend", "DEALER", rcvhwm=2, **SMALL_BUFFERS)
    dealer = proxy.client("frontend", "DEALER", sndhwm=2, **SMALL_BUFFERS)
    fill(dealer, proxy.remote, numbered_from(0))
    return dealer


def capture_without_reader(proxy: Proxy) -> None:
    proxy.add("frontend", "PULL", "tcp")
    proxy.add("backend", "PUSH", "tcp")
    proxy.add("capture", "PUSH", "tcp", sndhwm=2)
    proxy.start()
    proxy.client("backend", "PULL")
    push = proxy.client("frontend", "PUSH")
    for number in range(100):
        push.send(b"%d" % number)


def capture_full(proxy: Proxy) -> None:
    """A PAIR reads no copies any more, while messages flow until that stops them (or not)."""
    proxy.add("frontend", "PULL", "tcp", rcvhwm=2, **SMALL_BUFFERS)
    proxy.add("backend", "PUSH", "tcp", sndhwm=2, **SMALL_BUFFERS)
    proxy.add("capture", "PAIR", "tcp", sndhwm=2, **SMALL_BUFFERS)
    proxy.start()
    proxy.client("capture", "PAIR", rcvhwm=2, **SMALL_BUFFERS)
    proxy.client("backend", "PULL", rcvhwm=2, **SMALL_BUFFERS)
    push = proxy.client("frontend", "PUSH", sndhwm=2, **SMALL_BUFFERS)
    fill(push, proxy.remote, numbered_from(0))


SITUATIONS = pytest.mark.parametrize(
    "situation",
    [
        idle,
        streamer_without_sink,
        queue_without_worker,
        streamer_with_full_sink,
        one_direction_full,
        capture_without_reader,
        capture_full,
    ],
    ids=lambda situation: situation.__name__,
)


@SITUATIONS
def test_no_cpu_while_nothing_can_move(proxy: Proxy, local: Side, situation: Callable[[Proxy], Any]) -> None:
    """libzmq spins in several of these."""
    skip_libzmq_quirk(local)
    situation(proxy)
    proxy.assert_idle()
    proxy.terminate()


@SITUATIONS
def test_context_termination_gets_through(proxy: Proxy, peers: Peers, situation: Callable[[Proxy], Any]) -> None:
    situation(proxy)
    assert proxy.is_running
    proxy.terminate()


@SITUATIONS
@STEERED
def test_terminate_gets_through(
    proxy: Proxy, local: Side, situation: Callable[[Proxy], Any], control_type: str
) -> None:
    """libzmq sleeps in a blocking send in some of these and never sees the command."""
    skip_libzmq_quirk(local)
    control = Control(proxy, control_type)
    situation(proxy)
    assert len(control.statistics()) == 8
    control.command(b"TERMINATE")
    assert proxy.wait_end() == "returned"


@STEERED
def test_no_cpu_while_paused(proxy: Proxy, local: Side, control_type: str) -> None:
    """Messages wait in the sockets, control is served. libzmq spins."""
    skip_libzmq_quirk(local)
    proxy.add("frontend", "ROUTER", "tcp")
    proxy.add("backend", "DEALER", "tcp")
    control = Control(proxy, control_type)
    proxy.start()
    rep = proxy.client("backend", "REP")
    control.command(b"PAUSE")
    assert control.statistics() == [0] * 8
    reqs = [proxy.client("frontend", "REQ") for _ in range(5)]
    for req in reqs:
        req.send(b"waits")
    proxy.assert_idle()
    assert control.statistics() == [0] * 8
    control.command(b"RESUME")
    for _ in reqs:
        assert rep.recv() == b"waits"
        rep.send(b"done")
    assert [req.recv() for req in reqs] == [b"done"] * 5


def test_replies_pass_while_requests_are_blocked(proxy: Proxy) -> None:
    dealer = one_direction_full(proxy)
    back = proxy.client("backend", "DEALER", rcvhwm=2, **SMALL_BUFFERS)
    for number in range(300):
        back.send(b"%d" % number)
    assert receive(dealer, 300) == [[b"%d" % number] for number in range(300)]


def test_blocked_streamer_goes_on_without_loss(proxy: Proxy) -> None:
    """Messages wait without a sink, then all arrive in order; several turns of full and empty."""
    proxy.add("frontend", "PULL", "tcp", rcvhwm=2, **SMALL_BUFFERS)
    proxy.add("backend", "PUSH", "tcp", sndhwm=2, **SMALL_BUFFERS)
    proxy.start()
    push = proxy.client("frontend", "PUSH", sndhwm=2, **SMALL_BUFFERS)
    sent = fill(push, proxy.remote, numbered_from(0))
    pull = proxy.client("backend", "PULL", rcvhwm=2, **SMALL_BUFFERS)
    arrived: list[list[bytes]] = []
    for _ in range(3):
        arrived += receive(pull, sent - len(arrived))
        assert push.poll(DEADLINE_MS, proxy.remote.zmq.POLLOUT)
        sent += fill(push, proxy.remote, numbered_from(sent))
    arrived += receive(pull, sent - len(arrived))
    assert [message[0] for message in arrived] == [b"%d" % number for number in range(sent)]
    assert not pull.poll(20)


def test_full_worker_does_not_stop_the_others(proxy: Proxy) -> None:
    """Of two sinks one is never read: the rest goes to the other."""
    proxy.add("frontend", "PULL", "tcp")
    proxy.add("backend", "PUSH", "tcp", sndhwm=2, **SMALL_BUFFERS)
    proxy.start()
    stuck = proxy.client("backend", "PULL", rcvhwm=2, **SMALL_BUFFERS)
    quick = proxy.client("backend", "PULL", rcvhwm=2, **SMALL_BUFFERS)
    push = proxy.client("frontend", "PUSH")
    sent = 300
    for number in range(sent):
        push.send_multipart([b"%d" % number, BODY])
    passed = receive_waiting(quick, 2 * QUIET_MS)
    assert len(passed) > sent - 100
    rest = receive_waiting(stuck, 2 * QUIET_MS)
    rest += receive_waiting(quick)
    assert {int(message[0]) for message in passed + rest} == set(range(sent))
    assert len(passed + rest) == sent


def test_errors_of_the_call(peers: Peers, local: Side) -> None:
    """A socket that is closed, or none, is an exception and no crash."""
    router, dealer = peers.socket(local, "ROUTER"), peers.socket(local, "DEALER")
    closed = peers.socket(local, "DEALER")
    closed.close(0)
    for front, back in ((router, None), (None, dealer), (router, "no socket")):
        with pytest.raises((TypeError, AttributeError, local.zmq.ZMQError)):
            local.zmq.proxy(front, back)
    with pytest.raises((TypeError, local.zmq.ZMQError)):
        local.zmq.proxy(router, closed)
