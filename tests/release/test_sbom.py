from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.release import sbom

ROOT = Path(__file__).parents[2]
WHEN = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
LOCK = """# a comment
alpha==1.0 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
beta[extra]==2.0rc1 ; python_full_version < '3.12' \\
    --hash=sha256:{a}
""".format(a="a" * 64, b="b" * 64)
PARTS = {"model": "c" * 64, "code": "d" * 64}


def render(release: str = "bank-1", lock: str = LOCK) -> str:
    batches = [{"file": "2009-01.csv", "sha256": "e" * 64, "rows": 7}]
    return sbom.render(release, WHEN, PARTS, sbom.packages(lock), batches, {"task": "binary"})


def test_the_lock_is_read_whole() -> None:
    assert sbom.packages(LOCK) == [
        sbom.Package("alpha", "1.0", "", ("a" * 64, "b" * 64)),
        sbom.Package("beta", "2.0rc1", "python_full_version < '3.12'", ("a" * 64,)),
    ]
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    found = sbom.packages(text)
    assert len(found) == text.count("==") - text.count("=='") - text.count(" == ")
    assert sum(len(item.hashes) for item in found) == text.count("--hash=")


@pytest.mark.parametrize("line", ["alpha>=1.0", "alpha==1.0", "alpha==1.0 --hash=md5:00", "-e ."])
def test_a_line_without_version_or_hash_is_refused(line: str) -> None:
    with pytest.raises(UserError, match="no version or no hash"):
        sbom.packages(line + "\n")


def test_it_names_packages_model_and_data_by_hash() -> None:
    bill = json.loads(render())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    parts = {item["name"]: item for item in bill["components"]}
    assert parts["model"]["type"] == "machine-learning-model"
    assert parts["model"]["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert parts["2009-01.csv"]["hashes"] == [{"alg": "SHA-256", "content": "e" * 64}]
    assert parts["alpha"]["purl"] == "pkg:pypi/alpha@1.0"
    (files,) = parts["alpha"]["externalReferences"]
    assert {item["content"] for item in files["hashes"]} == {"a" * 64, "b" * 64}
    assert parts["beta"]["properties"] == [{"name": "mainline:marker", "value": "python_full_version < '3.12'"}]
    assert bill["metadata"]["component"]["version"] == "bank-1"
    depends = {item["ref"]: set(item.get("dependsOn", ())) for item in bill["dependencies"]}
    assert depends["model"] == {"data:2009-01.csv"}
    assert "model" in depends["release:bank-1"]


def test_equal_releases_have_equal_bills_and_others_another_serial_number() -> None:
    assert render() == render()
    assert json.loads(render())["serialNumber"] != json.loads(render("bank-2"))["serialNumber"]


def test_it_is_held_against_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    from cyclonedx.output.json import JsonV1Dot6

    whole = JsonV1Dot6.output_as_string
    monkeypatch.setattr(JsonV1Dot6, "output_as_string", lambda *a, **k: whole(*a, **k).replace('"data"', '"dada"'))
    with pytest.raises(UserError, match="does not fit CycloneDX 1.6"):
        render()


def test_the_bill_of_a_real_release_has_every_locked_package(built: Any) -> None:
    bill = json.loads((built.only().path / "sbom.cdx.json").read_text())
    libraries = {(item["name"], item["version"]) for item in bill["components"] if item["type"] == "library"}
    listed = sbom.packages((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    assert libraries == {(item.name, item.version) for item in listed}
    assert "://" not in json.dumps(bill["components"])
