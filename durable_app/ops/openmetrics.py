"""Metrics as text in the OpenMetrics format, version 1.0 (https://prometheus.io/docs/specs/om/)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """A figure with what tells it from others of its family."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A gauge: its name without prefix, what it means, and its samples."""

    name: str
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""
    """The name's last word, if it is a unit."""
    at: datetime | None = None
    """The time that the samples are of; None: the scrape's."""


Samples = Iterable[tuple[Mapping[str, str], float]]
"""Labels and figures."""


def gauge(name: str, help_text: str, samples: Samples, at: datetime | None = None) -> Family:
    """Return a family; its unit is told by its name."""
    return Family(
        name=name,
        help=help_text,
        samples=tuple(Sample(value=value, labels=labels) for labels, value in samples),
        unit="seconds" if name.endswith("_seconds") else "",
        at=at,
    )


def text(families: Iterable[Family], *, prefix: str = "", labels: Mapping[str, str] | None = None) -> str:
    """Return families as a document; ``labels`` stand on every sample."""
    lines: list[str] = []
    for family in families:
        lines += _lines(family, prefix, labels or {})
    return "\n".join([*lines, "# EOF"]) + "\n"


def _lines(family: Family, prefix: str, common: Mapping[str, str]) -> list[str]:
    name = f"{prefix}{family.name}"
    lines = [f"# TYPE {name} gauge"]
    if family.unit:
        lines.append(f"# UNIT {name} {family.unit}")
    lines.append(f"# HELP {name} {_escaped(family.help)}")
    at = "" if family.at is None else f" {family.at.timestamp():.3f}"
    for sample in family.samples:
        lines.append(f"{name}{_labels({**common, **sample.labels})} {_number(sample.value)}{at}")
    return lines


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(given: str) -> str:
    return given.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(round(value, 6))
