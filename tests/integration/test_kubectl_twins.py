"""The built-in kubectl says, byte for byte, what kubectl v1.35 says, and makes the same objects.

K3PY_TEST_KUBECTL names the real one. Each line is a command line; what stands behind `<<<` is its standard input; @NS is the namespace
in which it runs, one for each of the two.
"""

import os
import shlex

import pytest

from tests.support.kubectl_twins import Twins
from tests.support.server_process import ServerProcess

KUBECTL = os.environ.get("K3PY_TEST_KUBECTL", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not KUBECTL, reason="K3PY_TEST_KUBECTL is not set"),
]

GENERATORS = r"""
create deployment web --image=nginx:1 --replicas=2 --port=80 --dry-run=client -o yaml
create job j --image=busybox --dry-run=client -o yaml
create cronjob c --image=busybox --schedule='*/5 * * * *' --dry-run=client -o yaml -- sleep 1
create service clusterip s --tcp=80:8080 --tcp=443 --dry-run=client -o yaml
create service nodeport s --tcp=80:8080 --node-port=30080 --dry-run=client -o yaml
create service externalname s --external-name=a.b --dry-run=client -o yaml
create service loadbalancer s --tcp=80 --dry-run=client -o yaml
create service clusterip s --clusterip=None --dry-run=client -o yaml
run p --image=busybox --dry-run=client -o yaml
run p --image=busybox --restart=Never --env=A=b --labels=x=y --port=80 --dry-run=client -o yaml -- a b
run p --image=busybox --restart=OnFailure --command --dry-run=client -o yaml -- a b
run p --image=x --expose --port=80 --dry-run=client -o yaml
create configmap c --from-literal=a=b --from-file=f.txt --from-file=x=env --from-file=bin --dry-run=client -o yaml
create cm e --from-env-file=env --dry-run=client -o yaml
create secret generic s --from-literal=p=q --from-file=f.txt --type=foo --dry-run=client -o yaml
create secret docker-registry r --docker-username=u --docker-password=p --docker-email=e --docker-server=s --dry-run=client -o yaml
create secret tls t --cert=c.pem --key=k.pem --dry-run=client -o yaml
create sa a --dry-run=client -o yaml
create role r --verb=get,list --resource=pods,deployments.apps/scale --resource-name=n --dry-run=client -o yaml
create clusterrole r --verb=get --non-resource-url=/x --dry-run=client -o yaml
create clusterrole agg --aggregation-rule=a=b --dry-run=client -o yaml
create clusterrole r --verb=get --resource=nodes --dry-run=client -o yaml
create rolebinding b --role=r --user=u --group=g --serviceaccount=ns:sa --dry-run=client -o yaml
create clusterrolebinding b --clusterrole=r --user=u --serviceaccount=ns:sa --dry-run=client -o yaml
create quota q --hard=pods=1,cpu=2 --scopes=BestEffort --dry-run=client -o yaml
create priorityclass pc --value=5 --description=d --global-default --dry-run=client -o yaml
create pdb p --selector=a=b --min-available=50% --dry-run=client -o yaml
create ingress i --rule=h.x/p*=svc:80,tls=sec --class=c --annotation=a=b --dry-run=client -o yaml
create ns nn --dry-run=client -o yaml
"""

