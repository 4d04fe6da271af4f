"""A distributed locust run: a master and two workers against a local web server."""

from __future__ import annotations

import csv
import http.server
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from ports import free_port

LOCUSTFILE = """
from locust import HttpUser, constant, task

class Visitor(HttpUser):
    wait_time = constant(0.05)

    @task
    def look(self):
        self.client.get("/")
"""


class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "locustfile.py").write_text(LOCUSTFILE)
        locust = [sys.executable, "-m", "locust", "-f", "locustfile.py", "--host", f"http://127.0.0.1:{server.server_port}"]
        where = {"cwd": folder, "env": os.environ | {"GEVENT_SUPPORT": "True"}}
        master = subprocess.Popen(
            [
                *(*locust, "--master", "--headless", "--expect-workers", "2", "-u", "10", "-r", "10", "-t", "5s"),
                *("--master-bind-host", "127.0.0.1", "--master-bind-port", str(port), "--csv", "result"),
            ],
            **where,  # type: ignore[call-overload]
        )
        workers = [
            subprocess.Popen(
                [*locust, "--worker", "--master-host", "127.0.0.1", "--master-port", str(port)],
                **where,  # type: ignore[call-overload]
            )
            for _ in range(2)
        ]
        try:
            assert master.wait(90) == 0
            assert [worker.wait(30) for worker in workers] == [0, 0]
        finally:
            for process in (master, *workers):
                process.kill()
        with (Path(folder) / "result_stats.csv").open() as table:
            total = next(row for row in csv.DictReader(table) if row["Name"] == "Aggregated")
        assert int(total["Request Count"]) > 50 and int(total["Failure Count"]) == 0, total
        print("requests:", total["Request Count"])


if __name__ == "__main__":
    main()
