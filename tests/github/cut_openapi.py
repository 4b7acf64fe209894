"""Cut GitHub's OpenAPI description down to the operations the validator uses.

    npm install @octokit/openapi          # anywhere
    python -m tests.github.cut_openapi node_modules/@octokit/openapi

writes `openapi.json` beside this file: the operations of OPERATIONS with everything their `$ref`s reach,
without the prose. The fake GitHub validates each request and reply against it and takes the bodies of its
replies from the examples in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OPERATIONS = (
    "get /user",
    "get /repos/{owner}/{repo}/pulls",
    "get /repos/{owner}/{repo}/pulls/{pull_number}",
    "get /repos/{owner}/{repo}/actions/runs/{run_id}",
    "get /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "post /repos/{owner}/{repo}/issues/{issue_number}/comments",
    "patch /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "delete /repos/{owner}/{repo}/issues/comments/{comment_id}",
    "get /repos/{owner}/{repo}/issues",
    "post /repos/{owner}/{repo}/issues",
    "patch /repos/{owner}/{repo}/issues/{issue_number}",
    "post /repos/{owner}/{repo}/statuses/{sha}",
    "post /repos/{owner}/{repo}/check-runs",
    "patch /repos/{owner}/{repo}/check-runs/{check_run_id}",
    "get /repos/{owner}/{repo}/commits/{ref}/check-runs",
)
PROSE = ("description", "summary", "externalDocs", "tags", "x-github", "x-octokit", "title", "example")
#: Of several examples of one reply the fake needs one.
SPARE = ("response-with-public-profile-information", "example-of-in-progress-conclusion")
OUTPUT = Path(__file__).with_name("openapi.json")


def cut(description: dict[str, Any]) -> dict[str, Any]:
    """The part of an OpenAPI description that OPERATIONS reach."""
    result: dict[str, Any] = {
        "openapi": description["openapi"],
        "info": {key: description["info"][key] for key in ("title", "version", "license")},
        "servers": [{"url": "/"}],
        "paths": {},
        "components": {},
    }
    for operation in OPERATIONS:
        method, path = operation.split()
        source = description["paths"][path]
        kept = result["paths"].setdefault(path, {})
        kept[method] = _bare(source[method])
        if "parameters" in source:
            kept["parameters"] = _bare(source["parameters"])
    open_references = _references(result["paths"])
    while open_references:
        _, _, kind, name = open_references.pop().split("/")
        components = result["components"].setdefault(kind, {})
        if name not in components:
            # An example is a reply's text: its words stay.
            found = description["components"][kind][name]
            components[name] = found if kind == "examples" else _bare(found)
            if kind == "responses":
                components[name]["description"] = ""
            open_references |= _references(components[name])
    return result


def _bare(node: Any, inside_properties: bool = False) -> Any:
    """`node` without prose. A property may itself be called `description` or `title`: those stay."""
    if isinstance(node, list):
        return [_bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        if not inside_properties and key in (*PROSE, *SPARE):
            continue
        kept[key] = _bare(value, inside_properties=key == "properties")
    for response in kept.get("responses", {}).values():
        if "$ref" not in response:
            response["description"] = ""  # the specification wants one
    return kept


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*(_references(item) for item in node))
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own.union(*(_references(value) for value in node.values()))


def main(package: str) -> None:
    """Read the npm package's folder, write `openapi.json`."""
    source = Path(package) / "generated" / "api.github.com.json"
    result = cut(json.loads(source.read_text(encoding="utf-8")))
    OUTPUT.write_text(json.dumps(result, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size / 1000:.0f} kB, {len(OPERATIONS)} operations")


if __name__ == "__main__":
    main(sys.argv[1])
