"""Stand endpoints up, know what they cost, and leave nothing behind."""