OBJECTS = r"""
create cronjob cj --image=x --schedule='* * * * *'
create job jj --from=cronjob/cj --dry-run=client -o yaml
create cm c --from-literal=a=b
create cm c --from-literal=a=b
create secret generic c
create secret generic c
create sa c
create sa c
create quota c
create quota c
create role c --verb=get --resource=pods
create role c --verb=get --resource=pods
create rolebinding c --role=c --user=x
create rolebinding c --role=c --user=x
create service clusterip c --tcp=80
create service clusterip c --tcp=80
create deployment c --image=x
create deployment c --image=x
create job c --image=x
create job c --image=x
create cronjob c --image=x --schedule='* * * * *'
create cronjob c --image=x --schedule='* * * * *'
create pdb c --selector=a=b --min-available=1
create pdb c --selector=a=b --min-available=1
create ingress c --rule=/=a:80
create ingress c --rule=/=a:80
create ns @NS
create cm d --dry-run=client
create cm d --dry-run=server
create cm d -o name
create cm A_b
create -f - <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ff}, data: {a: "1", b: "yes", c: "a\nb"}}
create -f - <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ff}}
get cm ff -o yaml
get cm ff -o json
get cm,sa -o name
get cm c
get cm c -o wide
get cm nosuch
get nosuch
create deployment web --image=nginx:1 --replicas=2 --port=80
scale deployment web --replicas=3
scale deployment/web --replicas=3 --current-replicas=9
scale deploy web nosuch --replicas=1
label deploy web x=y
label deploy web x=z
label deploy web x=y
label deploy web x=z --overwrite
label deploy web x-
label deploy web x-
label deploy web x=1 x-
label deploy --all q=1
label deploy web q=1 --overwrite
label cm ff a=b --overwrite
label cm ff --list
label cm ff a=b -o yaml
label cm nosuch a=b
label cm c c a=b --dry-run=server
label cm c z=b --dry-run=client
annotate deploy web a=b
annotate deploy web a=c
annotate deploy web a-
annotate deploy web a-
annotate deploy web a=b --dry-run=server
patch deploy web -p '{"spec":{"replicas":4}}'
patch cm ff -p '{"data":{"z":"4"}}'
patch cm ff -p '{"data":{"z":"4"}}'
patch deploy web --type=json -p '[{"op":"replace","path":"/spec/replicas","value":2}]'
patch deploy web --type=merge -p 'spec: {replicas: 5}'
patch deploy nosuch -p '{}'
patch cm ff -p '{"data":{"z":"q"}}' --dry-run=client -o yaml
set image deploy/web nginx=nginx:2
set image deploy/web nginx=nginx:2
set image deploy/web nosuch=nginx:2
set image deploy web *=nginx:3
set env deploy/web A=B
expose deploy web --port=80 --target-port=8080
expose deploy web --name=w2 --type=NodePort --port=80
get svc web -o yaml
expose deploy web
expose svc web --name=w3 --dry-run=client -o yaml
expose cm c
autoscale deploy web --min=1 --max=3 --cpu=50%
autoscale deploy web --min=1 --max=3 --cpu=50% --name=w2 --dry-run=client -o yaml
rollout pause deploy web
rollout pause deploy web
rollout restart deploy web
rollout undo deploy web
rollout resume deploy web
rollout resume deploy/web
rollout restart deploy web
rollout history deploy nosuch
rollout undo deploy web --to-revision=99
rollout restart cm c
rollout status ds nosuch
rollout status cm c
rollout pause ds x
delete cm c
delete cm c
delete cm ff d --dry-run=client
auth can-i create pods
auth can-i '*' '*'
auth can-i get /livez
auth can-i get pods/log
auth can-i get nosuch
auth can-i get nodes
auth can-i --list
auth whoami
config view
config view --minify
config current-context
config get-contexts
config get-clusters
config get-users
config use-context nosuch
config get-contexts nosuch
cluster-info
api-resources
api-resources --namespaced=false -o name
api-resources --api-group=apps -o wide
api-resources --verbs=list,get -o name
api-resources --sort-by=name
api-resources --sort-by=kind
api-versions
replace -f - <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ff}, data: {a: "2"}}
replace -f - <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: nosuch}, data: {a: "2"}}
edit cm ff
cp nosuch:/x y
logs nosuch
exec nosuch -- true
port-forward nosuch 1:1
"""

