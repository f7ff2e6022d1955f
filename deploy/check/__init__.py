"""What the manifests, the images and the monitoring have to pass before they are anybody's."""
