"""Discovers and uses resources by the dynamic client of the Python package
`kubernetes`: with each way of discovery that it has, the kind of each object is
looked up, and the object is created, read, listed and deleted by that.

    discovery_client.py KUBECONFIG CACHE MANIFEST...

Prints a JSON object: what was found by each way of discovery.
"""

import json
import sys
from pathlib import Path

from kubernetes import config, dynamic
from kubernetes.dynamic.discovery import EagerDiscoverer, LazyDiscoverer
from kubernetes.dynamic.exceptions import NotFoundError


def live(resource, manifest: dict) -> None:
    """Creates, reads, lists and deletes an object."""
    name = manifest["metadata"]["name"]
    resource.create(body=manifest)
    assert resource.get(name=name).metadata.name == name
    assert name in [item.metadata.name for item in resource.get().items]
    resource.delete(name=name)
    try:
        resource.get(name=name)
    except NotFoundError:
        return
    raise AssertionError(f"{name} is still there")


def use(client: dynamic.DynamicClient, manifests: list[dict]) -> dict:
    found = client.resources.search()
    used = []
    for manifest in manifests:
        resource = client.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
        live(resource, manifest)
        used.append(resource.name)
    groups = {resource.group for resource in found}
    # Each type has a second entry, for its list.
    resources = [r for r in found if not isinstance(r, dynamic.resource.ResourceList)]
    return {"groups": len(groups), "resources": len(resources), "used": used}


def main(kubeconfig: str, cache: str, *files: str) -> None:
    manifests = [json.loads(Path(file).read_text()) for file in files]
    report = {}
    for name, discoverer in [("lazy", LazyDiscoverer), ("eager", EagerDiscoverer)]:
        # The second client reads the file that the first one wrote.
        for suffix in ["", ", again"]:
            api = config.new_client_from_config(config_file=kubeconfig)
            file = str(Path(cache) / f"{name}.json")
            client = dynamic.DynamicClient(api, cache_file=file, discoverer=discoverer)
            report[name + suffix] = use(client, manifests)
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
