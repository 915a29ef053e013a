"""The gate: token, host names, content type, and what is open to everybody."""

import base64

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from codegym.errors import ConfigError
from codegym.service.serving import TOKEN_VARIABLE, check_exposure, listening, read_token

TOKEN = "a-token-of-enough-characters"


def get(served, path="/metrics", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return served.run(lambda client: client.get(path, headers=headers)).status_code


def test_a_token_lets_its_bearer_through(serve):
    assert get(serve(token=TOKEN), Authorization=f"Bearer {TOKEN}") == 200


def test_a_token_in_the_url_lets_its_bearer_through(serve):
    basic = base64.b64encode(f"codegym:{TOKEN}".encode()).decode()
    assert get(serve(token=TOKEN), Authorization=f"Basic {basic}") == 200


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, "Basic ///",
     "Basic " + base64.b64encode(TOKEN.encode()).decode(), "Bearer \xff"],
)  # fmt: skip
def test_everything_else_is_refused(serve, header):
    headers = [("Authorization", header.encode("latin-1"))] if header else []
    served = serve(token=TOKEN)
    answer = served.run(lambda client: client.get("/metrics", headers=headers))
    assert answer.status_code == 401 and TOKEN not in answer.text
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_request_without_the_token_is_refused_before_its_body_is_read(serve):
    sent = []

    async def parts():
        sent.append(1)
        yield b"{}"

    headers = {"Content-Type": "application/json"}
    answer = serve(token=TOKEN).run(
        lambda client: client.post("/v1/grade", content=parts(), headers=headers)
    )
    assert answer.status_code == 401 and not sent


def test_health_is_open_to_everybody(serve):
    assert get(serve(token=TOKEN), "/healthz") == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80"])
def test_a_local_service_answers_to_the_names_of_this_machine(serve, host):
    assert get(serve(local=True), Host=host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8080", "10.0.0.1", "", "["]
)
def test_a_local_service_answers_to_no_other_name(serve, host):
    assert get(serve(local=True), Host=host) == 403


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_that_a_web_page_may_send_is_refused(serve, kind):
    served = serve()
    headers = {"Content-Type": kind} if kind else {}
    answer = served.run(lambda c: c.post("/v1/grade", content=b"{}", headers=headers))
    assert answer.status_code == 415


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "grader.example", ""])
def test_other_machines_are_not_served_without_a_token(host):
    with pytest.raises(ConfigError, match="without a token"):
        check_exposure(host, "", without_token=False)
    check_exposure(host, TOKEN, without_token=False)
    check_exposure(host, "", without_token=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_is_served_without_a_token(host):
    check_exposure(host, "", without_token=False)


def test_a_token_comes_from_a_file_before_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}-of-the-file\n")
    assert read_token(file) == f"{TOKEN}-of-the-file"


@pytest.mark.parametrize("text", ["short", "", "ein-Wort-mit-Umlaut-ä-darin", "a\nb" * 20])
def test_an_unusable_token_is_refused_and_not_shown(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(ConfigError, match="unusable token") as raised:
        read_token(file)
    assert not text or text not in str(raised.value)


def test_a_token_file_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "nowhere")


def test_a_port_that_is_taken_is_an_error():
    with listening("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="cannot listen"):
        listening("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no such host", 0)])
def test_an_address_that_is_none_is_an_error(host, port):
    with pytest.raises(ConfigError, match="cannot listen"):
        listening(host, port)
