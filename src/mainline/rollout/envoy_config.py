"""Envoy's configuration as plain JSON: a bootstrap that never changes, clusters and routes that do.

Why each setting is there: docs/rollout.md, "The proxy".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mainline.config import Proxy
from mainline.rollout.layout import Layout, Upstream
from mainline.rollout.measures import EDGES

ROUTES, CLUSTERS, BOOTSTRAP = "routes.json", "clusters.json", "envoy.json"
COOKIE = "mainline"
_TYPE = "type.googleapis.com/envoy"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"  # the name under which Envoy looks for them
BUSY = 1024


def bootstrap(folder: Path, admin: Path, port: int, rules: Proxy) -> dict[str, Any]:
    """Return the static part: one listener on the loopback address, admin on a unix socket, all else from files."""
    allowed = [{"prefix": path} for path in ("/ready", "/stats", "/clusters")]
    return {
        "node": {"id": "mainline", "cluster": "mainline"},
        "admin": {"address": {"pipe": {"path": str(admin), "mode": 0o600}}, "allow_paths": allowed},
        "dynamic_resources": {"cds_config": _file(folder / CLUSTERS)},
        "static_resources": {"listeners": [listener(port, rules, {"rds": {
            "route_config_name": "split", "config_source": _file(folder / ROUTES)}})]},
        "stats_flush_on_admin": True,
        "stats_config": {"histogram_bucket_settings": [
            {"match": {"suffix": "upstream_rq_time"}, "buckets": list(EDGES)}]},
    }  # fmt: skip


def static(layout: Layout, admin: Path, port: int, rules: Proxy) -> dict[str, Any]:
    """Return everything inline: Envoy's own validation never opens the files that a bootstrap names."""
    fixed = {"listeners": [listener(port, rules, {"route_config": routes(layout, rules)})],
             "clusters": clusters([layout], rules, typed=False)}  # fmt: skip
    return {"admin": {"address": {"pipe": {"path": str(admin)}}}, "static_resources": fixed}


def listener(port: int, rules: Proxy, source: dict[str, Any]) -> dict[str, Any]:
    """Return the listener; ``source`` says where its routes come from."""
    filters = [
        _extension("envoy.filters.http.buffer", "extensions.filters.http.buffer.v3.Buffer",
                   max_request_bytes=rules.body_kb * 1024),
        _extension("envoy.filters.http.router", "extensions.filters.http.router.v3.Router"),
    ]  # fmt: skip
    if rules.requests_per_second:
        whole = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
        many = rules.requests_per_second
        limit = _extension(
            "envoy.filters.http.local_ratelimit",
            "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix="limit",
            token_bucket={"max_tokens": many, "tokens_per_fill": many, "fill_interval": "1s"},
            filter_enabled=whole,
            filter_enforced=whole,
        )
        filters.insert(0, limit)
    manager = {
        "stat_prefix": "ingress",
        "http_filters": filters,
        "preserve_external_request_id": True,
        "request_id_extension": {"typed_config": {
            "@type": f"{_TYPE}.extensions.request_id.uuid.v3.UuidRequestIdConfig", "pack_trace_reason": False}},
        "normalize_path": True,
        "request_headers_timeout": "10s",
        "request_timeout": "30s",
        "max_request_headers_kb": 32,
        "common_http_protocol_options": {"idle_timeout": "60s"},
        **source,
    }  # fmt: skip
    kind = "network.http_connection_manager"
    chain = _extension(f"envoy.filters.{kind}", f"extensions.filters.{kind}.v3.HttpConnectionManager", **manager)
    return {
        "name": "ingress",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        # Otherwise a second Envoy on this port would silently get half of the users.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": max(rules.body_kb * 1024, 32_768),
        "filter_chains": [{"filters": [chain]}],
    }


def routes(layout: Layout, rules: Proxy) -> dict[str, Any]:
    """Return the routes: predictions and outcomes are split by user, metrics stay inside, all else goes to stable."""
    split = _split(layout, rules)
    # Without an id of his own a user keeps the side of his first request, by a cookie that holds its id.
    cookie = [{"append_action": "OVERWRITE_IF_EXISTS_OR_ADD", "header": {
        "key": "set-cookie", "value": f"{COOKIE}=%REQ(X-REQUEST-ID)%; Path=/; HttpOnly; SameSite=Lax"}}]  # fmt: skip
    known = (
        [{"name": "x-user-id", "present_match": True}],
        [{"name": "cookie", "string_match": {"contains": f"{COOKIE}="}}],
    )
    found: list[dict[str, Any]] = [{"match": {"path": "/metrics"}, "direct_response": {"status": 404}}]
    for path in ("/predict", "/feedback"):
        found += [{"match": {"path": path, "headers": match}, "route": split} for match in known]
        found.append({"match": {"path": path}, "route": split, "response_headers_to_add": cookie})
    plain = {"cluster": layout.stable.name, "timeout": f"{rules.timeout_seconds}s",
             "retry_policy": _retry("connect-failure,refused-stream,reset-before-request")}  # fmt: skip
    found.append({"match": {"prefix": "/"}, "route": plain})
    return {
        "name": "split",
        "validate_clusters": True,
        "request_headers_to_remove": ["x-shadow"],
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": found}],
    }


