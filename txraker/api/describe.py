"""Declared endpoints as machine-readable documents: OpenRPC for JSON-RPC, OpenAPI for HTTP.

Contract: OpenRPC 1.3 and OpenAPI 3.1. Everything said here is said in the declarations.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from txraker.api.arguments import Parameter
from txraker.api.caller import Transport
from txraker.api.endpoint import GET, Endpoint, Verb

_REFERENCE = "#/components/schemas/{name}"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
        }
    },
}


def openrpc(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the OpenRPC document of all endpoints that have a JSON-RPC method."""
    schemas, components = _schemas(endpoints)
    methods = [
        {
            "name": endpoint.name,
            **_documentation(endpoint),
            "paramStructure": "by-name",
            "params": [_content_descriptor(parameter) for parameter in endpoint.parameters or ()],
            "result": {"name": "result", "schema": schemas[endpoint.name]},
            "x-transports": [str(transport.name).lower() for transport in endpoint.transports],
            "x-role": endpoint.role.name.lower(),
            "x-reads-only": endpoint.reads_only,
        }
        for endpoint in endpoints
        if endpoint.transports & ~Transport.HTTP
    ]
    return {
        "openrpc": "1.3.2",
        "info": {"title": "txraker", "version": version},
        "methods": methods,
        "components": {"schemas": components},
    }


def openapi(endpoints: Sequence[Endpoint], version: str) -> dict[str, Any]:
    """Return the OpenAPI document of all endpoints that have a path."""
    schemas, components = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        for verb in endpoint.verbs:
            operations = paths.setdefault(endpoint.path, {})
            operations[str(verb.name).lower()] = _operation(endpoint, verb, schemas[endpoint.name])
    return {
        "openapi": "3.1.0",
        "info": {"title": "txraker", "version": version},
        "paths": paths,
        "components": {"schemas": {**components, "Error": _ERROR}},
    }


def _operation(endpoint: Endpoint, verb: Verb, result: Mapping[str, Any]) -> dict[str, Any]:
    alone = endpoint.verbs == verb
    operation: dict[str, Any] = {
        "operationId": endpoint.name if alone else f"{endpoint.name}.{str(verb.name).lower()}",
        **_documentation(endpoint),
        "x-role": endpoint.role.name.lower(),
    }
    parameters = endpoint.parameters or ()
    if verb is GET:
        operation["parameters"] = [_query_parameter(parameter) for parameter in parameters]
    elif parameters:
        operation["requestBody"] = _body(parameters)
    operation["responses"] = {
        "200": {
            "description": "Done.",
            "content": _json({"type": "object", "required": ["result"], "properties": {"result": result}}),
        },
        "default": {
            "description": "What went wrong.",
            "content": _json({"$ref": _REFERENCE.format(name="Error")}),
        },
    }
    return operation


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "required": parameter.required and parameter.rest_of_query is None,
        "schema": _parameter_schema(parameter),
    }
    if parameter.rest_of_query is not None:
        described |= {"style": "form", "explode": True}
    return described


def _body(parameters: Iterable[Parameter]) -> dict[str, Any]:
    parameters = list(parameters)
    required = [parameter.name for parameter in parameters if parameter.required]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            parameter.name: {**_parameter_schema(parameter), "description": parameter.description}
            for parameter in parameters
        },
    }
    if required:
        schema["required"] = required
    return {"required": bool(required), "content": _json(schema)}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _content_descriptor(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "description": parameter.description,
        "required": parameter.required,
        "schema": _parameter_schema(parameter),
    }


def _parameter_schema(parameter: Parameter) -> dict[str, Any]:
    if parameter.schema is not None:
        return dict(parameter.schema)
    schema = msgspec.json.schema(parameter.annotation)
    schema.pop("description", None)
    if not parameter.required and parameter.default is not msgspec.UNSET:
        schema["default"] = parameter.default
    return schema


def _documentation(endpoint: Endpoint) -> dict[str, str]:
    summary, _, description = endpoint.documentation.partition("\n\n")
    documented = {"summary": " ".join(summary.split())}
    if description:
        documented["description"] = " ".join(description.split())
    return documented


def _schemas(endpoints: Sequence[Endpoint]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    schemas, components = msgspec.json.schema_components(
        [endpoint.result for endpoint in endpoints], ref_template=_REFERENCE
    )
    named = {endpoint.name: schema for endpoint, schema in zip(endpoints, schemas, strict=True)}
    return named, components
