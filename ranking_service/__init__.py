"""Stage two: candidates → features → scorer → selection; and the one call that does the whole job."""
