"""KubeSchedulerConfiguration: profiles, plugins at points, weights, arguments; faults name the field."""

import pytest
import yaml

from k3py.errors import ConfigError
from k3py.scheduler.configuration import ProfileSettings, load_scheduler_settings
from k3py.scheduler.node_info import PodInfo
from k3py.scheduler.registry import build_profile
from tests.support.objects import node, pod
from tests.support.scheduling import Cluster

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


@pytest.fixture
def load(tmp_path):
    def read(**fields):
        file = tmp_path / "scheduler.yaml"
        file.write_text(yaml.safe_dump({**HEAD, **fields}))
        return load_scheduler_settings(file)

    return read


def profile(**fields):
    return {"profiles": [fields]}


def names(one, point):
    built = build_profile(Cluster().context, one)
    if point == "score":
        return {plugin.NAME: weight for plugin, weight in built.score}
    return [plugin.NAME for plugin in getattr(built, point)]


def test_without_a_file_all_is_upstreams_default():
    (one,) = load_scheduler_settings(None).profiles
    assert one == ProfileSettings()
    assert names(one, "score") == {
        "TaintToleration": 3,
        "NodeAffinity": 2,
        "NodeResourcesFit": 1,
        "PodTopologySpread": 2,
        "InterPodAffinity": 2,
        "NodeResourcesBalancedAllocation": 1,
        "ImageLocality": 1,
    }


def test_a_plugin_goes_at_one_point_or_everywhere(load):
    sets = {
        "score": {"disabled": [{"name": "NodeAffinity"}]},
        "multiPoint": {"disabled": [{"name": "NodePorts"}]},
    }
    (one,) = load(**profile(plugins=sets)).profiles
    assert "NodeAffinity" not in names(one, "score")
    assert "NodeAffinity" in names(one, "filter")
    assert "NodePorts" not in names(one, "filter")


def test_all_scores_off_but_one_with_its_weight(load):
    sets = {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeResourcesFit", "weight": 7}]}}
    (one,) = load(**profile(plugins=sets)).profiles
    assert names(one, "score") == {"NodeResourcesFit": 7}


def test_several_profiles_and_top_level_values(load):
    settings = load(
        podInitialBackoffSeconds=2,
        podMaxBackoffSeconds=20,
        percentageOfNodesToScore=50,
        leaderElection={"leaderElect": False},
        profiles=[
            {"schedulerName": "default-scheduler"},
            {"schedulerName": "packer", "percentageOfNodesToScore": 100},
        ],
    )
    assert [(one.name, one.percentage) for one in settings.profiles] == [
        ("default-scheduler", 50),
        ("packer", 100),
    ]
    assert (settings.initial_backoff_s, settings.max_backoff_s) == (2.0, 20.0)


@pytest.mark.parametrize(
    ("strategy", "best"),
    [
        ({"type": "LeastAllocated"}, "empty"),
        ({"type": "MostAllocated", "resources": [{"name": "cpu", "weight": 1}]}, "full"),
        (
            {
                "type": "RequestedToCapacityRatio",
                "requestedToCapacityRatio": {
                    "shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]
                },
            },
            "full",
        ),
    ],
)
def test_scoring_strategies(load, strategy, best):
    config = [{"name": "NodeResourcesFit", "args": {"scoringStrategy": strategy}}]
    (one,) = load(**profile(pluginConfig=config)).profiles
    cluster = Cluster(node("full"), node("empty"), pods=(pod("x", node="full", cpu="2"),))
    fit = next(
        plugin for plugin, _ in build_profile(cluster.context, one).score if plugin.NAME == "NodeResourcesFit"
    )
    nodes = cluster.cache.nodes()
    scores = fit.score(PodInfo(pod("p", cpu="1")), cluster.cache, nodes)
    assert max(zip(scores, nodes, strict=True), key=lambda each: each[0])[1].name == best


def test_ignored_resources_and_added_affinity(load):
    required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "pool", "operator": "Exists"}]}]}
    config = [
        {"name": "NodeResourcesFit", "args": {"ignoredResourceGroups": ["example.com"]}},
        {
            "name": "NodeAffinity",
            "args": {"addedAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
        },
    ]
    (one,) = load(**profile(pluginConfig=config)).profiles
    pooled = node("pooled")
    pooled["metadata"]["labels"]["pool"] = "a"
    cluster = Cluster(pooled, node("other"))
    cluster.framework.profile = build_profile(cluster.context, one)
    asking = pod("p")
    asking["spec"]["containers"][0]["resources"] = {"requests": {"example.com/x": "1"}}
    assert cluster.fitting(asking) == {"pooled"}


def test_extenders(load):
    entry = {
        "urlPrefix": "http://127.0.0.1:8080/scheduler",
        "enableHTTPS": True,
        "filterVerb": "filter",
        "httpTimeout": "2s",
        "managedResources": [{"name": "example.com/gpu", "ignoredByScheduler": True}],
        "tlsConfig": {"caFile": "ca.crt"},
    }
    settings = load(extenders=[entry])
    (one,) = settings.extenders
    assert (one.url_prefix, one.timeout_s) == ("https://127.0.0.1:8080/scheduler", 2.0)
    assert one.ca_file.name == "ca.crt"
    assert settings.profiles[0].arguments.fit.ignored == {"example.com/gpu"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "Other"}, "kind"),
        ({"percentageOfNodesToScore": 101}, "percentageOfNodesToScore"),
        ({"podInitialBackoffSeconds": 20}, "podMaxBackoffSeconds"),
        ({"unknown": 1}, "unknown"),
        (profile(plugins={"score": {"enabled": [{"name": "Mine"}]}}), r"score.enabled\[0\].name"),
        (profile(plugins={"bind": {"disabled": [{"name": "DefaultBinder"}]}}), "DefaultBinder"),
        (
            profile(pluginConfig=[{"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 101}}]),
            "hardPodAffinity",
        ),
        ({"profiles": [{}, {}]}, "schedulerNames"),
        ({"extenders": [{"urlPrefix": "ftp://x"}]}, "urlPrefix"),
        ({"extenders": [{"urlPrefix": "http://x", "weight": 0, "prioritizeVerb": "p"}]}, "weight"),
        ({"extenders": [{"urlPrefix": "http://x", "bindVerb": "b"}] * 2}, "bindVerb"),
    ],
)
def test_faults_name_the_field(load, fields, named):
    with pytest.raises(ConfigError, match=named):
        load(**fields)
