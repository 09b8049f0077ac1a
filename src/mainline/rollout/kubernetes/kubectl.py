"""Asking the cluster, through the user's own ``kubectl``: contexts, keys and plugins that log in are its business."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from mainline import child
from mainline.errors import UserError
from mainline.github import KEYS

KINDS = "rollouts.argoproj.io,replicasets.apps,analysisruns.argoproj.io"
SECONDS = 60.0


def ask(namespace: str, program: str = "kubectl") -> Mapping[str, Any]:
    """Return all Rollouts, ReplicaSets and AnalysisRuns of ``namespace`` as one list. Nothing is changed there.

    Raises:
        UserError: kubectl is not there, fails, is not answered in time, or answers with something else.
    """
    command = [program, "get", KINDS, "--namespace", namespace, "--output", "json", "--request-timeout", "20s"]
    clean = {key: value for key, value in os.environ.items() if key not in KEYS}
    try:
        done = child.run(command, seconds=SECONDS, environment=clean)
    except OSError as error:
        raise UserError(f"{program}: {error.strerror}", "install kubectl, and put it on PATH") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{program}: no answer within {SECONDS:.0f} s", "does the cluster answer?") from error
    if done.returncode != 0:
        # Only the end: before it stand lines with the time, which would be new trouble at each look.
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:300]
        raise UserError(f"{program}: {said}", f"`kubectl get rollouts --namespace {namespace}` has to work here")
    try:
        content = json.loads(done.stdout)
        if not isinstance(content, dict) or not isinstance(content.get("items"), list):
            raise ValueError("it is no list")
    except ValueError as error:
        raise UserError(f"{program}: its answer cannot be read: {error}", "is this Kubernetes' own kubectl?") from error
    return content
