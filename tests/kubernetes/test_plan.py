from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pydantic import ValidationError

from mainline.config import Kubernetes, Settings, load_settings
from mainline.errors import UserError
from mainline.rollout.kubernetes.flatten import flatten
from mainline.rollout.kubernetes.plan import Image, Plan, Service, Target, _plan, _service, placeholder, target
from mainline.rollout.kubernetes.render import tree

ROOT = Path(__file__).parents[2]
HEX = "0" * 64


def production(goal: Target):
    manifests = flatten(tree(goal, placeholder(goal.name)), "overlays/production")
    return {(item["kind"], item["metadata"]["name"]): item["spec"] for item in manifests if "spec" in item}


@pytest.mark.parametrize(
    "reference", ["bank:1", "bank", f"bank@sha256:{'0' * 63}", f"Bank@sha256:{HEX}", "", "bank:1@sha256:x"]
)
def test_an_image_without_a_digest_is_refused(reference: str) -> None:
    with pytest.raises(UserError, match="not named by digest"):
        Image(reference, "bank-1")


@pytest.mark.parametrize("reference", [f"shop.example:5000/a/bank@sha256:{HEX}", f"bank@sha256:{HEX}"])
def test_a_digest_is_accepted(reference: str) -> None:
    assert Image(reference, "bank-1").reference == reference


@pytest.mark.parametrize("release", ["", "Bank", "bank-", "a" * 64])
def test_a_release_that_could_be_no_label_is_refused(release: str) -> None:
    with pytest.raises(UserError, match="is no release id"):
        Image(f"bank@sha256:{HEX}", release)


@pytest.mark.parametrize("weights", [(), (100,), (5, 1, 100), (0, 100), (1, 5), (50, 50, 100)])
def test_weights_that_do_not_rise_to_100_are_refused(weights: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="do not rise"):
        Plan(weights=weights)


def test_a_name_that_kubernetes_refuses_is_refused_here(bank) -> None:
    with pytest.raises(UserError, match="cannot name things"):
        dataclasses.replace(bank, name="Bank!")


def test_what_other_rooms_of_params_yaml_say_is_read() -> None:
    settings = load_settings(ROOT / "params.yaml")
    rooms = {"rollout": "plan", "serve": "service"}
    expected = {
        "plan": Plan((5, 100), 7, 60, None, 3.5, 2000, 0.1, 9),
        "service": Service(3, 7, "KEY"),
    }

    class Other(Settings):
        rollout: dict[str, object] = {
            "mode": "canary", "weights": [5, 100], "requests": 7, "seconds": 59.5,
            "analysis": {"latency_ratio": None, "latency_floor_ms": 3.5,
                         "latency_requests": 2000, "hard_error_rate": 0.1, "hard_errors": 9},
        }  # fmt: skip
        serve: dict[str, object] = {"timeout_seconds": 2.5, "drain_seconds": 7, "api_key_env": "KEY",
                                    "log": {"folder": ".mainline/log"}}  # fmt: skip

    plain = {name: getattr(settings, name) for name in type(settings).model_fields if name not in rooms}
    goal = target(Other(**plain))
    assert {"plan": goal.plan, "service": goal.service} == expected
    with pytest.raises(UserError, match="rollout.mode blue_green"):
        target(Other(**plain, rollout={"mode": "blue_green"}))


def test_the_defaults_are_those_of_the_rooms_that_they_stand_for() -> None:
    fields = Settings.model_fields
    if "rollout" in fields:
        assert Plan() == _plan(fields["rollout"].default.model_dump())
    if "serve" in fields:
        assert Service() == _service(fields["serve"].default.model_dump())


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"storage_cidrs": ["anywhere"]}, "does not appear to be an IPv4 or IPv6 network"),
        ({"min_replicas": 7}, "min_replicas is above max_replicas"),
        ({"log": "s3://logs/bank"}, "storage_cidrs lets the pods reach none"),
    ],
)
def test_a_cluster_that_does_not_fit_together(values, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Kubernetes(**values)


def test_pods_outlive_what_they_have_accepted(bank) -> None:
    spec = production(dataclasses.replace(bank, service=Service(timeout=30, drain=90)))["Deployment", "bank"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 10 + 90 + 30 + 10


def test_a_key_comes_from_a_secret(bank) -> None:
    spec = production(dataclasses.replace(bank, service=Service(key="API_KEY")))["Deployment", "bank"]
    env = {item["name"]: item for item in spec["template"]["spec"]["containers"][0]["env"]}
    assert env["API_KEY"] == {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "bank-api-key", "key": "key"}}}


def test_a_log_in_an_object_store_opens_that_way_out_and_no_other(bank) -> None:
    assert ("NetworkPolicy", "bank-out") not in production(bank)
    cluster = bank.cluster.model_copy(update={"log": "s3://logs/bank", "storage_cidrs": ["192.0.2.0/24"]})
    out = production(dataclasses.replace(bank, cluster=cluster))["NetworkPolicy", "bank-out"]
    assert out["egress"][1] == {
        "to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}],
        "ports": [{"protocol": "TCP", "port": 443}],
    }
    settings = load_settings(ROOT / "params.yaml").model_copy(update={"kubernetes": cluster})
    if hasattr(settings, "serve"):
        with pytest.raises(UserError, match="serve.log.folder"):
            target(settings)


def test_what_is_not_judged_is_not_asked(bank) -> None:
    whole = production(bank)
    plain = production(dataclasses.replace(bank, scores=False, plan=Plan(latency_ratio=None)))
    names = {item["name"] for item in whole["AnalysisTemplate", "bank-step"]["metrics"]}
    assert names - {item["name"] for item in plain["AnalysisTemplate", "bank-step"]["metrics"]} == {"scores"}
    assert ("AnalysisTemplate", "bank-latency") in whole and ("AnalysisTemplate", "bank-latency") not in plain
