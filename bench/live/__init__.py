"""The live service's figures."""