def _split(layout: Layout, rules: Proxy) -> dict[str, Any]:
    candidate = layout.candidate
    route: dict[str, Any] = {
        "timeout": f"{rules.timeout_seconds}s",
        # A prediction changes nothing, so it may be asked for twice: an error of the candidate is answered by stable.
        "retry_policy": _retry("5xx,reset,connect-failure,refused-stream") | {
            "per_try_timeout": f"{rules.timeout_seconds / 2:.3f}s"},
    }  # fmt: skip
    if candidate is None or layout.weight == 0:
        route["cluster"] = layout.stable.name
    else:
        # Candidate first, always: the order decides who is who, and a rising weight then only adds users.
        weighted = [(arm(candidate), layout.weight), (layout.stable.name, 100 - layout.weight)]
        route["weighted_clusters"] = {
            "clusters": [{"name": name, "weight": weight} for name, weight in weighted],
            "use_hash_policy": True,
        }
        # Each release has other users go first.
        salt = {"pattern": {"regex": "^(.*)$"}, "substitution": f"{candidate.release}:\\1"}
        route["hash_policy"] = [
            {"header": {"header_name": "x-user-id", "regex_rewrite": salt}, "terminal": True},
            {"cookie": {"name": COOKIE}, "terminal": True},
            {"header": {"header_name": "x-request-id"}, "terminal": True},
        ]
    if candidate and layout.shadow:
        mark = {"append": {"header": {"key": "x-shadow", "value": "1"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}
        route["request_mirror_policies"] = [{"cluster": shadow(candidate), "request_headers_mutations": [mark]}]
    return route


def arm(candidate: Upstream) -> str:
    """Return the cluster that asks the candidate first and stable second."""
    return f"arm-{candidate.name}"


def shadow(candidate: Upstream) -> str:
    """Return the cluster that gets copies: with limits of its own, so that a slow candidate slows nobody."""
    return f"shadow-{candidate.name}"


def clusters(layouts: Sequence[Layout], rules: Proxy, typed: bool = True) -> list[dict[str, Any]]:
    """Return the clusters that any of ``layouts`` needs, each once."""
    found: dict[str, dict[str, Any]] = {}
    for layout in layouts:
        for upstream in layout.upstreams():
            found[upstream.name] = _cluster(upstream.name, upstream, rules, BUSY)
        if layout.candidate:
            found[shadow(layout.candidate)] = _cluster(shadow(layout.candidate), layout.candidate, rules, 64)
            found[arm(layout.candidate)] = _arm(layout.candidate, layout.stable)
    kind = {"@type": f"{_TYPE}.config.cluster.v3.Cluster"} if typed else {}
    return [kind | cluster for _, cluster in sorted(found.items())]


def _cluster(name: str, upstream: Upstream, rules: Proxy, most: int) -> dict[str, Any]:
    places = [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
              for port in upstream.ports]  # fmt: skip
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": places}]},
        "circuit_breakers": _breakers(most),
        "typed_extension_protocol_options": {_HTTP: {
            "@type": f"type.googleapis.com/{_HTTP}",
            # Shorter than the server's own: otherwise a request may meet a connection that is just being closed.
            "common_http_protocol_options": {"idle_timeout": f"{rules.idle_seconds}s"},
            "explicit_http_config": {"http_protocol_options": {}}}},
    }  # fmt: skip


def _arm(candidate: Upstream, stable: Upstream) -> dict[str, Any]:
    # Envoy holds the retries against the outer cluster; its default of three at a time loses requests.
    inner = [{"name": candidate.name}, {"name": stable.name}]
    kind = _extension("envoy.clusters.composite", "extensions.clusters.composite.v3.ClusterConfig", clusters=inner)
    return {"name": arm(candidate), "connect_timeout": "1s", "lb_policy": "CLUSTER_PROVIDED", "cluster_type": kind,
            "circuit_breakers": _breakers(BUSY)}  # fmt: skip


def _breakers(most: int) -> dict[str, Any]:
    limits = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), most)
    return {"thresholds": [limits]}


def _retry(when: str) -> dict[str, Any]:
    other = {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {
        "@type": f"{_TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}}  # fmt: skip
    return {"retry_on": when, "num_retries": 1, "retry_host_predicate": [other],
            "host_selection_retry_max_attempts": "5"}  # fmt: skip


def discovery(version: str, resources: Sequence[dict[str, Any]]) -> str:
    """Return the file that Envoy watches."""
    return json.dumps({"version_info": version, "resources": list(resources)}, indent=1) + "\n"


def versioned(layout: Layout, rules: Proxy) -> str:
    """Return the routes file: its version is the layout and a digest of what it says, so that a hand's work shows."""
    kind = {"@type": f"{_TYPE}.config.route.v3.RouteConfiguration"}
    content = kind | routes(layout, rules)
    return discovery(f"{layout.text()}#{digest([content])}", [content])


def digest(resources: Sequence[dict[str, Any]]) -> str:
    """Return a short SHA-256 of what a file says."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:12]


def _extension(name: str, kind: str, **config: Any) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_TYPE}.{kind}", **config}}


def _file(path: Path) -> dict[str, Any]:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}
