"""The models of both stages."""
