"""Calls of several threads to the same sockets and their context: each beside each other one, and all at once.

What a call returns is for other tests: here it may fail in any way that a ZMQError tells, but nothing may break or
hang. `make sanitize SANITIZER=thread` finds with these what a lock or an atomic was forgotten for. Each pair of calls
has threads and sockets that nothing else has touched, so that no earlier call has put the two in order.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, inproc
from tests.support import DEADLINE_S, Task
from tests.zap import reply

THREADS = 4
CALLS_OF_A_THREAD = 100
# Without the sanitizer a part of the pairs: what is left to be seen then are crashes and hangs.
EVERY = 1 if "libtsan" in os.environ.get("LD_PRELOAD", "") else 11
LARGE = bytes(300_000)
_numbers = itertools.count()


@dataclass
class Scene:
    """Two joined sockets; a call is made to `here`."""

    zmq: ModuleType
    context: Any
    here: Any
    there: Any
    endpoint: str
    sockets: Sockets
    others: list[Any] = field(default_factory=list)

    def turned(self) -> Scene:
        return Scene(self.zmq, self.context, self.there, self.here, self.endpoint, self.sockets, self.others)


def flood(scene: Scene) -> None:
    for _ in range(40):
        scene.here.send(b"x", scene.zmq.DONTWAIT)


def send_in_parts(scene: Scene) -> None:
    scene.here.send(b"first", scene.zmq.DONTWAIT | scene.zmq.SNDMORE)
    scene.here.send(b"second", scene.zmq.DONTWAIT)


def connect_anew(scene: Scene) -> None:
    with contextlib.suppress(scene.zmq.ZMQError):
        scene.there.disconnect(scene.endpoint)
    scene.there.connect(scene.endpoint)


def come_and_go(scene: Scene) -> None:
    with scene.sockets("PAIR") as other:
        other.connect(scene.endpoint)
        other.send(b"x", scene.zmq.DONTWAIT)


def run_proxy(scene: Scene) -> None:
    loop = scene.zmq.Proxy(scene.here, scene.there)
    loop.start()
    for call in (loop.pause, loop.stats, loop.resume):
        call()
    loop.stop(DEADLINE_S)


def monitor(scene: Scene) -> None:
    scene.here.monitor(f"inproc://at-once-{os.getpid()}-{next(_numbers)}")


CALLS: dict[str, Callable[[Scene], object]] = {
    "send": lambda scene: scene.here.send(b"x", scene.zmq.DONTWAIT),
    "send and wait": lambda scene: scene.here.send(b"x"),
    "send in parts": send_in_parts,
    "send_multipart": lambda scene: scene.here.send_multipart([b"x", b"y" * 5000], scene.zmq.DONTWAIT),
    "send large": lambda scene: scene.here.send(LARGE, scene.zmq.DONTWAIT, copy=False),
    "send_many": lambda scene: scene.here.send_many([b"many", [b"two", b"parts"]], scene.zmq.DONTWAIT),
    "flood": flood,
    "recv": lambda scene: scene.here.recv(scene.zmq.DONTWAIT),
    "recv and wait": lambda scene: scene.here.recv(),
    "recv frames": lambda scene: scene.here.recv_multipart(scene.zmq.DONTWAIT, copy=False),
    "recv_many": lambda scene: scene.here.recv_many(5, scene.zmq.DONTWAIT),
    "poll": lambda scene: scene.here.poll(1, scene.zmq.POLLIN | scene.zmq.POLLOUT),
    "poll both": lambda scene: scene.zmq.zmq_poll([(scene.here, scene.zmq.POLLIN), (scene.there, scene.zmq.POLLIN)], 1),
    "FD": lambda scene: scene.here.getsockopt(scene.zmq.FD),
    "EVENTS": lambda scene: scene.here.getsockopt(scene.zmq.EVENTS),
    "LAST_ENDPOINT": lambda scene: scene.here.getsockopt(scene.zmq.LAST_ENDPOINT),
    "stats": lambda scene: scene.here.stats(),
    "HWM": lambda scene: scene.here.set_hwm(7),
    "SPIN_US": lambda scene: scene.here.setsockopt(scene.zmq.SPIN_US, 5),
    "RCVTIMEO": lambda scene: scene.here.setsockopt(scene.zmq.RCVTIMEO, 3),
    "ROUTING_ID": lambda scene: scene.here.setsockopt(scene.zmq.ROUTING_ID, b"id"),
    "SUBSCRIBE": lambda scene: scene.here.setsockopt(scene.zmq.SUBSCRIBE, b"x"),
    "bind inproc": lambda scene: scene.here.bind(inproc()),
    "bind tcp": lambda scene: scene.here.bind("tcp://127.0.0.1:*"),
    "unbind": lambda scene: scene.here.unbind(scene.endpoint),
    "connect": lambda scene: scene.here.connect(scene.endpoint),
    "connect to nobody": lambda scene: scene.here.connect(inproc()),
    "disconnect": lambda scene: scene.here.disconnect(scene.endpoint),
    "connect anew": connect_anew,
    "come and go": come_and_go,
    "monitor": monitor,
    "no monitor": lambda scene: scene.here.monitor(None),
    "proxy": run_proxy,
    "close": lambda scene: scene.here.close(),
    "close lingering": lambda scene: scene.here.close(5),
    "IPV6 of the context": lambda scene: scene.context.set(scene.zmq.IPV6, 1),
    "BLOCKY of the context": lambda scene: scene.context.set(scene.zmq.BLOCKY, 0),
    "MAX_SOCKETS": lambda scene: scene.context.get(scene.zmq.MAX_SOCKETS),
    "shutdown": lambda scene: scene.context.shutdown(),
    "destroy": lambda scene: scene.context.destroy(0),
}
ENDS = {"close", "close lingering", "shutdown", "destroy"}


def call(name: str, scene: Scene) -> None:
    # RuntimeError: the context is closed, for what is not a call on a socket.
    with contextlib.suppress(scene.zmq.ZMQError, RuntimeError):
        CALLS[name](scene)


def answer(handler: Any) -> None:
    with contextlib.suppress(Exception):
        while True:
            peer, delimiter, *request = handler.recv_multipart()
            handler.send_multipart([peer, delimiter, *reply(request)])


@contextlib.contextmanager
def scene_of(zmq: ModuleType, transport: str, first: str, second: str, folder: Path) -> Iterator[Scene]:
    context = zmq.Context()
    sockets = Sockets(zmq, context)
    binder, connector = (sockets(kind, rcvtimeo=2, sndtimeo=2) for kind in (first, second))
    serving = None
    if transport == "curve":
        public, secret = zmq.curve_keypair()
        binder.curve_server = True
        binder.curve_secretkey = connector.curve_secretkey = secret
        connector.curve_publickey = connector.curve_serverkey = public
        handler = context.socket(zmq.ROUTER)
        handler.bind("inproc://zeromq.zap.01")
        serving = Task(answer, handler)
    where = {"inproc": inproc(), "ipc": f"ipc://{folder}/{next(_numbers)}"}.get(transport, "tcp://127.0.0.1:*")
    endpoint = sockets.join(binder, connector, where)
    with contextlib.suppress(zmq.ZMQError):
        connector.send(b"first", zmq.DONTWAIT)
    yield Scene(zmq, context, binder, connector, endpoint, sockets)
    Task(context.destroy, 0).join()
    if serving is not None:
        serving.join()
    assert context.closed and binder.closed and connector.closed


@pytest.mark.parametrize(
    ("transport", "first", "second"),
    [
        ("tcp", "PULL", "PUSH"),
        ("tcp", "ROUTER", "DEALER"),
        ("ipc", "XPUB", "XSUB"),
        ("inproc", "PAIR", "PAIR"),
        ("inproc", "PUB", "SUB"),
        ("curve", "REP", "REQ"),
    ],
)
def test_each_call_beside_each_other(
    core: ModuleType, tmp_path: Path, transport: str, first: str, second: str
) -> None:
    if transport == "curve" and not core.has("curve"):
        pytest.skip("CURVE is not built in")
    pairs = list(itertools.product(CALLS, CALLS, (False, True)))
    for one, other, is_turned in pairs[len(first) % EVERY :: EVERY]:
        with scene_of(core, transport, first, second, tmp_path) as scene:
            start = threading.Barrier(2)

            def run(name: str, scene: Scene, start: threading.Barrier = start) -> None:
                start.wait(DEADLINE_S)
                call(name, scene)

            for task in [Task(run, one, scene), Task(run, other, scene.turned() if is_turned else scene)]:
                task.join()


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
@pytest.mark.parametrize(
    ("first", "second"), [("PULL", "PUSH"), ("XPUB", "SUB"), ("ROUTER", "DEALER"), ("REP", "REQ"), ("PAIR", "PAIR")]
)
@pytest.mark.parametrize("end", sorted(ENDS))
def test_all_calls_at_once(
    core: ModuleType, tmp_path: Path, first: str, second: str, transport: str, end: str
) -> None:
    names = [name for name in CALLS if name not in ENDS]
    with scene_of(core, transport, first, second, tmp_path) as scene:
        start = threading.Barrier(THREADS)

        def run(seed: int) -> None:
            chosen = random.Random(seed)
            start.wait(DEADLINE_S)
            for _ in range(CALLS_OF_A_THREAD):
                call(chosen.choice(names), scene.turned() if chosen.random() < 0.5 else scene)
            call(end, scene)

        for task in [Task(run, seed) for seed in range(THREADS)]:
            task.join(3 * DEADLINE_S)
