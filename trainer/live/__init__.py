"""Tables to train from: the events of a live service, and the impressions of a log of served answers."""
