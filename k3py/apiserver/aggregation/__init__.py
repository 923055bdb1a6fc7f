"""API groups that other servers serve: APIServices, where they lead, and what they show of themselves."""
