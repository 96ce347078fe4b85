"""Items and where they come from: published sets, users' files, and worlds whose truth is known."""
