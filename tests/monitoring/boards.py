"""The dashboards as their tests read them: panels, and the queries that Grafana makes of them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = DEPLOY / "grafana" / "dashboards"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


@dataclass(frozen=True)
class Panel:
    """A panel and the dashboard it is on."""

    board: str
    fields: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.fields["title"])

    @property
    def description(self) -> str:
        return str(self.fields.get("description", ""))

    @property
    def queries(self) -> list[str]:
        return [target["expr"] for target in self.fields["targets"]]

    @property
    def of_more(self) -> bool:
        """Whether it has nothing to show of a server on a CPU without a gateway."""
        return self.description.startswith(("GPU only.", "Gateway only."))


def panels() -> Iterator[Panel]:
    """Every panel that shows something, rows left out."""
    for name, board in BOARDS.items():
        yield from (Panel(name, fields) for fields in board["panels"] if fields["type"] != "row")


def rules(name: str) -> list[dict[str, Any]]:
    """The rules of one of Prometheus' files, out of their groups."""
    groups = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def variables(board: str) -> dict[str, str]:
    """The queries of a dashboard's variables, by name."""
    entries = BOARDS[board]["templating"]["list"]
    return {entry["name"]: entry["query"]["query"] for entry in entries if entry["type"] == "query"}


def substituted(query: str, values: Mapping[str, list[str]], window: str) -> str:
    """The query as Grafana sends it with these values chosen; a regular expression inside PromQL's quotes."""
    for name, chosen in values.items():
        escaped = [re.escape(value).replace("\\", "\\\\") for value in chosen]
        query = query.replace(f"${name}", f"({'|'.join(escaped)})")
    return re.sub(r"\$__(rate_interval|range)\b", window, query)
