"""Admission policies as users of kubectl meet them: made from a manifest, listed, in force, gone."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: few-replicas}
spec:
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments, deployments/scale]}]
  variables: [{name: most, expression: int(params.data.most)}]
  validations:
  - expression: object.spec.replicas <= variables.most
    messageExpression: "'at most ' + string(variables.most) + ' replicas'"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: few-replicas-here}
spec:
  policyName: few-replicas
  validationActions: [ACTION]
  paramRef: {name: limits, parameterNotFoundAction: Deny}
  matchResources: {namespaceSelector: {matchLabels: HERE}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: limits}, data: {most: "2"}}
"""
REFUSAL = (
    'error: failed to create deployment: deployments.apps "few" is forbidden: ValidatingAdmissionPolicy \'few-replicas\' with '
    "binding 'few-replicas-here' denied request: at most 2 replicas\n"
)


CREATE = ("create", "deployment", "few", "--image=registry.example/i", "--replicas=3")


@pytest.fixture
def policy(kubectl, namespace):
    """Return a function that puts the policy in force in the test's namespace with an action; both go at the end."""
    here = f"{{kubernetes.io/metadata.name: {namespace}}}"

    def put(action):
        kubectl("apply", "-f", "-", stdin=POLICY.replace("ACTION", action).replace("HERE", here))

    yield put
    kubectl("delete", "validatingadmissionpolicies/few-replicas", "validatingadmissionpolicybindings/few-replicas-here")


def test_a_policy_refuses_in_its_own_words_and_follows_its_parameters(kubectl, policy):
    policy("Deny")
    assert kubectl.fails(*CREATE) == REFUSAL
    kubectl("patch", "configmap", "limits", "-p", '{"data":{"most":"3"}}')
    assert kubectl(*CREATE) == "deployment.apps/few created\n"
    assert "denied request: at most 3 replicas" in kubectl.fails("scale", "deployment/few", "--replicas=4")
    kubectl("delete", "configmap", "limits")
    assert "no params found for policy binding" in kubectl.fails("scale", "deployment/few", "--replicas=1")


def test_a_policy_warns(kubectl, policy):
    policy("Warn")
    done = kubectl.run(*CREATE)
    assert done.stdout == "deployment.apps/few created\n"
    assert done.stderr == (
        "Warning: Validation failed for ValidatingAdmissionPolicy 'few-replicas' with binding 'few-replicas-here': "
        "at most 2 replicas\n"
    )


def test_policies_are_listed_and_explained(kubectl, policy):
    policy("Audit")
    header, *rows = kubectl.rows("validatingadmissionpolicies/few-replicas")
    assert header == ["NAME", "VALIDATIONS", "PARAMKIND", "AGE"]
    assert rows[0][:3] == ["few-replicas", "1", "v1/ConfigMap"]
    header, *rows = kubectl.rows("validatingadmissionpolicybindings/few-replicas-here")
    assert header == ["NAME", "POLICYNAME", "PARAMREF", "AGE"]
    assert rows[0][:3] == ["few-replicas-here", "few-replicas", "limits"]
    assert "messageExpression\t<string>" in kubectl("explain", "validatingadmissionpolicies.spec.validations")
    described = kubectl("describe", "validatingadmissionpolicies/few-replicas")
    assert "Message Expression:  'at most ' + string(variables.most) + ' replicas'" in described


def test_types_are_checked(kubectl, policy):
    policy("Audit")
    wrong = '{"spec":{"variables":null,"validations":[{"expression":"object.spec.replica <= 1"}]}}'
    kubectl("patch", "validatingadmissionpolicies/few-replicas", "--type=merge", "-p", wrong)
    kubectl("wait", "validatingadmissionpolicies/few-replicas", "--for=jsonpath={.status.observedGeneration}=2", "--timeout=30s")
    (warning,) = kubectl.get("validatingadmissionpolicies/few-replicas")["status"]["typeChecking"]["expressionWarnings"]
    assert warning["fieldRef"] == "spec.validations[0].expression"
    assert "undefined field 'replica'" in warning["warning"]
