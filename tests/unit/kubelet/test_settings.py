"""KubeletConfiguration: files, parts of them, flags; what is not honoured is refused by name."""

from __future__ import annotations

import pytest

from k3py.config.kubelet_arguments import parse_kubelet_arguments
from k3py.errors import ConfigError
from k3py.kubelet.settings import KubeletSettings, load_kubelet_settings
from k3py.kubelet.thresholds import Amount, Threshold

HEAD = "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\n"


def load(*given):
    return load_kubelet_settings(parse_kubelet_arguments(given))


@pytest.fixture
def file(tmp_path):
    def write(text, name="kubelet.yaml", head=HEAD):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(head + text)
        return f"config={path}"

    return write


def test_nothing_given_is_the_built_in_values():
    assert load() == KubeletSettings()


def test_flags_set_what_they_name():
    found = load(
        "max-pods=30",
        "--eviction-hard=memory.available<200Mi,nodefs.available<3%",
        "eviction-soft=memory.available<300Mi",
        "eviction-soft-grace-period=memory.available=1m30s",
        "eviction-max-pod-grace-period=20",
        "eviction-minimum-reclaim=memory.available=50Mi",
        "image-gc-high-threshold=90",
        "image-gc-low-threshold=70",
        "container-log-max-size=1Mi",
        "container-log-max-files=3",
        "serialize-image-pulls=true",
        "kube-reserved=cpu=100m,memory=100Mi",
        "system-reserved=memory=50Mi",
        "minimum-image-ttl-duration=1h",
        "eviction-pressure-transition-period=30s",
    )
    reclaim = Amount("50Mi")
    assert found.thresholds == (
        Threshold(signal="memory.available", amount=Amount("200Mi"), reclaim=reclaim),
        Threshold(signal="nodefs.available", amount=Amount("3%")),
        Threshold(signal="memory.available", amount=Amount("300Mi"), grace_s=90.0, reclaim=reclaim),
    )
    assert (found.max_pods, found.soft_grace_s, found.transition_s) == (30, 20, 30.0)
    assert (found.image_high_percent, found.image_low_percent, found.image_least_age_s) == (90, 70, 3600.0)
    assert (found.log_size_bytes, found.log_files, found.serialize_image_pulls) == (1 << 20, 3, True)
    assert found.reserved == {"cpu": "100m", "memory": str(150 << 20)}


def test_parts_of_a_folder_come_between_file_and_flags(file, tmp_path):
    main = file("maxPods: 10\nshutdownGracePeriod: 30s\nshutdownGracePeriodCriticalPods: 10s\nkubeReserved: {cpu: 100m}\n")
    file("maxPods: 30\n", "parts/20.conf")
    file("maxPods: 20\ncontainerLogMaxFiles: 4\nkubeReserved: {memory: 1Mi}\n", "parts/10.conf")
    file("maxPods: 99\n", "parts/30.ignored")
    folder = f"config-dir={tmp_path / 'parts'}"
    found = load(main, folder)
    assert (found.max_pods, found.log_files, found.shutdown_grace_s, found.shutdown_critical_s) == (30, 4, 30.0, 10.0)
    assert set(found.reserved) == {"cpu", "memory"}
    assert load(main, folder, "max-pods=5").max_pods == 5


def test_what_others_say_in_their_files_is_read_without_effect(file):
    assert load(file("syncFrequency: 1m\nkubeAPIQPS: 5\nlogging: {format: json}\n")) == KubeletSettings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maxPods: 0", "maxPods: must be a whole number of 1 or more"),
        ("staticPodPath: /x", "staticPodPath: is not known"),
        ("evictionHard: {memory.free: 1Mi}", "evictionHard: 'memory.free': must be one of memory.available"),
        ("evictionHard: {memory.available: much}", "'much': must be a quantity"),
        ("evictionHard: {nodefs.available: 200%}", "'200%': must be a quantity such as 100Mi, or a share"),
        ("evictionSoft: {memory.available: 1Mi}", "evictionSoftGracePeriod must have a grace period"),
        ("imageGCHighThresholdPercent: 70", "must be less than imageGCHighThresholdPercent"),
        ("shutdownGracePeriodCriticalPods: 5s", "must not be longer than shutdownGracePeriod"),
        ("kubeReserved: {gpu: 1}", "kubeReserved: 'gpu': must be one of cpu"),
        ("containerLogMaxSize: big", "containerLogMaxSize: 'big': must be a quantity"),
    ],
)
def test_a_wrong_field_is_named(file, text, message):
    with pytest.raises(ConfigError) as caught:
        load(file(text + "\n"))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("max-pods", "'max-pods': must be name=value"),
        ("max-pods=many", "max-pods: 'many': must be a whole number"),
        ("eviction-hard=memory.available", "eviction-hard: 'memory.available': must be NAME<VALUE"),
        ("serialize-image-pulls=yes", "serialize-image-pulls: 'yes': must be true or false"),
        ("feature-gates=A=true", "k3py has no such argument of the kubelet; it has config, config-dir"),
        ("config=/nowhere", "'/nowhere': No such file"),
        ("config-dir=/nowhere", "'/nowhere': No such file"),
    ],
)
def test_a_wrong_flag_is_named(given, message):
    with pytest.raises(ConfigError) as caught:
        load(given)
    assert message in str(caught.value)


def test_another_kind_of_file_is_refused(file):
    with pytest.raises(ConfigError, match="kind"):
        load(file("", head="kind: Pod\napiVersion: v1\n"))


def test_static_cpus_need_some_that_are_reserved(file):
    found = load("cpu-manager-policy=static", "reserved-cpus=0-1")
    assert (found.static_cpus, found.reserved_cpus, found.reserved) == (True, {0, 1}, {"cpu": "2"})
    assert load("cpu-manager-policy=static", "kube-reserved=cpu=500m").static_cpus
    with pytest.raises(ConfigError, match="CPUs must be reserved"):
        load("cpu-manager-policy=static")
    with pytest.raises(ConfigError, match="'0-x': must be a list of CPUs"):
        load("reserved-cpus=0-x")
    with pytest.raises(ConfigError, match="cgroupDriver: 'systemd': must be 'cgroupfs'"):
        load(file("cgroupDriver: systemd\n"))
