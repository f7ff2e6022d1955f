"""The checks of manifests, images and monitoring."""
