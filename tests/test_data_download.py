"""Downloads, from a server of our own: kept once, checked, complete or not at all, and clear about failure."""

import hashlib
import http.server
import io
import socket
import sys
import threading

import pytest

import chainrule as cr
from chainrule import folders
from chainrule.data import MNIST, download
from tests.test_data_readers import digits_folder

CONTENT = bytes(range(256)) * 4000
GOOD = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path in its way, and remembers what was asked for."""

    asked: list[str] = []
    files: dict[str, bytes] = {}

    def do_GET(self):
        self.asked.append(self.path)
        if self.path == "/none":
            self.send_error(404)
            return
        content = self.files.get(self.path.rpartition("/")[2], CONTENT)
        self.send_response(200)
        if self.path != "/unsized":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:1000] if self.path == "/short" else content)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    found: list[str] = []
    monkeypatch.setattr(Handler, "asked", found)
    return found


def test_a_file_is_fetched_once_and_checked(address, asked, tmp_path):
    path = download(address + "/a%20file.bin?version=2", GOOD.upper(), tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "a file.bin" and path.read_bytes() == CONTENT
    assert download(address + "/a%20file.bin?version=2", GOOD, path.parent) == path and len(asked) == 1
    path.write_bytes(b"spoiled")
    assert download(address + "/a%20file.bin", folder=path.parent) == path and len(asked) == 1  # nothing to check it by
    assert download(address + "/a%20file.bin", GOOD, path.parent).read_bytes() == CONTENT and len(asked) == 2
    assert download(address + "/unsized", folder=tmp_path, name="other").read_bytes() == CONTENT
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a file.bin", "folder", "new", "other"]


def test_it_is_kept_in_the_cache_folder(address, tmp_path, monkeypatch):
    for platform, variable, rest in (("linux", "XDG_CACHE_HOME", ""), ("win32", "LOCALAPPDATA", ""),
                                     ("darwin", "HOME", "Library/Caches")):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, str(tmp_path / platform))
        assert folders.cache_folder() == tmp_path / platform / rest / "chainrule"
    monkeypatch.setattr(sys, "platform", "linux")
    assert download(address + "/b") == tmp_path / "linux" / "chainrule" / "data" / "b"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folders.cache_folder() == tmp_path / "darwin" / ".cache" / "chainrule"


def test_what_goes_wrong_leaves_nothing_and_says_what_to_do(address, tmp_path):
    with pytest.raises(cr.errors.FileError, match=f"has the SHA-256 {GOOD}, expected was {'0' * 64}"):
        download(address + "/x", "0" * 64, tmp_path)
    with pytest.raises(ConnectionError, match=r"none could not be fetched \(the server answers 404 Not Found\)"):
        download(address + "/none", folder=tmp_path)
    with pytest.raises(ConnectionError, match=rf"the connection ended after 1000 bytes of {len(CONTENT)}|IncompleteRead"):
        download(address + "/short", folder=tmp_path)
    with socket.socket() as free:  # a port where nobody listens
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/pictures.bin"
        with pytest.raises(ConnectionError) as caught:
            download(url, folder=tmp_path, timeout=5)
    assert f"fetch {url} on another machine and put the file at {tmp_path / 'pictures.bin'}" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    for wrong, name, problem in (("file:///etc/hosts", None, "begins with https"), ("x", None, "begins with https"),
                                 (address + "/", None, "'' is no file's name"), (address + "/x", "../x", "no file's name")):
        with pytest.raises(ValueError, match=problem):
            download(wrong, folder=tmp_path, name=name)


def test_progress_is_told_on_a_terminal_only(address, tmp_path, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    download(address + "/quiet", folder=tmp_path)
    assert capsys.readouterr() == ("", "")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    download(address + "/loud", folder=tmp_path)
    lines = terminal.getvalue().split("\r")
    assert lines[1] == "loud: 0.3 of 1.0 MB" and lines[-1].split() == ["loud:", "1.0", "MB"]


def test_pictures_are_fetched_into_their_folder(address, asked, tmp_path, monkeypatch):
    import numpy as np

    digits_folder(tmp_path / "there", np.zeros((2, 28, 28), np.uint8), [4, 2])
    files = {path.name: path.read_bytes() for path in (tmp_path / "there").iterdir()}
    monkeypatch.setattr(Handler, "files", files)
    monkeypatch.setattr(MNIST, "address", address + "/mnist/")
    monkeypatch.setattr(MNIST, "files", {name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert MNIST(download=True).tensors[1].tolist() == [4, 2] and len(asked) == 2
    assert MNIST().root == tmp_path / "chainrule" / "data" / "MNIST" and len(asked) == 2
