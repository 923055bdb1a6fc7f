"""Load balancing for Services by the nodes themselves, as K3s' ServiceLB does it, without pods (P-30 to P-37).

Here is decided which nodes' addresses a Service gets; the service proxy of every node leads what comes to them to endpoints.
"""
