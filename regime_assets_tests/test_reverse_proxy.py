"""docs/nginx.conf as nginx runs it: who gets through to the servers behind it, and who does not."""

import base64
import http.server
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
EXAMPLE = Path(__file__).parents[1] / "docs" / "nginx.conf"
PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"me:secret").decode()}

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed here")


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the request's path and the headers that say who asks."""

    def do_GET(self) -> None:
        said = f"{self.command} {self.path} {self.headers.get('Host')} {self.headers.get('Authorization') or '-'}"
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The example without TLS, whose certificates are the user's own, on a free port, before an echo."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    behind = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    text = re.sub(r"^\s*ssl_certificate.*$", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    text = re.sub(r"proxy_pass http://127\.0\.0\.1:\d+", f"proxy_pass http://127.0.0.1:{behind.server_port}", text)
    text = text.replace("/etc/nginx/regimes.htpasswd", str(folder / "htpasswd"))
    secret = subprocess.run(["openssl", "passwd", "-apr1", "secret"], capture_output=True, text=True, check=True)
    (folder / "htpasswd").write_text(f"me:{secret.stdout}")
    (folder / "htpasswd").chmod(0o644)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/errors; user root; events {{}}\n"
        f"http {{ access_log off; {folders}\n{text} }}"
    )
    server = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        deadline = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline
            assert server.poll() is None, (folder / "errors").read_text()
            time.sleep(0.05)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": "regimes.example.org"}) as client:
            yield client
    finally:
        server.terminate()
        server.wait(timeout=20)
        behind.shutdown()


def test_nobody_gets_in_without_the_password(proxy: httpx.Client) -> None:
    for host in ("regimes.example.org", "mlflow.regimes.example.org"):
        assert proxy.get("/runs", headers={"Host": host}).status_code == 401
    answer = proxy.get("/runs", headers=PASSWORD)
    assert answer.text == "GET /runs regimes.example.org -", "the password is not handed on"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_another_host_gets_no_answer(proxy: httpx.Client) -> None:
    for host in ("evil.example", "127.0.0.1", "localhost:3000"):
        with pytest.raises(httpx.RemoteProtocolError):
            proxy.get("/", headers={**PASSWORD, "Host": host})


def test_a_mutation_by_a_link_or_from_another_site_is_refused(proxy: httpx.Client) -> None:
    mutation = {"query": "mutation { launchRun }"}
    assert proxy.get("/graphql", params=mutation, headers=PASSWORD).status_code == 405
    foreign = {**PASSWORD, "Origin": "https://evil.example"}
    assert proxy.post("/graphql", json=mutation, headers=foreign).status_code == 403
    own = {**PASSWORD, "Origin": "https://regimes.example.org"}
    assert proxy.post("/graphql", json=mutation, headers=own).text.startswith("POST /graphql")


def test_bodies_are_bounded(proxy: httpx.Client) -> None:
    assert proxy.post("/graphql", content=b"x" * 2_000_000, headers=PASSWORD).status_code == 413
    service = {"Host": "service.regimes.example.org"}
    assert proxy.post("/signal", content=b"x" * 100_000, headers=service).status_code == 413


def test_the_service_gets_its_own_token(proxy: httpx.Client) -> None:
    headers = {"Host": "service.regimes.example.org", "Authorization": "Bearer a-token-of-enough-characters"}
    assert proxy.get("/signal", headers=headers).text.endswith("Bearer a-token-of-enough-characters")
