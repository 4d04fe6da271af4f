"""A name server that takes its time. getaddrinfo() is replaced in a process of its own: it waits for a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import DEADLINE_S, PROJECT

# The name "slow.test" is 127.0.0.1 as soon as the file is there, "never.test" is never found; both wait for it.
REPLACEMENT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    char begun[4096];
    real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (host == NULL || strstr(host, ".test") == NULL) return real(host, service, hints, found);
    if (hints != NULL && hints->ai_flags & AI_NUMERICHOST) return EAI_NONAME;
    snprintf(begun, sizeof begun, "%s.begun", getenv("ANSWER_FILE"));
    fclose(fopen(begun, "w"));
    while (access(getenv("ANSWER_FILE"), F_OK) != 0) usleep(1000);
    if (strcmp(host, "never.test") == 0) return EAI_NONAME;
    return real("127.0.0.1", service, hints, found);
}
"""

COMMON = """
import os, sys
from pathlib import Path
import zmqcore as zmq
from tests.support import wait_until

answer = Path(os.environ["ANSWER_FILE"])
begun = Path(f"{answer}.begun")
context = zmq.Context()

def socket(kind, **options):
    made = context.socket(kind)
    for name, value in {"linger": 0, "rcvtimeo": 10000, "sndtimeo": 10000, **options}.items():
        setattr(made, name, value)
    return made

server = socket(zmq.PULL)
server.bind("tcp://127.0.0.1:*")
port = server.last_endpoint.decode().rpartition(":")[2]
client = socket(zmq.PUSH, reconnect_ivl=10)

def chat():
    push, pull = socket(zmq.PUSH), socket(zmq.PULL)
    pull.bind("tcp://127.0.0.1:*")
    push.connect(pull.last_endpoint.decode())
    push.send(b"past it")
    assert pull.recv() == b"past it"
"""

SCRIPTS = {
    "others go on": """
client.connect(f"tcp://slow.test:{port}")
wait_until(begun.exists)
chat()
client.send(b"queued")
answer.touch()
assert server.recv() == b"queued"
client.send(b"and more")
assert server.recv() == b"and more"
""",
    "both families": """
client.ipv6 = 1
client.connect(f"tcp://slow.test:{port}")
answer.touch()
client.send(b"mapped")
assert server.recv() == b"mapped"
""",
    "what is sent lingers": """
client.linger = 10000
client.connect(f"tcp://slow.test:{port}")
client.send(b"last words")
wait_until(begun.exists)
client.close()
answer.touch()
assert server.recv() == b"last words"
""",
    "nobody waits for the answer": """
client.connect(f"tcp://slow.test:{port}")
wait_until(begun.exists)
client.disconnect(f"tcp://slow.test:{port}")
client.connect(f"tcp://slow.test:{port}")
client.close()
server.close()
context.term()

def pipes():
    return [fd for fd in Path("/proc/self/fd").iterdir() if int(fd.name) > 2 and fd.exists() and fd.is_fifo()]

assert len(pipes()) == 4
answer.touch()
wait_until(lambda: not pipes())
""",
    "the process ends meanwhile": """
client.connect(f"tcp://slow.test:{port}")
wait_until(begun.exists)
""",
    "a name that is not there is tried again": """
monitor = client.get_monitor_socket(zmq.EVENT_ALL)
client.connect("tcp://never.test:5555")
answer.touch()
for _ in range(2):
    event = monitor.recv_multipart()
    assert int.from_bytes(event[0][:2], sys.byteorder) == zmq.EVENT_CONNECT_RETRIED
chat()
""",
    "more names than threads": """
many = [socket(zmq.PUSH) for _ in range(32)]
for each in many:
    each.connect(f"tcp://slow.test:{port}")
    each.send(b"x")
answer.touch()
client.connect(f"tcp://slow.test:{port}")
client.send(b"x")
assert [server.recv() for _ in range(33)] == [b"x"] * 33
""",
    "unbinding by a name": """
import threading
thread = threading.Thread(target=server.unbind, args=[f"tcp://slow.test:{port}"])
client.connect(f"tcp://127.0.0.1:{port}")
client.send(b"before")
assert server.recv() == b"before"
thread.start()
wait_until(begun.exists)
client.send(b"meanwhile")
assert server.recv() == b"meanwhile"
answer.touch()
thread.join(10)
assert not thread.is_alive()
try:
    server.unbind(f"tcp://127.0.0.1:{port}")
except zmq.ZMQError as error:
    assert error.errno == 2
else:
    raise AssertionError("still bound")
""",
    "closed while it disconnects": """
import threading
errors = []

def disconnect():
    try:
        client.disconnect(f"tcp://slow.test:{port}")
    except zmq.ZMQError as error:
        errors.append(error.errno)

client.connect(f"tcp://127.0.0.1:{port}")
thread = threading.Thread(target=disconnect)
thread.start()
wait_until(begun.exists)
client.close()
server.close()
answer.touch()
thread.join(10)
assert not thread.is_alive() and errors == [2]
context.term()
""",
    "the proxy has a name": """
from tests.raw_peer import RawListener
listener = RawListener()
client.socks_proxy = b"slow.test:" + listener.endpoint.rpartition(":")[2].encode()
client.connect(f"tcp://other.test:{port}")
wait_until(begun.exists)
answer.touch()
peer = listener.accept()
peer.expect(b"\\5\\1\\0")
peer.send(b"\\5\\0")
peer.expect(b"\\5\\1\\0\\3\\x0aother.test")
""",
}


@pytest.fixture(scope="module")
def replacement(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that goes before libc."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs a C compiler and LD_PRELOAD")
    directory = tmp_path_factory.mktemp("names")
    (directory / "names.c").write_text(REPLACEMENT)
    library = directory / "names.so"
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(directory / "names.c"), "-ldl"]
    subprocess.run(command, check=True, timeout=60)
    return library


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_slow_name_server_holds_nobody_up(replacement: Path, tmp_path: Path, name: str) -> None:
    environment = dict(
        os.environ,
        # Behind a sanitizer, which has to come first.
        LD_PRELOAD=" ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(replacement)])),
        ANSWER_FILE=str(tmp_path / "answer"),
        PYTHONPATH=os.pathsep.join([str(PROJECT), *filter(None, sys.path)]),
    )
    # Scripts that leave with sockets open must not wait for them.
    script = COMMON + SCRIPTS[name] + "\nsys.stdout.flush()\nos._exit(0)\n"
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=3 * DEADLINE_S)
