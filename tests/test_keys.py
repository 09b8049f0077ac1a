"""Keys of storage: empty ones are as if they were not there, and only a push gets those that write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mainline import dvc, keys
from mainline.compare.scoring import environment
from mainline.errors import UserError

WRITE = {f"MAINLINE_WRITE_{name}": f"write-{name}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}


def test_empty_names_are_taken_out_and_others_stay() -> None:
    given = dict.fromkeys(keys.EMPTY, "") | {"AWS_ACCESS_KEY_ID": "a", "HOME": ""}
    keys.prepare(given)
    assert given == {"AWS_ACCESS_KEY_ID": "a", "HOME": ""}


@pytest.mark.parametrize("name", [name for names in keys.SECRETS.values() for name in names] + list(keys.VARIABLES))
def test_every_name_that_a_workflow_gives_may_be_empty(name: str) -> None:
    given = {name: ""}
    keys.prepare(given)
    assert given == {}


def test_botocore_itself_does_not_ignore_an_empty_region(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were this to change, nothing would be lost; until then the empty name must go."""
    import botocore.session

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "")
    with pytest.raises(ValueError, match="Invalid endpoint"):
        botocore.session.Session().create_client("s3")
    keys.prepare(os.environ)
    assert botocore.session.Session().create_client("s3").meta.endpoint_url == "https://s3.amazonaws.com"


def test_google_gets_its_key_as_a_file_that_goes_with_the_process() -> None:
    code = (
        "import os, stat; from mainline import keys; keys.prepare();"
        " path = os.environ['GOOGLE_APPLICATION_CREDENTIALS'];"
        "print(path, oct(stat.S_IMODE(os.stat(path).st_mode)), open(path).read(), keys.DATA in os.environ)"
    )
    given = os.environ | {keys.DATA: '{"type":"service_account"}'}
    done = subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True)
    path, mode, text, left = done.stdout.split()
    assert (mode, text, left) == ("0o600", '{"type":"service_account"}', "False")
    assert not Path(path).exists()


def test_a_key_that_is_no_json_is_named_and_not_shown() -> None:
    with pytest.raises(UserError) as stopped:
        keys.prepare({keys.DATA: "secret-text"})
    assert keys.DATA in str(stopped.value) and "secret-text" not in str(stopped.value)


def test_only_a_push_gets_the_keys_that_write() -> None:
    given = WRITE | {"AWS_ACCESS_KEY_ID": "read", "AWS_SESSION_TOKEN": "of-the-other", "PATH": "x"}
    assert keys.environment_of(given, push=False) == {
        "AWS_ACCESS_KEY_ID": "read", "AWS_SESSION_TOKEN": "of-the-other", "PATH": "x",
    }  # fmt: skip
    assert keys.environment_of(given, push=True) == {
        "AWS_ACCESS_KEY_ID": "write-AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY": "write-AWS_SECRET_ACCESS_KEY",
        "PATH": "x",
    }  # fmt: skip
    own = {"AWS_ACCESS_KEY_ID": "one for all", "AWS_SESSION_TOKEN": "its"}
    assert keys.environment_of(own, push=True) == own


@pytest.mark.parametrize(("verb", "key"), [("push", "write-AWS_ACCESS_KEY_ID"), ("pull", "read"), ("status", "read")])
def test_dvc_is_given_them_so(verb: str, key: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(dvc.child, "run", lambda *_, environment, **__: seen.update(environment))
    for name, value in (WRITE | {"AWS_ACCESS_KEY_ID": "read"}).items():
        monkeypatch.setenv(name, value)
    dvc.run([verb], tmp_path, 1)
    assert seen["AWS_ACCESS_KEY_ID"] == key
    assert not [name for name in seen if name.startswith(keys.PREFIX)]


def test_no_stage_and_no_other_commit_gets_a_key_that_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in keys.WRITE:
        monkeypatch.setenv(name, "secret")
    assert not set(keys.WRITE) & set(environment(tmp_path))
