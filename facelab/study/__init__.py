"""The study as a batch: what chapters record, what is read back, and the report."""
