"""Label Studio's conventions, translated to the core's and back; plain dicts and arrays only."""
