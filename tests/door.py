"""TorchServe's worker-side service around the handler, in this process: made and asked as a worker does it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ts.context import Context
from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl
from ts.service import Service

from zfnet_handler import ZFNetHandler

METRICS = Path(__file__).parents[1] / "deploy" / "metrics.yaml"

Rows = list[dict[str, Any]]


def worker(model_dir: Path, explainer: Mapping[str, Any] | None = None) -> Service:
    """TorchServe's worker-side service around the handler, the way a worker builds it.

    `explainer` is that section of the archive's model-config.yaml.
    """
    manifest = {"model": {"modelName": "zfnet", "modelVersion": "1.0"}}
    metrics = MetricsCacheYamlImpl(config_file_path=str(METRICS))
    metrics.initialize_cache()
    handler = ZFNetHandler()
    service = Service("zfnet", str(model_dir), manifest, handler.handle, None, 8, metrics_cache=metrics)
    service.set_cl_socket(None)
    service.context.model_yaml_config = {"explainer": explainer}
    handler.initialize(service.context)
    return service


def ask(service: Service, rows: Rows) -> tuple[list[bytes], Context]:
    """Run a batch of rows {"fields", "explain", "headers"} through the handler."""
    batch = [
        {
            "requestId": f"request-{i}".encode(),
            "parameters": [{"name": name, "value": value, "contentType": ""} for name, value in row["fields"].items()],
            "headers": [
                {"name": name.encode(), "value": value.encode()}
                for name, value in {"explain": str(row["explain"]), "url_path": "", **row.get("headers", {})}.items()
                if value is not None
            ],
        }
        for i, row in enumerate(rows)
    ]
    headers, inputs, ids = Service.retrieve_data_for_inference(batch)
    service.context.request_ids, service.context.request_processor = ids, headers
    service.context.metrics.request_ids = ids
    return service._entry_point(inputs, service.context), service.context
