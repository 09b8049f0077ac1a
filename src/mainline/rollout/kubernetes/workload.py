"""The service on Kubernetes without a canary: pods, who reaches them, how they are kept up and how they go away."""

from __future__ import annotations

from typing import Any

from mainline.rollout.kubernetes.plan import LOG, PORT, Target, placeholder

Manifest = dict[str, Any]
# BentoML's containers run as this user and hold the Bento there (bentoml._internal.container.generate).
USER = 1034
BENTO = "/home/bentoml/bento"
# A pod that is going away goes on answering until the gateway has heard of it.
LEAVE_SECONDS = 10
VERSION = "app.kubernetes.io/version"
UNRELEASED = "unreleased"
PATHS = ("/predict", "/feedback")


def labels(name: str, component: str = "service") -> dict[str, str]:
    """Return the labels that select the pods of one component."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component}


def manifest(api: str, kind: str, name: str, spec: Any, **metadata: Any) -> Manifest:
    """Return a manifest with the labels that every one of ours carries."""
    own = {"app.kubernetes.io/part-of": "mainline", **metadata.pop("labels", {})}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": own, **metadata}, "spec": spec}


def pod(target: Target, track: str, component: str) -> Manifest:
    """Return the pod template of one track; its image and release are set by the overlay."""
    cluster = target.cluster

    def env(name: str, value: str) -> Manifest:
        return {"name": name, "value": value}

    def probe(path: str, period: int, failures: int) -> Manifest:
        return {
            "httpGet": {"path": path, "port": "http"},
            "periodSeconds": period,
            "timeoutSeconds": 2,
            "failureThreshold": failures,
        }

    key = []
    if target.service.key:
        secret = {"name": f"{target.name}-api-key", "key": "key"}
        key.append({"name": target.service.key, "valueFrom": {"secretKeyRef": secret}})
    container = {
        "name": "service",
        "image": placeholder(target.name).reference,
        # The image's own entry point runs it, so that the service starts as it does anywhere else: hashes held against
        # dvc.lock, one thread, time to drain.
        "args": ["python", "-m", "mainline.cli", "serve", "--bento", BENTO, "--host", "0.0.0.0", "--port", str(PORT)],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "env": [
            {
                "name": "MAINLINE_RELEASE",
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{VERSION}']"}},
            },
            env("MAINLINE_TRACK", track),
            env("PYTHONPATH", f"{BENTO}/src/src"),
            env("MAINLINE_LOG", cluster.log or LOG),
            # Whatever a library wants to write goes to the one place where it may.
            env("BENTOML_HOME", "/tmp/bentoml"),
            env("HOME", "/tmp"),
            env("BENTOML_DO_NOT_TRACK", "True"),
            *key,
        ],
        "resources": {
            "requests": {"cpu": cluster.cpu, "memory": cluster.memory},
            "limits": {"memory": cluster.memory},
        },
        "startupProbe": probe("/livez", 2, 60),
        "livenessProbe": probe("/livez", 10, 3),
        "readinessProbe": probe("/readyz", 5, 2),
        "lifecycle": {"preStop": {"sleep": {"seconds": LEAVE_SECONDS}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "log", "mountPath": LOG}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    own = labels(target.name, component)
    return {
        "metadata": {"labels": {**own, VERSION: UNRELEASED}},
        "spec": {
            "serviceAccountName": target.name,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": LEAVE_SECONDS + target.service.drain + target.service.timeout + 10,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": own},
                }
                for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
            ],
            "containers": [container],
            "volumes": [
                {"name": "log", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
            ],
        },
    }


def deployment(target: Target, name: str, track: str, component: str, **more: Any) -> Manifest:
    """Return a Deployment that replaces no pod before its successor answers."""
    spec = {
        **more,
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": 300,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "selector": {"matchLabels": labels(target.name, component)},
        "template": pod(target, track, component),
    }
    return manifest("apps/v1", "Deployment", name, spec, labels=labels(target.name, component))


def service(target: Target, name: str, component: str = "service") -> Manifest:
    """Return a Service; Argo Rollouts narrows its selector to the pods of one release."""
    ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    return manifest("v1", "Service", name, {"selector": labels(target.name, component), "ports": ports})


def route(target: Target) -> Manifest:
    """Return the route: only what clients may call, and no client can pass a request off as shadow traffic.

    The gateway waits a second longer than the service, so that clients get the service's own 504.
    """
    cluster = target.cluster
    stable = {"name": f"{target.name}-stable", "port": 80, "weight": 100}
    strip = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x-shadow"]}}
    rules = [
        {
            "matches": [{"path": {"type": "Exact", "value": path}, "method": "POST"}],
            "filters": [strip],
            "backendRefs": [stable],
            "timeouts": {"request": f"{target.service.timeout + 1}s"},
        }
        for path in PATHS
    ]
    spec: Manifest = {"parentRefs": [{"name": cluster.gateway, "namespace": cluster.gateway_namespace}]}
    if cluster.hostname:
        spec["hostnames"] = [cluster.hostname]
    return manifest("gateway.networking.k8s.io/v1", "HTTPRoute", target.name, {**spec, "rules": rules})


def network(target: Target) -> list[Manifest]:
    """Return the policies: nothing in or out, but the gateway and Prometheus in, and storage out if there is any."""
    cluster = target.cluster
    api = "networking.k8s.io/v1"

    def namespace(name: str) -> Manifest:
        return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}

    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ours = {"matchLabels": {"app.kubernetes.io/name": target.name}}
    ingress = [
        {"from": [namespace(name)], "ports": [{"protocol": "TCP", "port": PORT}]}
        for name in dict.fromkeys((cluster.gateway_namespace, cluster.prometheus_namespace))
    ]
    policies = [
        manifest(api, "NetworkPolicy", f"{target.name}-deny", deny),
        manifest(api, "NetworkPolicy", f"{target.name}-in",
                 {"podSelector": ours, "policyTypes": ["Ingress"], "ingress": ingress}),
    ]  # fmt: skip
    if cluster.storage_cidrs:
        dns = {**namespace("kube-system"), "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
        egress = [
            {"to": [dns], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
            {
                "to": [{"ipBlock": {"cidr": cidr}} for cidr in cluster.storage_cidrs],
                "ports": [{"protocol": "TCP", "port": 443}],
            },
        ]
        spec = {"podSelector": ours, "policyTypes": ["Egress"], "egress": egress}
        policies.append(manifest(api, "NetworkPolicy", f"{target.name}-out", spec))
    return policies


def base(target: Target) -> dict[str, list[Manifest]]:
    """Return the files of the base: what every environment has."""
    name, cluster = target.name, target.cluster
    account = manifest("v1", "ServiceAccount", name, None)
    del account["spec"]
    account["automountServiceAccountToken"] = False
    budget = {"maxUnavailable": 1, "selector": {"matchLabels": labels(name)}}
    scaler = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": cluster.min_replicas,
        "maxReplicas": cluster.max_replicas,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
            }
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    monitor = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
        "podMetricsEndpoints": [{"port": "http", "path": "/metrics", "interval": "15s"}],
    }
    return {
        "serviceaccount.yaml": [account],
        "deployment.yaml": [deployment(target, name, "stable", "service")],
        "service.yaml": [service(target, f"{name}-stable")],
        "pdb.yaml": [manifest("policy/v1", "PodDisruptionBudget", name, budget)],
        "hpa.yaml": [manifest("autoscaling/v2", "HorizontalPodAutoscaler", name, scaler)],
        "networkpolicy.yaml": network(target),
        "route.yaml": [route(target)],
        "podmonitor.yaml": [manifest("monitoring.coreos.com/v1", "PodMonitor", name, monitor)],
    }
