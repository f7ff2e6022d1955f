"""The interactions since a bundle was trained, as both services read them from the live service."""
