"""Checks of the manifests, the images and the monitoring."""
