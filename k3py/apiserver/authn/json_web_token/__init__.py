"""Tokens of OpenID Connect issuers and other JWTs: AuthenticationConfiguration and the --oidc-… arguments."""
