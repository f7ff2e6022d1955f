"""What runs Shortlist elsewhere: images, Kubernetes manifests, monitoring."""
