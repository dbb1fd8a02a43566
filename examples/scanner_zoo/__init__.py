"""Opens a link as everything that opens links in mails does, and tells whether any of it decided something."""
