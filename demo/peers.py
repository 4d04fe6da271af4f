"""The child processes of the demo: `python peers.py ROLE JSON`.

All but the proxy are real libzmq, through pyzmq. Each one speaks to the demo in lines of JSON on stdout and listens for
`go` and `stop` on stdin; the end of stdin is a `stop`, so nobody outlives a demo that was killed.

Nobody waits for time to pass before the traffic starts: the senders repeat a HELLO until each receiver has reported
that it came through. Only messages of kind WORK are numbered, checked and counted.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import signal
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import wire
import zmq

HELLO_MS = 5  # between two rounds of HELLO
PROGRESS_NS = 250_000_000
REPLY_MS = 5000  # a reply that takes longer counts as lost
SEND_MS = 100  # how long a blocked sender does not look at the clock
BURST = 500  # messages a receiver takes before it looks at the clock and its parent
AHEAD_MAX = 10_000_000  # a sequence that is further ahead than this was never sent
Config = dict[str, Any]


class Progress:
    """Tells the parent a count a few times a second."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.due_ns = 0

    def tell(self, count: int, force: bool = False) -> None:
        now_ns = time.monotonic_ns()
        if force or now_ns >= self.due_ns:
            self.due_ns = now_ns + PROGRESS_NS
            wire.emit("progress", **{self.name: count})


def has_order(poller: zmq.Poller, timeout_ms: int) -> bool:
    return any(what == 0 for what, _ in poller.poll(timeout_ms))


def parent_poller() -> zmq.Poller:
    poller = zmq.Poller()
    poller.register(0, zmq.POLLIN)
    return poller


# --- the proxy --------------------------------------------------------------------------------------------------------


def proxy(config: Config) -> None:
    """The one process that is not libzmq, unless the yardstick was asked for."""
    kinds = {"queue": ("ROUTER", "DEALER"), "forwarder": ("XSUB", "XPUB"), "streamer": ("PULL", "PUSH")}
    try:
        engine = importlib.import_module("zmq" if config["impl"] == "pyzmq" else config["impl"])
    except ImportError as error:
        sys.exit(f"{config['impl']} cannot be imported ({error}): `make demo` builds it first")
    context = engine.Context()
    sockets = [context.socket(getattr(engine, kind)) for kind in kinds[config["model"]]]
    if config["model"] == "forwarder":  # a slow sink slows the sources down instead of losing messages
        sockets[1].setsockopt(engine.XPUB_NODROP, 1)
    if config["capture"]:
        sockets.append(context.socket(engine.PUB))
        sockets[-1].setsockopt(engine.SNDHWM, 0)
    for socket in sockets:
        socket.setsockopt(engine.LINGER, 0)
        socket.bind("tcp://127.0.0.1:*")
    names = [socket.getsockopt(engine.LAST_ENDPOINT).rstrip(b"\0").decode() for socket in sockets]

    def follow_parent() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=follow_parent, daemon=True).start()
    try:
        wire.emit("ready", endpoints=names)
        engine.proxy(*sockets)
    except KeyboardInterrupt:  # how the demo ends it
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for socket in sockets:
        socket.close()
    context.term()
    wire.emit("result", cpu_s=time.process_time())


# --- queue ------------------------------------------------------------------------------------------------------------


def client(config: Config) -> None:
    """REQ: one numbered request at a time, each reply compared with what only an answer to it can be."""
    me = config["number"]
    payloads = wire.payloads(config["seed"], config["size"])
    parent = parent_poller()
    progress, latency = Progress("sent"), wire.Histogram()
    workers: dict[str, int] = {}
    sent = matched = lost = wrong = 0
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
    socket.linger = 0
    socket.rcvtimeo = REPLY_MS
    socket.connect(config["endpoint"])
    while not has_order(parent, 0):
        socket.send_multipart([wire.HELLO, b""])
        socket.recv_multipart()
    is_over = wire.order() == "stop"
    start_ns = now_ns = time.monotonic_ns()
    end_ns = start_ns + int(config["seconds"] * 1e9)
    while not is_over and now_ns < end_ns:
        payload, crc = payloads[sent % wire.PAYLOADS]
        request = wire.HEADER.pack(me, sent & 0xFFFFFFFF, now_ns, crc) + payload
        socket.send_multipart([wire.WORK, request])
        sent += 1
        try:
            reply = socket.recv_multipart()
        except zmq.Again:
            lost += 1
            break
        latency.add(time.monotonic_ns() - now_ns)
        if len(reply) == 3 and reply[0] == wire.WORK and reply[2] == wire.digest(request, reply[1]):
            matched += 1
            workers[reply[1].decode()] = workers.get(reply[1].decode(), 0) + 1
        else:
            wrong += 1
        now_ns = time.monotonic_ns()
        if now_ns >= progress.due_ns:
            progress.tell(sent)
            is_over = has_order(parent, 0) and wire.order() == "stop"
    seconds = (time.monotonic_ns() - start_ns) / 1e9
    counts = {"sent": sent, "matched": matched, "lost": lost, "wrong": wrong}
    wire.emit("result", **counts, seconds=seconds, workers=workers, latency=latency.buckets)
    has_order(parent, -1)


