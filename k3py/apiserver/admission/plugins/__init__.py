"""Admission plugins, one a file; the table is `k3py.apiserver.admission.chain`."""
