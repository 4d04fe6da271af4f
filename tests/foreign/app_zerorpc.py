"""zerorpc over gevent: calls, streams, exceptions, time-outs, a server that goes away, publisher and subscriber."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import gevent
import zerorpc
from ports import free_port


class Service:
    def add(self, a: int, b: int) -> int:
        return a + b

    @zerorpc.stream
    def count(self, end: int) -> Iterator[int]:
        return iter(range(end))

    def fail(self) -> None:
        raise ValueError("on purpose")

    resting = 0

    def rest(self, seconds: float) -> str:
        Service.resting += 1
        gevent.sleep(seconds)
        return "rested"


def serve(endpoint: str) -> tuple[zerorpc.Server, gevent.Greenlet]:
    server = zerorpc.Server(Service(), heartbeat=1)
    server.bind(endpoint)
    return server, gevent.spawn(server.run)


def calls(endpoint: str) -> None:
    server, running = serve(endpoint)
    client = zerorpc.Client(endpoint, timeout=10, heartbeat=1)
    assert [client.add(i, i) for i in range(500)] == [2 * i for i in range(500)]
    assert list(client.count(5000)) == list(range(5000))
    try:
        client.fail()
        raise AssertionError("no exception")
    except zerorpc.RemoteError as error:
        assert error.name == "ValueError" and error.msg == "on purpose"
    waiting = [gevent.spawn(client.rest, 0.2) for _ in range(50)]
    assert [one.get(timeout=20) for one in waiting] == ["rested"] * 50
    hasty = zerorpc.Client(endpoint, timeout=0.2, heartbeat=None)
    try:
        hasty.rest(5)
        raise AssertionError("no time-out")
    except zerorpc.TimeoutExpired:
        pass
    hasty.close()
    before = Service.resting
    late = gevent.spawn(client.rest, 30)
    with gevent.Timeout(20):
        while Service.resting == before:
            gevent.sleep(0.01)
    server.close()
    running.kill()
    try:
        late.get(timeout=20)
        raise AssertionError("the server's end was not seen")
    except zerorpc.LostRemote:
        pass
    client.close()


def publishing(endpoint: str) -> None:
    got: list[int] = []

    class Listener:
        def tell(self, value: int) -> None:
            got.append(value)

    listener = zerorpc.Subscriber(Listener())
    listener.bind(endpoint)
    running = gevent.spawn(listener.run)
    speaker = zerorpc.Publisher()
    speaker.connect(endpoint)
    with gevent.Timeout(20):
        while not got:
            speaker.tell(-1)
            gevent.sleep(0.05)
        for i in range(300):
            speaker.tell(i)
        while not got or got[-1] != 299:
            gevent.sleep(0.01)
    assert [value for value in got if value >= 0] == list(range(300))
    speaker.close()
    listener.close()
    running.kill()


def main() -> None:
    calls(f"tcp://127.0.0.1:{free_port()}")
    publishing(f"tcp://127.0.0.1:{free_port()}")
    with tempfile.TemporaryDirectory() as folder:
        calls(f"ipc://{folder}/calls")
        publishing(f"ipc://{folder}/news")


if __name__ == "__main__":
    main()
