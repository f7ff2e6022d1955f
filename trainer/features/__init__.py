"""Features that are counted or solved for, point in time: nothing here looks at an event at or after ``end``."""
