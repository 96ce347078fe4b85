"""What everything else stands on: errors, seeds, configs, records, the registry, spreading work, progress."""
