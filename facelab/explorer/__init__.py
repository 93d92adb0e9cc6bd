"""What a reader touches: reports in a browser, in a notebook or in a page without a kernel."""
