"""Cluster-wide numbers for Services: addresses and node ports, each given to one Service at a time.

Who holds what is not stored a second time: it is rebuilt from the Services when the server starts, so it cannot drift from them.
"""
