"""`https://`: whole, resumed, refused and never ending, against a real server."""

from __future__ import annotations

import hashlib
import os
import resource
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.remote.conftest import LIMITS
from tests.remote.servers import Fault, Web, serving
from validator.errors import CannotJudgeError, ConfigurationError
from validator.remote import Fetcher

ROOT = Path(__file__).resolve().parents[2]
CONTENT = hashlib.sha256(b"weights").digest() * 10_000  # 320 kB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def ranges(web: Web) -> list[tuple[str | None, str | None]]:
    """The ranges that were asked for."""
    return [(each.headers.get("Range"), each.headers.get("If-Range")) for each in web.requests]


def test_a_file_is_kept_by_its_digest(web: Web, fetcher: Fetcher, lines: list[str]) -> None:
    web.files["/models/digits.keras"] = CONTENT
    fetched = fetcher.fetch(f"{web.url}/models/digits.keras", None, "model m: artifact")
    assert fetched.path == fetcher.folder / "files" / DIGEST / "digits.keras"
    assert (fetched.path.read_bytes(), fetched.sha256, fetched.size) == (CONTENT, DIGEST, len(CONTENT))
    assert not fetched.pinned
    assert lines == [f"fetching {web.url}/models/digits.keras"]


def test_what_is_pinned_and_kept_needs_no_network(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m")
    web.requests.clear()
    assert fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m").pinned
    assert web.requests == []


def test_what_is_not_pinned_is_asked_for_and_not_sent_again(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    address = f"{web.url}/m.keras"
    fetcher.fetch(address, None, "m")
    fetcher.fetch(address, None, "m")
    assert [each.headers.get("If-None-Match") is not None for each in web.requests] == [False, True]
    web.files["/m.keras"] = b"another"
    assert fetcher.fetch(address, None, "m").path.read_bytes() == b"another"


def test_a_kept_file_that_was_changed_is_fetched_again(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    path = fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m").path
    assert not os.stat(path).st_mode & 0o222  # a worker has no reason to write into it
    path.chmod(0o644)
    path.write_bytes(b"planted")
    assert fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m").path.read_bytes() == CONTENT


def test_a_cut_connection_is_resumed(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    web.faults = [Fault(cut=100 * 1024), Fault(cut=50 * 1024)]
    assert fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m").sha256 == DIGEST
    etag = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert ranges(web) == [(None, None), ("bytes=102400-", etag), ("bytes=153600-", etag)]


def test_the_next_run_goes_on_where_a_cut_one_stopped(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    web.faults = [Fault(cut=100 * 1024), Fault(times=4, cut=0)]
    with pytest.raises(CannotJudgeError, match=r"m\.keras breaks the connection; check the network"):
        fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m")
    web.requests.clear()
    assert fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m").sha256 == DIGEST
    assert [span for span, _ in ranges(web)] == ["bytes=102400-"]


def test_a_file_that_changed_meanwhile_is_not_mixed(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    web.faults = [Fault(cut=100 * 1024), Fault(times=4, cut=0)]
    with pytest.raises(CannotJudgeError):
        fetcher.fetch(f"{web.url}/m.keras", None, "m")
    web.files["/m.keras"] = CONTENT[::-1]
    assert fetcher.fetch(f"{web.url}/m.keras", None, "m").path.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("fault", [Fault(cut=100 * 1024, etag=False), Fault(cut=100 * 1024)])
def test_a_server_without_etags_or_ranges_sends_all_again(web: Web, fetcher: Fetcher, fault: Fault) -> None:
    web.files["/m.keras"] = CONTENT
    web.faults = [fault, Fault(etag=fault.etag, ranges=False)]
    assert fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m").sha256 == DIGEST


def test_a_busy_server_is_asked_again(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    web.faults = [Fault(status=503), Fault(status=429)]
    assert fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m").sha256 == DIGEST


@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        (Fault(status=404), ConfigurationError, "answers 404: there is no such file; correct the address"),
        (Fault(status=403), ConfigurationError, "answers 403: access is refused; add the host to ~/.netrc"),
        (Fault(status=401), ConfigurationError, "answers 401: access is refused; add the host to ~/.netrc"),
        (Fault(status=418), ConfigurationError, "answers 418; correct the address"),
        (Fault(times=9, status=500), CannotJudgeError, "answers 500; check the network and run again"),
        (Fault(times=9, announced=7), CannotJudgeError, "breaks the connection; check the network"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    web: Web, fetcher: Fetcher, fault: Fault, error: type[Exception], sentence: str
) -> None:
    web.files["/m.keras"] = CONTENT
    web.faults = [fault]
    with pytest.raises(error) as raised:
        fetcher.fetch(f"{web.url}/m.keras", None, "model m: artifact")
    assert str(raised.value).startswith(f"model m: artifact: {web.url}/m.keras {sentence}")
    assert "\n" not in str(raised.value)


def test_another_digest_names_both(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    with pytest.raises(ConfigurationError) as raised:
        fetcher.fetch(f"{web.url}/m.keras", "0" * 64, "model m: artifact")
    assert f"has the SHA-256 {DIGEST}, and validator.yml pins {'0' * 64}" in str(raised.value)
    assert "keras-validator pin" in str(raised.value)


@pytest.mark.parametrize(
    ("address", "error", "sentence"),
    [
        ("http://127.0.0.1:9/m.keras", CannotJudgeError, "has a host that refuses connections"),
        ("http://nowhere.invalid/m.keras", CannotJudgeError, "has a host that cannot be resolved"),
        ("https://example.com/", ConfigurationError, "names a folder, which the web does not list"),
        ("http://[x/m.keras", ConfigurationError, "is no URL"),
        ("http://:80/m.keras", ConfigurationError, "is no URL"),
    ],
)
def test_addresses_that_lead_nowhere(
    fetcher: Fetcher, address: str, error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as raised:
        fetcher.fetch(address, None, "m")
    assert f"{address} {sentence}" in str(raised.value)


def test_a_server_without_tls(web: Web, fetcher: Fetcher) -> None:
    with pytest.raises(ConfigurationError, match="has a server that speaks no TLS; correct the address"):
        fetcher.fetch(web.url.replace("http:", "https:") + "/m.keras", None, "m")


def test_a_certificate_of_nobody(tmp_path: Path, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=localhost"
    )
    command += " -addext subjectAltName=DNS:localhost"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with serving(Web(files={"/m.keras": CONTENT}), context) as web:
        address = web.url.replace("http://127.0.0.1", "https://localhost") + "/m.keras"
        with pytest.raises(ConfigurationError, match="a certificate that is not trusted; name its authority"):
            fetcher.fetch(address, None, "m")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
        assert fetcher.fetch(address, None, "m").sha256 == DIGEST


def test_a_slow_server_is_left_in_time(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    web.faults = [Fault(slow=0.05)]
    hurried = replace(fetcher, limits=replace(LIMITS, seconds=0.5))
    with pytest.raises(
        CannotJudgeError, match=r"not fetched within 0\.5 s \(limits\.fetch_seconds\); the next run"
    ):
        hurried.fetch(f"{web.url}/m.keras", None, "m")
    assert fetcher.fetch(f"{web.url}/m.keras", DIGEST, "m").sha256 == DIGEST
    assert ranges(web)[-1][0] is not None


def test_more_than_is_allowed_is_not_fetched(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    small = replace(fetcher, limits=replace(LIMITS, size=100_000))
    with pytest.raises(ConfigurationError, match=r"GiB; raise limits\.fetch_gib if that is meant"):
        small.fetch(f"{web.url}/m.keras", None, "m")


def test_a_disk_that_takes_no_more(web: Web, tmp_path: Path) -> None:
    web.files["/m.keras"] = CONTENT
    script = (
        "from pathlib import Path\nfrom validator.remote import *\nimport sys\n"
        "fetcher = Fetcher(Path(sys.argv[2]), Limits(60, 1 << 30), print)\n"
        "try: fetcher.fetch(sys.argv[1], None, 'model m: artifact')\n"
        "except Exception as error: print(int(error.exit_code), error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, f"{web.url}/m.keras", str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == (
        f"3 model m: artifact: {web.url}/m.keras cannot be written to {tmp_path}: File too large; "
        "free some space: the next run goes on from there"
    )


def test_credentials_of_an_address_are_used_and_never_shown(
    web: Web, fetcher: Fetcher, lines: list[str]
) -> None:
    web.files["/m.keras"] = CONTENT
    web.login = "Basic YW5uOmdlaGVpbQ=="
    address = web.url.replace("//", "//ann:geheim@") + "/m.keras?X-Signature=s3cr3t"
    fetched = fetcher.fetch(address, None, "m")
    assert fetched.sha256 == DIGEST
    web.faults = [Fault(status=403)]
    with pytest.raises(ConfigurationError) as raised:
        fetcher.fetch(address, "0" * 64, "m")
    written = "".join(path.read_text() for path in fetcher.folder.rglob("*.json"))
    for text in (str(raised.value), "".join(lines), written, repr(fetched)):
        assert "geheim" not in text
        assert "s3cr3t" not in text
    assert "http://***@127.0.0.1" in str(raised.value)


def test_a_login_of_netrc(web: Web, fetcher: Fetcher) -> None:
    web.files["/m.keras"] = CONTENT
    web.login = "Basic YW5uOmdlaGVpbQ=="
    netrc = Path(os.environ["HOME"], ".netrc")
    netrc.write_text("machine 127.0.0.1 login ann password geheim\n")
    netrc.chmod(0o600)
    assert fetcher.fetch(f"{web.url}/m.keras", None, "m").sha256 == DIGEST
