"""Checks of the Rollout: it reaches what it names, and no step raises the weight without a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mainline.rollout.kubernetes.workload import VERSION, Manifest


def _analysis(asked: Manifest, templates: dict[str, Manifest], labels: dict[str, str]) -> Iterator[str]:
    given = {item["name"]: item for item in asked.get("args", [])}
    for name in (item["templateName"] for item in asked["templates"]):
        if name not in templates:
            yield f"analysis {name}: there is no such AnalysisTemplate"
            continue
        needed = {item["name"] for item in templates[name]["spec"].get("args", []) if "value" not in item}
        yield from (f"analysis {name}: argument {missing} is not given" for missing in sorted(needed - set(given)))
    for name, item in given.items():
        path = item.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
        if path and path.removeprefix("metadata.labels['").removesuffix("']") not in labels:
            yield f"argument {name}: the Rollout has no such label"


def _metrics(asked: Manifest, templates: dict[str, Manifest]) -> list[Manifest]:
    names = [item["templateName"] for item in asked["templates"]]
    return [metric for name in names if name in templates for metric in templates[name]["spec"]["metrics"]]


def _steps(canary: Manifest, templates: dict[str, Manifest], labels: dict[str, str]) -> Iterator[str]:
    steps = canary["steps"]
    weights = [step["setWeight"] for step in steps if "setWeight" in step]
    if weights != sorted(set(weights)) or not weights or weights[0] < 1 or weights[-1] != 100:
        yield f"steps: the weights {weights} do not rise from at least 1 to 100"
    for index, step in enumerate(steps):
        if "analysis" in step:
            yield from _analysis(step["analysis"], templates, labels)
            for metric in _metrics(step["analysis"], templates):
                if "count" not in metric:
                    yield f"steps: {metric['name']} never ends, and so would the step"
        if "setWeight" not in step:
            continue
        weight, after = step["setWeight"], steps[index + 1 : index + 3]
        if not after or "pause" not in after[0]:
            yield f"steps: at {weight} % it does not wait"
        elif weight < 100 and (len(after) < 2 or "analysis" not in after[1]):
            yield f"steps: at {weight} % nothing is judged"
        elif weight < 100:
            arguments = {item["name"]: item.get("value") for item in after[1]["analysis"].get("args", [])}
            if arguments.get("window") != after[0]["pause"]["duration"]:
                yield f"steps: at {weight} % the window is not the time of the step"
    last = [step["analysis"] for step in steps if "analysis" in step][-1:]
    judged = {metric["name"] for asked in last for metric in _metrics(asked, templates)}
    needed = {"traffic", "errors", "refusals", *(metric["name"] for item in templates.values()
              for metric in item["spec"]["metrics"] if metric["name"] in ("latency", "scores"))}  # fmt: skip
    if missing := sorted(needed - judged):
        yield f"steps: the last verdict leaves out {', '.join(missing)}"


def rollout_faults(rollout: Manifest, manifests: Sequence[Manifest]) -> list[str]:
    """Return what is wrong with a Rollout among ``manifests``."""

    def named(kind: str, name: str) -> Manifest | None:
        return next((item for item in manifests if (item["kind"], item["metadata"]["name"]) == (kind, name)), None)

    spec, labels = rollout["spec"], rollout["metadata"].get("labels", {})
    canary = spec["strategy"]["canary"]
    templates = {item["metadata"]["name"]: item for item in manifests if item["kind"] == "AnalysisTemplate"}
    found = []
    deployment = named("Deployment", spec["workloadRef"]["name"])
    if deployment is None:
        found.append(f"there is no Deployment {spec['workloadRef']['name']} to take pods from")
    else:
        if deployment["spec"]["selector"] != spec["selector"]:
            found.append("the selector is another than the Deployment's")
        if deployment["spec"].get("replicas") != 0:
            found.append("the Deployment runs pods itself, outside of every canary")
        if deployment["spec"]["template"]["metadata"]["labels"].get(VERSION) != labels.get(VERSION):
            found.append(f"label {VERSION}: says another release than its pods")
    services = [canary["stableService"], canary["canaryService"]]
    found += [f"there is no Service {name}" for name in services if named("Service", name) is None]
    if services[0] == services[1]:
        found.append("stable and canary are one Service")
    plugin = canary["trafficRouting"]["plugins"]["argoproj-labs/gatewayAPI"]
    route = named("HTTPRoute", plugin["httpRoute"])
    if route is None or plugin["namespace"] != rollout["metadata"].get("namespace"):
        found.append(f"there is no HTTPRoute {plugin['namespace']}/{plugin['httpRoute']}")
    else:
        split = [{item["name"]: item.get("weight") for item in rule["backendRefs"]} for rule in route["spec"]["rules"]]
        # Git holds the resting state; the controller owns the weights in between.
        if {services[0]: 100, services[1]: 0} not in split:
            found.append(f"HTTPRoute {plugin['httpRoute']}: no rule rests at {services[0]} 100, {services[1]} 0")
    found += _analysis(canary["analysis"], templates, labels)
    if any("interval" not in metric for metric in _metrics(canary["analysis"], templates)):
        found.append("analysis: what is watched all the way has to be measured again and again")
    return found + list(_steps(canary, templates, labels))
