"""`create deployment|job|cronjob`. Source: kubectl v0.35 pkg/cmd/create."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from k3py.api.resource import CRON_JOBS
from k3py.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from k3py.cli.kubectl.session import Session
    from k3py.jsontypes import JsonObject


def add_to(kinds: argparse._SubParsersAction[Any], parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add the generators."""
    deployment = kinds.add_parser("deployment", aliases=["deploy"], parents=list(parents), allow_abbrev=False)
    deployment.add_argument("name")
    deployment.add_argument("--image", action="append", required=True)
    deployment.add_argument("-r", "--replicas", type=int, default=1)
    deployment.add_argument("--port", type=int, default=-1)
    deployment.set_defaults(generate=make_deployment, told="deployment:")
    job = kinds.add_parser("job", parents=list(parents), allow_abbrev=False)
    job.add_argument("name")
    job.add_argument("--image", default="")
    job.add_argument("--from", dest="source", default="", metavar="cronjob/NAME")
    job.set_defaults(generate=make_job, told="job:")
    cron_job = kinds.add_parser("cronjob", aliases=["cj"], parents=list(parents), allow_abbrev=False)
    cron_job.add_argument("name")
    cron_job.add_argument("--image", required=True)
    cron_job.add_argument("--schedule", required=True)
    cron_job.add_argument("--restart", default="OnFailure")
    cron_job.set_defaults(generate=make_cron_job, told="cronjob:")


async def make_deployment(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001 - generators are called alike
    """Return a Deployment."""
    images = [one for text in options.image for one in text.split(",")]
    if len(images) > 1 and options.after:
        raise ConfigError("cannot specify multiple --image options and command")
    labels = {"app": options.name}
    containers = [_container(container_name(image), image, options.after) for image in images]
    if options.port >= 0:
        containers[0]["ports"] = [{"containerPort": options.port}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": options.name, "labels": labels},
        "spec": {
            "replicas": options.replicas,
            "selector": {"matchLabels": labels},
            "strategy": {},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
        "status": {},
    }


def container_name(image: str) -> str:
    """Return the last part of an image's path without tag and digest, as a name."""
    last = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return re.sub(r"[^a-z0-9-]", "", last.lower().replace("_", "-").replace(".", "-"))


def _container(name: str, image: str, command: Sequence[str]) -> JsonObject:
    made: JsonObject = {"name": name, "image": image, "resources": {}}
    if command:
        made["command"] = list(command)
    return made


async def make_job(session: Session, options: argparse.Namespace) -> JsonObject:
    """Return a Job of an image, or of a CronJob's template."""
    if bool(options.image) == bool(options.source):
        raise ConfigError("either --image or --from must be specified")
    if options.source:
        return await _job_of(session, options)
    container = _container(options.name, options.image, options.after)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": options.name},
        "spec": {"template": {"metadata": {}, "spec": {"containers": [container], "restartPolicy": "Never"}}},
        "status": {},
    }


async def _job_of(session: Session, options: argparse.Namespace) -> JsonObject:
    if options.after:
        raise ConfigError("cannot specify --from and command")
    kind, _, name = options.source.partition("/")
    resource = await session.find_resource(kind)
    if resource != CRON_JOBS or not name:
        raise ConfigError(f"unknown object type *{kind}: --from must be cronjob/NAME")
    source = await session.client.get(CRON_JOBS, name, namespace=session.namespace)
    template = source["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    owner = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "name": name,
        "uid": source["metadata"]["uid"],
        "controller": True,
    }
    made: JsonObject = {
        "name": options.name,
        "annotations": {"cronjob.kubernetes.io/instantiate": "manual", **(metadata.get("annotations") or {})},
        "ownerReferences": [owner],
    }
    if metadata.get("labels"):
        made["labels"] = metadata["labels"]
    spec = {**template["spec"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": spec, "status": {}}


async def make_cron_job(session: Session, options: argparse.Namespace) -> JsonObject:  # noqa: ARG001
    """Return a CronJob."""
    container = _container(options.name, options.image, options.after)
    template = {"metadata": {}, "spec": {"containers": [container], "restartPolicy": options.restart}}
    job = {"metadata": {"name": options.name}, "spec": {"template": template}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": options.name},
        "spec": {"schedule": options.schedule, "jobTemplate": job},
        "status": {},
    }