def worker(config: Config) -> None:
    """REP: answers with its name and a digest of the request that needs the name as its key."""
    name = f"worker-{config['number']}".encode()
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
    socket.linger = 0
    socket.connect(config["endpoint"])
    poller = parent_poller()
    poller.register(socket, zmq.POLLIN)
    progress, answered, is_ready = Progress("received"), 0, False
    while not (has_order(poller, 250) and wire.order() == "stop"):
        for _ in range(BURST):
            try:
                kind, request = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            socket.send_multipart([kind, name, wire.digest(request, name)])
            answered += kind == wire.WORK
            if not is_ready:
                is_ready = True
                wire.emit("ready")
        progress.tell(answered)
    wire.emit("result", received=answered)


# --- forwarder and streamer -------------------------------------------------------------------------------------------


def source(config: Config) -> None:
    """PUB or PUSH: numbered messages, over all topics in turn, as fast as they go or at --rate a second."""
    me, topic_count = config["number"], config["topics"]
    payloads = wire.payloads(config["seed"], config["size"])
    prefixes = [[wire.topic(number)] for number in range(topic_count)] or [[]]
    parent = parent_poller()
    progress = Progress("sent")
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUB if topic_count else zmq.PUSH)
    socket.linger = 0
    socket.sndtimeo = SEND_MS
    if topic_count:
        socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.connect(config["endpoint"])
    while not has_order(parent, HELLO_MS):
        for prefix in prefixes:
            try:
                socket.send_multipart([*prefix, wire.HELLO, wire.HEADER.pack(me, 0, 0, 0)], zmq.NOBLOCK)
            except zmq.Again:
                break
    is_over = wire.order() == "stop"
    sent = [0] * len(prefixes)
    total = 0
    step_ns = int(1e9 / config["rate"]) if config["rate"] else 0
    start_ns = now_ns = time.monotonic_ns()
    end_ns = start_ns + int(config["seconds"] * 1e9)
    while not is_over and now_ns < end_ns:
        turn = total % len(prefixes)
        payload, crc = payloads[total % wire.PAYLOADS]
        message = wire.HEADER.pack(me, sent[turn], now_ns, crc) + payload
        try:
            socket.send_multipart([*prefixes[turn], wire.WORK, message])
            sent[turn] += 1
            total += 1
        except zmq.Again:
            pass
        now_ns = time.monotonic_ns()
        ahead_ns = start_ns + total * step_ns - now_ns if step_ns else 0
        if now_ns >= progress.due_ns or ahead_ns > 1_000_000:
            if now_ns >= progress.due_ns:
                progress.tell(total)
            is_over = has_order(parent, max(ahead_ns, 0) // 1_000_000) and wire.order() == "stop"
            now_ns = time.monotonic_ns()
    wire.emit("result", sent=total, by_topic=sent, start_ns=start_ns)
    has_order(parent, -1)  # the socket stays open: it may still hold messages


class SubscriberCheck:
    """Forwarder: every message of the sink's topics, each (source, topic) in order, nothing of other topics."""

    def __init__(self, config: Config) -> None:
        self.mine = {wire.topic(number) for number in wire.topics_of(config["number"], config["topics"])}
        self.missing_hello = {(number, name) for number in range(config["sources"]) for name in self.mine}
        self.next: dict[tuple[int, bytes], int] = {}
        self.missing: set[tuple[int, bytes, int]] = set()  # skipped so far
        self.out_of_order = self.twice = self.strange = 0

    def hello(self, parts: list[bytes], sender: int) -> bool:
        """Whether now every source has been heard on every topic."""
        self.missing_hello.discard((sender, parts[0]))
        return not self.missing_hello

    def take(self, parts: list[bytes], sender: int, sequence: int) -> None:
        key = (sender, parts[0])
        expected = self.next.get(key, 0)
        self.strange += parts[0] not in self.mine
        if sequence < expected:
            is_late = (*key, sequence) in self.missing
            self.missing.discard((*key, sequence))
            self.out_of_order += is_late
            self.twice += not is_late
        elif sequence > expected + AHEAD_MAX:
            self.strange += 1
        else:
            self.missing.update((*key, number) for number in range(expected, sequence))
            self.next[key] = sequence + 1

    def result(self) -> dict[str, Any]:
        ends = [[sender, name.decode(), count] for (sender, name), count in self.next.items()]
        counts = {"order_errors": self.out_of_order, "twice": self.twice, "strange": self.strange}
        return {**counts, "missing": len(self.missing), "ends": ends}


class PullerCheck:
    """Streamer: which messages came here, each once, and those of one source in order."""

    def __init__(self, config: Config) -> None:
        self.seen = [bytearray() for _ in range(config["sources"])]
        self.last = [-1] * config["sources"]
        self.out_of_order = self.twice = self.strange = 0

    def hello(self, parts: list[bytes], sender: int) -> bool:
        return True

    def take(self, parts: list[bytes], sender: int, sequence: int) -> None:
        if sender >= len(self.seen) or sequence > len(self.seen[sender]) + AHEAD_MAX:
            self.strange += 1
            return
        seen = self.seen[sender]
        if sequence >= len(seen):
            seen.extend(bytes(sequence + 65536 - len(seen)))
        self.twice += seen[sequence]
        seen[sequence] = 1
        self.out_of_order += sequence < self.last[sender]
        self.last[sender] = sequence

    def result(self) -> dict[str, Any]:
        maps = [base64.b64encode(zlib.compress(bytes(seen), 1)).decode() for seen in self.seen]
        return {"order_errors": self.out_of_order, "twice": self.twice, "strange": self.strange, "seen": maps}


def sink(config: Config) -> None:
    """SUB or PULL: checks every message against its CRC and hands its number to the model's own check."""
    check: SubscriberCheck | PullerCheck
    kind = zmq.SUB if config["topics"] else zmq.PULL
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    if config["topics"]:
        check = SubscriberCheck(config)
        for name in check.mine:
            socket.subscribe(name)
    else:
        check = PullerCheck(config)
    socket.linger = 0
    socket.connect(config["endpoint"])
    poller = parent_poller()
    poller.register(socket, zmq.POLLIN)
    progress, latency = Progress("received"), wire.Histogram()
    received = damaged = last_ns = 0
    is_ready = False
    while not (has_order(poller, 250) and wire.order() == "stop"):
        for _ in range(BURST):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            body = parts[-1]
            sender, sequence, sent_ns, crc = wire.HEADER.unpack_from(body)
            if parts[-2] == wire.WORK:
                last_ns = time.monotonic_ns()
                latency.add(last_ns - sent_ns)
                received += 1
                damaged += zlib.crc32(body[wire.HEADER.size :]) != crc
                check.take(parts, sender, sequence)
            elif not is_ready and check.hello(parts, sender):
                is_ready = True
                wire.emit("ready")
        progress.tell(received)
    values = {"received": received, "damaged": damaged, "last_ns": last_ns, "latency": latency.buckets}
    wire.emit("result", **values, **check.result())


def watcher(config: Config) -> None:
    """SUB on the proxy's capture socket: counts the copies of numbered messages."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.linger = 0
    socket.rcvhwm = 0
    socket.subscribe(b"")
    socket.connect(config["endpoint"])
    poller = parent_poller()
    poller.register(socket, zmq.POLLIN)
    progress, captured, is_ready = Progress("received"), 0, False
    while not (has_order(poller, 250) and wire.order() == "stop"):
        for _ in range(BURST):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            captured += wire.WORK in parts[:3]
            if not is_ready:
                is_ready = True
                wire.emit("ready")
        progress.tell(captured)
    wire.emit("result", received=captured)


ROLES = {
    "proxy": proxy,
    "client": client,
    "worker": worker,
    "source": source,
    "sink": sink,
    "watcher": watcher,
}


def main() -> None:
    config = json.loads(sys.argv[2])
    signal.alarm(config["limit_s"])
    # A checkout that was built in place serves too, but an installed package comes first.
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    ROLES[sys.argv[1]](config)


if __name__ == "__main__":
    main()
