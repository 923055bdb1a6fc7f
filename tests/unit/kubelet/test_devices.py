"""A pod that claims devices does not run without them."""

import pytest

from k3py.kubelet.devices import DevicesMissing, check_devices
from tests.support.objects import pod


def claiming(*entries, statuses=()):
    one = pod(spec={"resourceClaims": list(entries)})
    one["status"]["resourceClaimStatuses"] = list(statuses)
    return one


@pytest.mark.parametrize(
    "entry", [{"name": "gpu", "resourceClaimName": "c"}, {"name": "gpu", "resourceClaimTemplateName": "t"}]
)
def test_claims_are_told_by_name(entry):
    with pytest.raises(DevicesMissing, match=r"claims of the pod: gpu\)"):
        check_devices(claiming(entry, statuses=[{"name": "gpu", "resourceClaimName": "c"}]))


def test_pods_without_claims_and_claims_that_were_not_needed_run():
    check_devices(pod())
    check_devices(claiming({"name": "gpu", "resourceClaimTemplateName": "t"}, statuses=[{"name": "gpu"}]))
