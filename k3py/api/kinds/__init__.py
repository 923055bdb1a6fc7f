"""The table of built-in kinds: one module each, in the order in which discovery lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.kinds.apps.controller_revision import KIND as CONTROLLER_REVISION
from k3py.api.kinds.apps.deployment import KIND as DEPLOYMENT
from k3py.api.kinds.apps.replica_set import KIND as REPLICA_SET
from k3py.api.kinds.authentication.self_subject_review import KIND as SELF_SUBJECT_REVIEW
from k3py.api.kinds.authentication.token_review import KIND as TOKEN_REVIEW
from k3py.api.kinds.authorization.local_subject_access_review import KIND as LOCAL_SUBJECT_ACCESS_REVIEW
from k3py.api.kinds.authorization.self_subject_access_review import KIND as SELF_SUBJECT_ACCESS_REVIEW
from k3py.api.kinds.authorization.self_subject_rules_review import KIND as SELF_SUBJECT_RULES_REVIEW
from k3py.api.kinds.authorization.subject_access_review import KIND as SUBJECT_ACCESS_REVIEW
from k3py.api.kinds.coordination.lease import KIND as LEASE
from k3py.api.kinds.core.binding import KIND as BINDING
from k3py.api.kinds.core.config_map import KIND as CONFIG_MAP
from k3py.api.kinds.core.endpoints import KIND as ENDPOINTS
from k3py.api.kinds.core.event import KIND as EVENT
from k3py.api.kinds.core.namespace import KIND as NAMESPACE
from k3py.api.kinds.core.node import KIND as NODE
from k3py.api.kinds.core.pod import KIND as POD
from k3py.api.kinds.core.secret import KIND as SECRET
from k3py.api.kinds.core.service import KIND as SERVICE
from k3py.api.kinds.core.service_account import KIND as SERVICE_ACCOUNT
from k3py.api.kinds.discovery.endpoint_slice import KIND as ENDPOINT_SLICE
from k3py.api.kinds.events.event import KIND as EVENTS_EVENT
from k3py.api.kinds.node.runtime_class import KIND as RUNTIME_CLASS
from k3py.api.kinds.rbac.cluster_role import KIND as CLUSTER_ROLE
from k3py.api.kinds.rbac.cluster_role_binding import KIND as CLUSTER_ROLE_BINDING
from k3py.api.kinds.rbac.role import KIND as ROLE
from k3py.api.kinds.rbac.role_binding import KIND as ROLE_BINDING
from k3py.api.kinds.scheduling.priority_class import KIND as PRIORITY_CLASS

if TYPE_CHECKING:
    from k3py.api.kind import Kind

ALL: Final[tuple[Kind, ...]] = (
    BINDING,
    CONFIG_MAP,
    ENDPOINTS,
    EVENT,
    NAMESPACE,
    NODE,
    POD,
    SECRET,
    SERVICE_ACCOUNT,
    SERVICE,
    CONTROLLER_REVISION,
    DEPLOYMENT,
    REPLICA_SET,
    SELF_SUBJECT_REVIEW,
    TOKEN_REVIEW,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
    LEASE,
    ENDPOINT_SLICE,
    EVENTS_EVENT,
    RUNTIME_CLASS,
    CLUSTER_ROLE_BINDING,
    CLUSTER_ROLE,
    ROLE_BINDING,
    ROLE,
    PRIORITY_CLASS,
)
