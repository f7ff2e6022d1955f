"""Runs Shortlist elsewhere: images, Kubernetes manifests, monitoring."""
