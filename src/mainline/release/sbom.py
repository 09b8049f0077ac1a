"""The bill of materials: every locked package by hash, the model, and the data, as CycloneDX 1.6."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainline.errors import UserError

SPACE = uuid.UUID("5e8f2f6e-7d0a-5b8e-9a55-0b7f6f2d9c11")  # any fixed one: equal releases get equal serial numbers


@dataclass(frozen=True)
class Package:
    """A line of requirements.lock; ``hashes`` are the SHA-256 of its files for all platforms."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def packages(lock: str) -> list[Package]:
    """Return the packages of a lock, in its order.

    Raises:
        UserError: a line pins no version, or a package has no hash.
    """
    found = []
    for line in re.sub(r"\\\n\s*", " ", lock).splitlines():
        text = line.split(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)\s*(?:;\s*(.*?))?((?:\s+--hash=\S+)*)", text)
        hashes = tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
        if not match or not hashes:
            raise UserError(f"requirements.lock: no version or no hash: {text[:80]!r}", "`make lock` writes it anew")
        found.append(Package(match[1], match[2], match[3] or "", hashes))
    return found


def render(
    release: str,
    when: dt.datetime,
    parts: Mapping[str, str],
    listed: Sequence[Package],
    batches: Sequence[Mapping[str, Any]],
    facts: Mapping[str, str],
) -> str:
    """Return the bill as JSON: equal arguments, equal text; it has been held against CycloneDX's own schema.

    Args:
        release: the id.
        when: of the commit.
        parts: digests by part (see ``identity``).
        batches: ``batches`` of reports/validation.json.
        facts: name and value of what else is known of the model.

    Raises:
        UserError: it does not fit the schema.
    """
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.dependency import Dependency
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    top = Component(
        name=release.rpartition("-")[0], version=release, type=ComponentType.APPLICATION, bom_ref=f"release:{release}",
        properties=_properties({f"digest.{name}": value for name, value in parts.items()}),
    )  # fmt: skip
    model = Component(
        name="model", version=parts["model"][:12], type=ComponentType.MACHINE_LEARNING_MODEL, bom_ref="model",
        hashes=[_hash(parts["model"])], properties=_properties(facts),
    )  # fmt: skip
    data = [
        Component(
            name=str(item["file"]), type=ComponentType.DATA, bom_ref=f"data:{item['file']}",
            hashes=[_hash(str(item["sha256"]))], properties=_properties({"rows": str(item["rows"])}),
        )
        for item in batches
    ]  # fmt: skip
    installed = [_package(item) for item in listed]
    bom = Bom(
        serial_number=uuid.uuid5(SPACE, release),
        metadata=BomMetaData(timestamp=when, component=top),
        components=[model, *data, *installed],
        dependencies=[
            Dependency(top.bom_ref, [Dependency(item.bom_ref) for item in (model, *installed)]),
            Dependency(model.bom_ref, [Dependency(item.bom_ref) for item in data]),
        ],
    )
    text = str(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)) + "\n"
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        reason = " ".join(str(fault).split())[:200]
        raise UserError(f"sbom.cdx.json: does not fit CycloneDX 1.6: {reason}", "is a name in requirements.lock odd?")
    return text


def _package(item: Package) -> Any:
    """Return a library. The hashes are those of all its files, so they stand at the distribution, not at it."""
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    address = PackageURL("pypi", name=item.name, version=item.version)
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(address)), hashes=[_hash(text) for text in item.hashes]
    )
    return Component(
        name=item.name, version=item.version, type=ComponentType.LIBRARY, bom_ref=str(address) + f"#{item.marker}"
        if item.marker else str(address), purl=address, external_references=[files],
        properties=_properties({"marker": item.marker} if item.marker else {}),
    )  # fmt: skip


def _hash(text: str) -> Any:
    from cyclonedx.model import HashAlgorithm, HashType

    return HashType(alg=HashAlgorithm.SHA_256, content=text)


def _properties(values: Mapping[str, str]) -> list[Any]:
    from cyclonedx.model import Property

    return [Property(name=f"mainline:{name}", value=value) for name, value in values.items()]
