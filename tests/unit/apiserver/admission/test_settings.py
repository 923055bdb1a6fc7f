"""Which plugins run: arguments, the AdmissionConfiguration, faults that name the field."""

from __future__ import annotations

import pytest

from k3py.apiserver.admission import chain
from k3py.apiserver.admission.settings import DEFAULT, OPTIONAL, load_admission_settings
from k3py.config.api_server_arguments import parse_api_server_arguments
from k3py.errors import ConfigError

HEAD = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n"
POD_SECURITY = """
  apiVersion: pod-security.admission.config.k8s.io/v1
  kind: PodSecurityConfiguration
  defaults: {enforce: baseline, enforce-version: v1.30}
  exemptions: {namespaces: [kube-system], usernames: [root], runtimeClasses: [sandbox]}
"""
EVENTS = """
  apiVersion: eventratelimit.admission.k8s.io/v1alpha1
  kind: Configuration
  limits: [{type: Namespace, qps: 5, burst: 10}, {type: Server, qps: 50, burst: 100, cacheSize: 7}]
"""


def load(*arguments):
    return load_admission_settings(parse_api_server_arguments(arguments))


class Nothing:
    """Stands for all that plugins are made of."""

    def __getattr__(self, name):
        return self


def names(settings):
    made = chain.build_chain(Nothing(), Nothing(), Nothing(), Nothing(), settings)
    return [one.name for one in made._plugins]


def test_the_default_plugins_run_in_order():
    assert names(None) == list(DEFAULT)
    assert names(load()) == list(DEFAULT)


def test_plugins_are_added_and_left_out_wherever_they_stand():
    settings = load(
        "enable-admission-plugins=ExtendedResourceToleration,AlwaysPullImages,DenyServiceExternalIPs",
        "disable-admission-plugins=ServiceAccount,NodeRestriction",
    )
    expected = ["NamespaceLifecycle", "LimitRanger", "TaintNodesByCondition", "AlwaysPullImages", "PodSecurity"]
    assert names(settings)[:5] == expected
    assert set(names(settings)) == {*DEFAULT, *OPTIONAL} - {"ServiceAccount", "NodeRestriction", "EventRateLimit"}


def test_what_is_not_there_is_easily_left_out():
    assert names(load("disable-admission-plugins=AlwaysAdmit")) == list(DEFAULT)


def test_a_file_configures_pod_security_and_event_limits(tmp_path):
    (tmp_path / "pod-security.yaml").write_text(POD_SECURITY)
    file = tmp_path / "psa.yaml"
    file.write_text(f"{HEAD}- name: PodSecurity\n  path: pod-security.yaml\n- name: EventRateLimit\n  configuration:{EVENTS.replace('  ', '    ')}")
    settings = load(f"admission-control-config-file={file}", "enable-admission-plugins=NodeRestriction,EventRateLimit")
    pod_security = settings.pod_security
    assert (str(pod_security.defaults.enforce), str(pod_security.defaults.warn)) == ("baseline:v1.30", "privileged:latest")
    assert (pod_security.namespaces, pod_security.usernames) == ({"kube-system"}, {"root"})
    assert pod_security.runtime_classes == {"sandbox"}
    assert [(one.type, one.qps, one.burst, one.cache_size) for one in settings.event_limits] == [
        ("Namespace", 5, 10, 4096), ("Server", 50, 100, 7),
    ]  # fmt: skip
    assert "EventRateLimit" in names(settings)


def test_a_file_limits_resources_without_a_quota(tmp_path):
    scope = "{scopeName: PriorityClass, operator: In, values: [critical]}"
    limited = f"[{{resource: pods, matchScopes: [{scope}]}}, {{resource: services, matchContains: [nodeports]}}]"
    kind = "kind: ResourceQuotaConfiguration, apiVersion: apiserver.config.k8s.io/v1"
    file = tmp_path / "a.yaml"
    file.write_text(f"{HEAD}- {{name: ResourceQuota, configuration: {{{kind}, limitedResources: {limited}}}}}\n")
    pods, services = load(f"admission-control-config-file={file}").limited_resources
    assert (pods.group, pods.plural, pods.scopes[0]["values"]) == ("", "pods", ["critical"])
    assert (services.plural, services.contains, services.scopes) == ("services", ("nodeports",), ())


