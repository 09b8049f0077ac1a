"""Whether rendered manifests are right: schemas, and what no schema says (selectors, references, weights, queries)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mainline.rollout.kubernetes import crds
from mainline.rollout.kubernetes.check_analysis import template_faults
from mainline.rollout.kubernetes.check_pods import pod_faults, track
from mainline.rollout.kubernetes.check_rollout import rollout_faults
from mainline.rollout.kubernetes.flatten import flatten
from mainline.rollout.kubernetes.workload import Manifest

# The oldest version whose preStop can sleep without a shell in the image, and a newer one.
VERSIONS = ("1.30", "1.34")


def title(manifest: Manifest) -> str:
    """Return what a manifest is called in messages."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def of(manifests: Sequence[Manifest], kind: str) -> dict[str, Manifest]:
    """Return the manifests of a kind by name."""
    return {item["metadata"]["name"]: item for item in manifests if item["kind"] == kind}


def schema_faults(manifest: Manifest, versions: Sequence[str] = VERSIONS) -> list[str]:
    """Return what the schemas say; a type that no schema knows is a fault, not a warning."""
    import kubernetes_validate

    custom = crds.faults(manifest)
    if custom is not None:
        return custom
    found = []
    for version in versions:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            found.append(f"{manifest['apiVersion']} {manifest['kind']}: no schema knows it")
        except kubernetes_validate.ValidationError as error:
            place = ".".join(str(part) for part in error.path)
            found.append(f"{place or '(top level)'}: {str(error.message)[:200]} (Kubernetes {version})")
    return list(dict.fromkeys(found))


def _selects(selector: Mapping[str, str], pods: Sequence[Manifest]) -> list[Manifest]:
    return [pod for pod in pods if selector.items() <= pod["metadata"]["labels"].items()]


def _selectors(manifests: Sequence[Manifest], pods: Sequence[Manifest]) -> Iterator[str]:
    for item in of(manifests, "Deployment").values():
        if not _selects(item["spec"]["selector"]["matchLabels"], [item["spec"]["template"]]):
            yield f"{title(item)}: the selector does not match its own pods"
    for item in manifests:
        spec = item.get("spec") or {}
        where = {"Service": spec.get("selector"), "NetworkPolicy": spec.get("podSelector", {}).get("matchLabels")}
        selector = where.get(item["kind"]) or (
            spec.get("selector", {}).get("matchLabels")
            if item["kind"] in ("PodDisruptionBudget", "PodMonitor")
            else None
        )
        if selector and not _selects(selector, pods):
            yield f"{title(item)}: the selector matches no pod"
        ports = {port["name"] for pod in pods for port in pod["spec"]["containers"][0].get("ports", [])}
        wanted = [port.get("targetPort") for port in spec.get("ports", [])] if item["kind"] == "Service" else []
        wanted += [endpoint["port"] for endpoint in spec.get("podMetricsEndpoints", [])]
        yield from (f"{title(item)}: no pod has a port {port}" for port in wanted if port not in ports)


def _references(manifests: Sequence[Manifest], pods: Sequence[Manifest]) -> Iterator[str]:
    accounts, names = of(manifests, "ServiceAccount"), {(item["kind"], item["metadata"]["name"]) for item in manifests}
    for account in accounts.values():
        if account.get("automountServiceAccountToken") is not False:
            yield f"{title(account)}: its token is mounted"
    for pod in pods:
        if pod["spec"].get("serviceAccountName") not in accounts:
            yield f"pods of {pod['metadata']['labels']}: no such service account"
    for item in of(manifests, "HorizontalPodAutoscaler").values():
        scaled = item["spec"]["scaleTargetRef"]
        if (scaled["kind"], scaled["name"]) not in names:
            yield f"{title(item)}: there is no {scaled['kind']} {scaled['name']} to scale"
        if item["spec"]["minReplicas"] > item["spec"]["maxReplicas"]:
            yield f"{title(item)}: minReplicas is above maxReplicas"
        target = of(manifests, scaled["kind"]).get(scaled["name"], {}).get("spec", {})
        if "replicas" in target:
            yield f"{title(item)}: {scaled['kind']} {scaled['name']} sets replicas, which belong to the autoscaler"


