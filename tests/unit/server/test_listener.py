"""The TLS listener: certificates, drain and a taken port."""

from __future__ import annotations

import asyncio
import socket
import ssl

import aiohttp
import pytest
from aiohttp import web

from k3py.errors import ConfigError
from k3py.pki.authority import CertificateAuthority
from k3py.server.listener import Listener, ServingCertificate