VIEWS = r"""
create cm a --from-literal=a=b
create cm b --from-literal=a=c
label cm a app.kubernetes.io/name=x z=1
get cm a -o jsonpath='{.data.a}'
get cm a -o jsonpath='{.data}'
get cm -o jsonpath='{range .items[*]}{.metadata.name}{"\t"}{.data.a}{"\n"}{end}'
get cm -o jsonpath='{.items[*].metadata.name}'
get cm -o jsonpath='{.items[?(@.metadata.name=="b")].data.a}'
get cm -o jsonpath='{.items[0:2].metadata.name} {..namespace}'
get cm a -o jsonpath="{.metadata.labels['app\.kubernetes\.io/name']}{.metadata.labels.app\.kubernetes\.io/name}"
get cm a -o jsonpath='{.nosuch}x'
get cm a -o jsonpath='{.data'
get cm a -o jsonpath=.data.a
get cm a -o jsonpath-as-json='{.data}'
get cm a -o custom-columns=N:.metadata.name,A:.data.a,B:.nosuch
get cm -o custom-columns=N:.metadata.name --no-headers
get cm a --show-labels
get cm a -L z,app.kubernetes.io/name,q
get cm --sort-by=.metadata.name
get cm a b --sort-by=.data.a -o name
get cm,sa
get cm/a sa/default
get cm a b
get cm a --show-kind
get cm -o yaml -l z=1
get cm -l nosuch=1
get cm -l nosuch=1 -o yaml
get cm nosuch --ignore-not-found
get cm a nosuch
apply -f - <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ap}, data: {a: "1"}}
apply -f - <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ap}, data: {a: "1"}}
apply -f - <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ap}, data: {a: "2"}}
apply -f - -o name <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ap}, data: {a: "2"}}
apply -f - --dry-run=server <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ap2}, data: {a: "2"}}
apply -f - --dry-run=client <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ap2}, data: {a: "2"}}
apply --server-side -f - <<< {apiVersion: v1, kind: ConfigMap, metadata: {name: ap3}, data: {a: "2"}}
create -f - <<< {apiVersion: v1, kind: Node, metadata: {name: @NS}}
cordon @NS
cordon @NS
uncordon @NS
uncordon @NS
uncordon @NS --dry-run=client
cordon @NS --dry-run=server
taint node @NS a=b:NoSchedule
taint node @NS a=b:NoSchedule
taint node @NS a=c:NoSchedule --overwrite
taint node @NS x:NoExecute
taint node @NS a- x-
taint node @NS a-
taint node @NS a:NoSchedule-
drain @NS
drain nosuch
drain @NS --dry-run=client
uncordon @NS
delete node @NS
delete cm a --force
delete cm b --now
delete cm ap ap3 -o name
wait cm/kube-root-ca.crt --for=jsonpath='{.kind}'=ConfigMap
wait cm/nosuch --for=create --timeout=1s
wait cm/nosuch --for=condition=x --timeout=1s
auth can-i list pods --subresource=log -q
"""


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twins")
    (folder / "env").write_text("A=1\nB=two\n# c\n")
    (folder / "f.txt").write_text("hello\nworld\n")
    (folder / "bin").write_bytes(b"\0\xff")
    with ServerProcess(folder) as server:
        # The real one wants a certificate and a key that fit.
        (folder / "c.pem").write_bytes(server.admin_cert.read_bytes())
        (folder / "k.pem").write_bytes(server.admin_key.read_bytes())
        with Twins(KUBECTL, server.kubeconfig, folder) as twins:
            for name in ("twin-a", "twin-b"):
                twins.real("create", "namespace", name)
                twins.real("wait", "--for=create", "serviceaccount/default", "configmap/kube-root-ca.crt", "-n", name, "--timeout=60s")
            yield twins


@pytest.mark.parametrize("script", [GENERATORS, OBJECTS, VIEWS], ids=["generators", "objects", "views"])
def test_both_say_and_do_the_same(twins, script):
    different = []
    for line in script.strip().splitlines():
        command, _, stdin = line.partition(" <<< ")
        real, builtin = twins.both(shlex.split(command), stdin=stdin)
        if real != builtin:
            different.append(f"{line}\n  kubectl: {real}\n  k3py:    {builtin}")
    assert not different, "\n".join(different)


def test_an_edit_is_saved_as_the_real_one_saves_it(twins):
    for said in twins.both(["create", "configmap", "edited", "--from-literal=a=b"]):
        assert said.code == 0
    environment = {"EDITOR": "sed -i 's/a: b$/a: c/'"}
    real, builtin = twins.both(["edit", "configmap", "edited"], env=environment)
    assert real == builtin
    assert real.out == "configmap/edited edited\n"
    real, builtin = twins.both(["get", "configmap", "edited", "-o", "jsonpath={.data}"])
    assert real == builtin
    assert real.out == '{"a":"c"}'


def test_contexts_are_changed_alike(twins, tmp_path):
    texts = []
    for name, run in (("a", twins.real), ("b", twins.builtin)):
        copy = tmp_path / name
        copy.write_bytes(twins.kubeconfig.read_bytes())
        said = []
        for line in (
            "set-context --current --namespace=foo",
            "set-context new --cluster=default --user=default",
            "use-context new",
            "get-contexts",
            "current-context",
            "view --minify",
        ):
            done = run("--kubeconfig", str(copy), "config", *line.split())
            said.append((done.code, done.out, done.err))
        texts.append((said, copy.read_text().replace("preferences: {}\n", "")))
    assert texts[0] == texts[1]
