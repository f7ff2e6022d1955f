"""TLS, bearer tokens and the allow list. Changed files take effect without a restart."""
