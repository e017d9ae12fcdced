"""The HTTP client of every outgoing call: libcurl, with a hard end for each send."""