def test_a_file_names_credentials_for_webhooks(tmp_path):
    users = tmp_path / "users.yaml"
    users.write_text("users: [{name: '*', user: {token: t}}]")
    kind = "kind: WebhookAdmissionConfiguration, apiVersion: apiserver.config.k8s.io/v1"
    file = tmp_path / "a.yaml"
    entry = f"- {{name: MutatingAdmissionWebhook, configuration: {{{kind}, kubeConfigFile: {users}}}}}\n"
    file.write_text(f"{HEAD}{entry}")
    settings = load(f"admission-control-config-file={file}")
    assert settings.mutating_credentials.find("https://a.b").token == "t"
    assert settings.validating_credentials is None
    file.write_text(f"{HEAD}{entry.replace(str(users), 'users.yaml')}")
    with pytest.raises(ConfigError, match="must be an absolute path"):
        load(f"admission-control-config-file={file}")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["enable-admission-plugins=Odd"], "'Odd': must be one of AlwaysPullImages, "),
        (["disable-admission-plugins=Odd"], "disable-admission-plugins: 'Odd'"),
        (["enable-admission-plugins=Priority", "disable-admission-plugins=Priority"], "is in enable-admission-plugins"),
        (["enable-admission-plugins=EventRateLimit"], "needs limits"),
        (["enable-admission-plugins=AlwaysDeny"], "'AlwaysDeny': must be one of"),
        (["admission-control-config-file=/nowhere/x"], "'/nowhere/x'"),
    ],
)
def test_faults_name_the_argument(arguments, text):
    with pytest.raises(ConfigError, match=text):
        load(*arguments)


@pytest.mark.parametrize(
    ("plugin", "text"),
    [
        ("{name: Odd}", r"plugins\[0\].name"),
        ("{name: PodSecurity}", r"plugins\[0\].configuration"),
        ("{name: PodSecurity, configuration: {kind: Odd}}", "kind"),
        ("{name: PodSecurity, configuration: {kind: PodSecurityConfiguration, apiVersion: v1}}", "apiVersion"),
        ("{name: PodSecurity, configuration: {kind: PodSecurityConfiguration, apiVersion: pod-security.admission.config.k8s.io/v1, defaults: {warn: odd}}}", "defaults.warn"),
        ("{name: PodSecurity, configuration: {kind: PodSecurityConfiguration, apiVersion: pod-security.admission.config.k8s.io/v1, defaults: {warn-version: '1'}}}", "defaults.warn-version"),
        ("{name: EventRateLimit, configuration: {kind: Configuration, apiVersion: eventratelimit.admission.k8s.io/v1alpha1, limits: [{type: User, qps: 0, burst: 1}]}}", r"limits\[0\].qps"),
        ("{name: EventRateLimit, configuration: {kind: Configuration, apiVersion: eventratelimit.admission.k8s.io/v1alpha1, odd: 1}}", "odd: is not known"),
        ("{name: ResourceQuota, configuration: {kind: ResourceQuotaConfiguration, apiVersion: apiserver.config.k8s.io/v1, limitedResources: [{apiGroup: ''}]}}", r"limitedResources\[0\].resource"),
        ("{name: ResourceQuota, configuration: {kind: ResourceQuotaConfiguration, apiVersion: apiserver.config.k8s.io/v1, limitedResources: [{resource: pods, matchScopes: [{scopeName: PriorityClass, operator: In}]}]}}", r"matchScopes\[0\].values"),
    ],
)  # fmt: skip
def test_faults_name_the_field(tmp_path, plugin, text):
    file = tmp_path / "a.yaml"
    file.write_text(f"{HEAD}- {plugin}\n")
    with pytest.raises(ConfigError, match=text):
        load(f"admission-control-config-file={file}")
