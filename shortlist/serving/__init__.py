"""The server of both services, and the parts that their request handling shares."""
