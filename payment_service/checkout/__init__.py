"""The demo's pages: a checkout that a shop may copy, and what goes wrong, shown live."""
