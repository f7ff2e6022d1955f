"""Deployment: container images, Kubernetes manifests and monitoring."""