def _routes(manifests: Sequence[Manifest], pods: Sequence[Manifest]) -> Iterator[str]:
    services = of(manifests, "Service")

    def tracks(name: str) -> set[str]:
        return {track(pod) for pod in _selects(services[name]["spec"]["selector"], pods)} if name in services else set()

    for route in of(manifests, "HTTPRoute").values():
        for rule in route["spec"]["rules"]:
            here = f"{title(route)}: {rule['matches'][0]['path']['value']}"
            filters = rule.get("filters", [])
            mirrors = [item["requestMirror"]["backendRef"] for item in filters if item["type"] == "RequestMirror"]
            for backend in (*rule["backendRefs"], *mirrors):
                ports = [port["port"] for port in services.get(backend["name"], {}).get("spec", {}).get("ports", [])]
                if backend["port"] not in ports:
                    yield f"{here}: there is no Service {backend['name']} with port {backend['port']}"
            if sum(backend.get("weight", 1) for backend in rule["backendRefs"]) != 100:
                yield f"{here}: the weights do not sum to 100"
            if any(tracks(backend["name"]) != {"stable"} for backend in rule["backendRefs"]):
                yield f"{here}: answers users from pods of another track than stable"
            if any(tracks(backend["name"]) != {"shadow"} for backend in mirrors):
                yield f"{here}: copies requests to pods that are not started as shadow: their answers would count"
            removed = [name for item in filters for name in item.get("requestHeaderModifier", {}).get("remove", [])]
            if "x-shadow" not in removed:
                yield f"{here}: a client may say x-shadow"


def _network(manifests: Sequence[Manifest]) -> Iterator[str]:
    policies = [item["spec"] for item in of(manifests, "NetworkPolicy").values()]
    shut = [
        spec for spec in policies if spec["podSelector"] == {} and not spec.get("ingress") and not spec.get("egress")
    ]
    if {side for spec in shut for side in spec["policyTypes"]} != {"Ingress", "Egress"}:
        yield "NetworkPolicy: nothing shuts every pod in both directions by default"
    for spec in policies:
        for rule in spec.get("ingress", []):
            if not rule.get("from") or not rule.get("ports"):
                yield "NetworkPolicy: lets anybody in, or on any port"
        for rule in spec.get("egress", []):
            if not rule.get("to") or not rule.get("ports"):
                yield "NetworkPolicy: lets pods out to anywhere, or on any port"


def faults(manifests: Sequence[Manifest], placeholder: bool = False) -> list[str]:
    """Return every fault of one environment's manifests; empty when there is none.

    Args:
        manifests: as ``flatten`` returns them.
        placeholder: whether the image may be the one of the committed files, which does not exist.
    """
    found = [f"{title(item)}: {fault}" for item in manifests for fault in schema_faults(item)]
    # What makes sense is asked only of what has the right form: it reads the fields that the schemas vouch for.
    return found or sense_faults(manifests, placeholder)


def sense_faults(manifests: Sequence[Manifest], placeholder: bool = False) -> list[str]:
    """Return the faults that no schema sees, of manifests that the schemas have passed."""
    found = []
    if len({title(item) for item in manifests}) != len(manifests):
        found.append("two manifests have the same kind and name")
    if len({item["metadata"].get("namespace") for item in manifests if item["kind"] != "Namespace"}) != 1:
        found.append("manifests of one environment stand in several namespaces")
    deployments = of(manifests, "Deployment").values()
    pods = [item["spec"]["template"] for item in deployments]
    if not pods:
        found.append("there is no Deployment")
    rules = [rule for item in of(manifests, "HTTPRoute").values() for rule in item["spec"]["rules"]]
    timeout = max((int(rule["timeouts"]["request"].removesuffix("s")) for rule in rules), default=0)
    found += [f"{title(item)}: {fault}" for item in deployments
              for fault in pod_faults(item["spec"]["template"], timeout, placeholder)]  # fmt: skip
    for kind in ("PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy", "HTTPRoute", "PodMonitor"):
        if not of(manifests, kind):
            found.append(f"there is no {kind}")
    for item in of(manifests, "AnalysisTemplate").values():
        found += [f"{title(item)}: {fault}" for fault in template_faults(item)]
    for item in of(manifests, "Rollout").values():
        found += [f"{title(item)}: {fault}" for fault in rollout_faults(item, manifests)]
    found += [*_selectors(manifests, pods), *_references(manifests, pods), *_routes(manifests, pods)]
    return found + list(_network(manifests))


def check(files: Mapping[str, str], placeholder: bool = False) -> dict[str, list[str]]:
    """Return the faults of every overlay in ``files`` (as ``render.read`` returns them), by its name."""
    names = sorted({path.split("/")[1] for path in files if path.startswith("overlays/")})
    return {name: faults(flatten(files, f"overlays/{name}"), placeholder) for name in names}
