"""The table of built-in kinds: one module each, in the order in which discovery lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from k3py.api.kinds.admissionregistration.mutating_webhook_configuration import (
    KIND as MUTATING_WEBHOOK_CONFIGURATION,
)
from k3py.api.kinds.admissionregistration.validating_admission_policy import (
    KIND as VALIDATING_ADMISSION_POLICY,
)
from k3py.api.kinds.admissionregistration.validating_admission_policy_binding import (
    KIND as VALIDATING_ADMISSION_POLICY_BINDING,
)
from k3py.api.kinds.admissionregistration.validating_webhook_configuration import (
    KIND as VALIDATING_WEBHOOK_CONFIGURATION,
)
from k3py.api.kinds.apiextensions.custom_resource_definition import KIND as CUSTOM_RESOURCE_DEFINITION
from k3py.api.kinds.apiregistration.api_service import KIND as API_SERVICE
from k3py.api.kinds.apps.controller_revision import KIND as CONTROLLER_REVISION
from k3py.api.kinds.apps.daemon_set import KIND as DAEMON_SET
from k3py.api.kinds.apps.deployment import KIND as DEPLOYMENT
from k3py.api.kinds.apps.replica_set import KIND as REPLICA_SET
from k3py.api.kinds.apps.stateful_set import KIND as STATEFUL_SET
from k3py.api.kinds.authentication.self_subject_review import KIND as SELF_SUBJECT_REVIEW
from k3py.api.kinds.authentication.token_review import KIND as TOKEN_REVIEW
from k3py.api.kinds.authorization.local_subject_access_review import KIND as LOCAL_SUBJECT_ACCESS_REVIEW
from k3py.api.kinds.authorization.self_subject_access_review import KIND as SELF_SUBJECT_ACCESS_REVIEW
from k3py.api.kinds.authorization.self_subject_rules_review import KIND as SELF_SUBJECT_RULES_REVIEW
from k3py.api.kinds.authorization.subject_access_review import KIND as SUBJECT_ACCESS_REVIEW
from k3py.api.kinds.autoscaling.horizontal_pod_autoscaler import KIND as HORIZONTAL_POD_AUTOSCALER
from k3py.api.kinds.autoscaling.horizontal_pod_autoscaler import V1_KIND as V1_HORIZONTAL_POD_AUTOSCALER
from k3py.api.kinds.batch.cron_job import KIND as CRON_JOB
from k3py.api.kinds.batch.job import KIND as JOB
from k3py.api.kinds.certificates.certificate_signing_request import KIND as CERTIFICATE_SIGNING_REQUEST
from k3py.api.kinds.coordination.lease import KIND as LEASE
from k3py.api.kinds.core.binding import KIND as BINDING
from k3py.api.kinds.core.component_status import KIND as COMPONENT_STATUS
from k3py.api.kinds.core.config_map import KIND as CONFIG_MAP
from k3py.api.kinds.core.endpoints import KIND as ENDPOINTS
from k3py.api.kinds.core.event import KIND as EVENT
from k3py.api.kinds.core.limit_range import KIND as LIMIT_RANGE
from k3py.api.kinds.core.namespace import KIND as NAMESPACE
from k3py.api.kinds.core.node import KIND as NODE
from k3py.api.kinds.core.persistent_volume import KIND as PERSISTENT_VOLUME
from k3py.api.kinds.core.persistent_volume_claim import KIND as PERSISTENT_VOLUME_CLAIM
from k3py.api.kinds.core.pod import KIND as POD
from k3py.api.kinds.core.pod_template import KIND as POD_TEMPLATE
from k3py.api.kinds.core.replication_controller import KIND as REPLICATION_CONTROLLER
from k3py.api.kinds.core.resource_quota import KIND as RESOURCE_QUOTA
from k3py.api.kinds.core.secret import KIND as SECRET
from k3py.api.kinds.core.service import KIND as SERVICE
from k3py.api.kinds.core.service_account import KIND as SERVICE_ACCOUNT
from k3py.api.kinds.discovery.endpoint_slice import KIND as ENDPOINT_SLICE
from k3py.api.kinds.events.event import KIND as EVENTS_EVENT
from k3py.api.kinds.flowcontrol.flow_schema import KIND as FLOW_SCHEMA
from k3py.api.kinds.flowcontrol.priority_level_configuration import KIND as PRIORITY_LEVEL_CONFIGURATION
from k3py.api.kinds.networking.ingress import KIND as INGRESS
from k3py.api.kinds.networking.ingress_class import KIND as INGRESS_CLASS
from k3py.api.kinds.networking.ip_address import KIND as IP_ADDRESS
from k3py.api.kinds.networking.network_policy import KIND as NETWORK_POLICY
from k3py.api.kinds.networking.service_cidr import KIND as SERVICE_CIDR
from k3py.api.kinds.node.runtime_class import KIND as RUNTIME_CLASS
from k3py.api.kinds.policy.pod_disruption_budget import KIND as POD_DISRUPTION_BUDGET
from k3py.api.kinds.rbac.cluster_role import KIND as CLUSTER_ROLE
from k3py.api.kinds.rbac.cluster_role_binding import KIND as CLUSTER_ROLE_BINDING
from k3py.api.kinds.rbac.role import KIND as ROLE
from k3py.api.kinds.rbac.role_binding import KIND as ROLE_BINDING
from k3py.api.kinds.resource.device_class import KIND as DEVICE_CLASS
from k3py.api.kinds.resource.resource_claim import KIND as RESOURCE_CLAIM
from k3py.api.kinds.resource.resource_claim_template import KIND as RESOURCE_CLAIM_TEMPLATE
from k3py.api.kinds.resource.resource_slice import KIND as RESOURCE_SLICE
from k3py.api.kinds.scheduling.priority_class import KIND as PRIORITY_CLASS
from k3py.api.kinds.storage.csi_driver import KIND as CSI_DRIVER
from k3py.api.kinds.storage.csi_node import KIND as CSI_NODE
from k3py.api.kinds.storage.csi_storage_capacity import KIND as CSI_STORAGE_CAPACITY
from k3py.api.kinds.storage.storage_class import KIND as STORAGE_CLASS
from k3py.api.kinds.storage.volume_attachment import KIND as VOLUME_ATTACHMENT
from k3py.api.kinds.storage.volume_attributes_class import KIND as VOLUME_ATTRIBUTES_CLASS

if TYPE_CHECKING:
    from k3py.api.kind import Kind

ALL: Final[tuple[Kind, ...]] = (
    BINDING,
    COMPONENT_STATUS,
    CONFIG_MAP,
    ENDPOINTS,
    EVENT,
    LIMIT_RANGE,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    PERSISTENT_VOLUME,
    POD,
    POD_TEMPLATE,
    REPLICATION_CONTROLLER,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE_ACCOUNT,
    SERVICE,
    CONTROLLER_REVISION,
    DAEMON_SET,
    DEPLOYMENT,
    REPLICA_SET,
    STATEFUL_SET,
    EVENTS_EVENT,
    SELF_SUBJECT_REVIEW,
    TOKEN_REVIEW,
    LOCAL_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_ACCESS_REVIEW,
    SELF_SUBJECT_RULES_REVIEW,
    SUBJECT_ACCESS_REVIEW,
    HORIZONTAL_POD_AUTOSCALER,
    V1_HORIZONTAL_POD_AUTOSCALER,
    CRON_JOB,
    JOB,
    CERTIFICATE_SIGNING_REQUEST,
    INGRESS_CLASS,
    INGRESS,
    IP_ADDRESS,
    NETWORK_POLICY,
    SERVICE_CIDR,
    POD_DISRUPTION_BUDGET,
    CLUSTER_ROLE_BINDING,
    CLUSTER_ROLE,
    ROLE_BINDING,
    ROLE,
    CSI_DRIVER,
    CSI_NODE,
    CSI_STORAGE_CAPACITY,
    STORAGE_CLASS,
    VOLUME_ATTACHMENT,
    VOLUME_ATTRIBUTES_CLASS,
    MUTATING_WEBHOOK_CONFIGURATION,
    VALIDATING_ADMISSION_POLICY,
    VALIDATING_ADMISSION_POLICY_BINDING,
    VALIDATING_WEBHOOK_CONFIGURATION,
    CUSTOM_RESOURCE_DEFINITION,
    API_SERVICE,
    PRIORITY_CLASS,
    LEASE,
    RUNTIME_CLASS,
    ENDPOINT_SLICE,
    DEVICE_CLASS,
    RESOURCE_CLAIM,
    RESOURCE_CLAIM_TEMPLATE,
    RESOURCE_SLICE,
    FLOW_SCHEMA,
    PRIORITY_LEVEL_CONFIGURATION,
)
