"""Builders, fakes and the lab that tests share."""
