from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from mainline.config import Kubernetes
from mainline.rollout.kubernetes.flatten import flatten
from mainline.rollout.kubernetes.plan import Image, Plan, Service, Target
from mainline.rollout.kubernetes.render import tree

STABLE = Image("shop.example/bank@sha256:" + "a" * 64, "bank-aaaaaaaaaaaa")
CANDIDATE = Image("shop.example/bank@sha256:" + "b" * 64, "bank-bbbbbbbbbbbb")
Find = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def bank() -> Target:
    return Target("bank", Plan(), Service(), Kubernetes())


@pytest.fixture(scope="session")
def files(bank: Target) -> dict[str, str]:
    return tree(bank, STABLE, CANDIDATE)


@pytest.fixture(scope="session")
def rendered(files: dict[str, str]) -> list[dict[str, Any]]:
    return flatten(files, "overlays/production")


@pytest.fixture
def production(rendered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Production with a candidate in shadow: every manifest there is; the test may break it."""
    return copy.deepcopy(rendered)


@pytest.fixture
def find(production: list[dict[str, Any]]) -> Find:
    def one(kind: str, name: str = "bank") -> dict[str, Any]:
        return next(item for item in production if (item["kind"], item["metadata"]["name"]) == (kind, name))

    return one
