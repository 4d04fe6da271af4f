"""A Jupyter kernel runs code, streams output, is interrupted and restarts."""

from __future__ import annotations

import threading
from typing import Any

from jupyter_client import KernelManager


def executed(client: Any, code: str) -> tuple[str, str]:
    """What the code writes (or the name of its exception), and the status of its reply."""
    number = client.execute(code)
    written = []
    while True:
        message = client.get_iopub_msg(timeout=30)
        if message["parent_header"].get("msg_id") != number:
            continue
        content = message["content"]
        if message["msg_type"] == "stream":
            written.append(content["text"])
        elif message["msg_type"] == "error":
            written.append(content["ename"])
        elif message["msg_type"] == "status" and content["execution_state"] == "idle":
            break
    return "".join(written), client.get_shell_msg(timeout=30)["content"]["status"]


def main() -> None:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        lines = "".join(f"{i}\n" for i in range(200))
        assert executed(client, "for i in range(200): print(i, flush=True)") == (lines, "ok")
        threading.Timer(1, manager.interrupt_kernel).start()
        assert executed(client, "import threading\nthreading.Event().wait(60)") == ("KeyboardInterrupt", "error")
        manager.restart_kernel(now=False)
        client.wait_for_ready(timeout=60)
        assert executed(client, "print(6 * 7)") == ("42\n", "ok")
    finally:
        client.stop_channels()
        manager.shutdown_kernel()


if __name__ == "__main__":
    main()
