"""Which items may be shown: known by the live service, followed by the services that answer."""
