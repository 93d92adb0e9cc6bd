"""The field beyond LFW: its data sets, networks from elsewhere, and identification."""
