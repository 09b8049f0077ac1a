from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline.rollout.kubernetes import crds

FOLDER = Path(__file__).parents[2] / "deploy/argocd"


def application(environment: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / f"{environment}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_it_follows_what_git_says_of_this_environment(environment: str) -> None:
    found = application(environment)
    assert crds.faults(found) == []
    assert found["spec"]["source"]["path"] == f"kubernetes/{environment}/overlays/{environment}"
    assert found["spec"]["destination"]["namespace"].endswith(f"-{environment}")
    assert found["spec"]["source"]["targetRevision"] == "deploy"


def test_it_leaves_the_weights_to_argo_rollouts() -> None:
    spec = application("production")["spec"]
    (ignored,) = spec["ignoreDifferences"]
    assert (ignored["group"], ignored["kind"]) == ("gateway.networking.k8s.io", "HTTPRoute")
    assert ignored["jqPathExpressions"] == [".spec.rules[].backendRefs[].weight"]
    assert {"RespectIgnoreDifferences=true", "ApplyOutOfSyncOnly=true"} <= set(spec["syncPolicy"]["syncOptions"])


@pytest.mark.parametrize(
    ("room", "key", "value"),
    [("source", "targetRevision", "main"), ("syncPolicy", "syncOptions", ["RespectIgnoreDifference=true"]),
     ("source", "branch", "deploy")],
)  # fmt: skip
def test_a_planted_fault_is_found(room: str, key: str, value: object) -> None:
    found = application("production")
    found["spec"][room][key] = value
    assert crds.faults(found)
