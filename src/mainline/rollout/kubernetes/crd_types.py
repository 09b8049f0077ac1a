"""What the models of custom resources share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Duration = Annotated[str, Field(pattern=r"^[1-9]\d*[smh]$")]
Weight = Annotated[int, Field(ge=0, le=100)]
Labels = dict[str, Annotated[str, Field(max_length=63)]]


class Strict(BaseModel):
    """Base: names as in Kubernetes, no unknown field, no conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class Metadata(Strict):
    name: Name
    namespace: Name | None = None
    labels: Labels = {}


class Selector(Strict):
    match_labels: Labels = Field(min_length=1)
