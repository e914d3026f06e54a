"""`--local` stores no secret, and follows no link; see sessions/plan.txt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import SECRETS, File, Shell, expect

URL = "https://hooks.example.com/x?key=" + "0123456789abcdef"
FOLDER = ".webhooks-local"


@pytest.fixture
def applied(shell: Shell, file: File, tmp_path: Path) -> Path:
    """Return the folder of `--local` after an apply with three secrets, one of them a URL."""
    file(**{"https://pager.example.com/x": "{env: URL}"})
    expect(shell("apply", "--local", "--yes", URL=URL, **SECRETS), 0, "2 created")
    return tmp_path / FOLDER


def test_secrets_are_not_stored(shell: Shell, applied: Path) -> None:
    """No file contains a secret, and only the user can read the webhooks, new or not."""
    database = applied / "webhooks.db"
    assert database.stat().st_mode & 0o777 == 0o600
    database.chmod(0o644)
    assert shell("status", "--local").code == 0
    assert database.stat().st_mode & 0o777 == 0o600
    for path in applied.iterdir():
        data = path.read_bytes()
        for secret in (*SECRETS.values(), URL, URL.partition("=")[2]):
            assert secret.encode() not in data, path.name


@pytest.mark.parametrize("link", [FOLDER, f"{FOLDER}/webhooks.db", "my.db"])
@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_link_is_not_followed(
    shell: Shell, file: File, tmp_path: Path, link: str, content: bytes | None
) -> None:
    """A link in the repository leads to no file that is created, changed or made private."""
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere/webhooks.db"
    if content is not None:
        target.write_bytes(content)
        target.chmod(0o644)
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(target.parent if link == FOLDER else target)
    file()
    option = ("--local-db", link) if link == "my.db" else ("--local",)
    assert shell("plan", *option).code == 64
    assert list(target.parent.iterdir()) == ([] if content is None else [target])
    if content is not None:
        assert (target.stat().st_mode & 0o777, target.read_bytes()) == (0o644, content)
