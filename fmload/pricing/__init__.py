"""Price tables, and one rule for every price."""
