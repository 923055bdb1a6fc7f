"""An operator of kopf: shows in their status what signs say."""

import kopf


@kopf.on.startup()
def configure(settings, **_):
    settings.posting.enabled = True


@kopf.on.create("operators.example.com", "v1", "signs")
def create(body, spec, name, namespace, patch, **_):
    kopf.info(body, reason="Painted", message="says " + spec["text"])
    patch.status["shown"] = spec["text"]
    return {"painted": True}


@kopf.on.update("operators.example.com", "v1", "signs", field="spec.text")
def update(new, patch, **_):
    patch.status["shown"] = new


@kopf.on.delete("operators.example.com", "v1", "signs")
def delete(**_):
    pass


@kopf.on.event("operators.example.com", "v1", "signs")
def event(type, name, **_):  # noqa: A002 - kopf's name
    print("event", type, name, flush=True)
