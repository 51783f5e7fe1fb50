from __future__ import annotations

import socket
import sys
from pathlib import Path

import httpx
import pytest

from sam2_plugins.labelstudio_backend.local_server import LocalServer

PROGRAM = f"""#!{sys.executable}
import http.server, socket, sys

port = int(sys.argv[sys.argv.index("--port") + 1])
while not socket.socket().connect_ex(("127.0.0.1", port)):
    print(f"* Port {{port}} is in use.\\n* Trying to start at {{port + 1}}", flush=True)
    port += 1

class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[sys.argv.index("--host") + 1].encode())

http.server.HTTPServer(("127.0.0.1", port), Pages).serve_forever()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_a_server_whose_port_another_program_has_is_started_on_a_free_one(tmp_path: Path):
    """Label Studio itself goes on to the next port, with the old one in its pages."""
    program = tmp_path / "label-studio"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with LocalServer(program, tmp_path / "data", port=taken) as server:
            assert server.port != taken
            assert httpx.get(server.url, trust_env=False).text == server.url
